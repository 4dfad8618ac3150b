"""Numbers of any range, as logarithms: `+` is the smooth maximum, `*` with a score adds it.

A score is a double; among numbers with tangents, a dual number of doubles.

A number is T times the log of a sum over alignments of exp(score / T), as (high, low, log): high +
low + T log, where the unevaluated sum of two doubles holds similarities and costs, and `log` the
log of how many alignments, or how much of them, add to the best. Differences between numbers are
divided by T, so that their absolute error counts: in one double it would be 1e-4 T already where a
number is 1e12 T. So kept, alignments of the same score stay so at any size, and others are told
apart while similarities and costs of all magnitudes that meet in a sum fit into its 106 bits
together: with terms of one magnitude always, else up to some 1e30 T.

The derivatives of a sum are the shares q of its terms a, exp((a - sum) / T), which sum to 1
whatever the size of the numbers. Gradients that are products and sums of shares are probabilities
at any temperature; the difference of a prefix, a suffix and a total is not.

A number carries the entropy h of the distribution that it sums up. With tangents, it carries the
derivatives along a direction of similarities, penalties and temperature, here primed, of both
itself and h. With terms a, their h and shares q,

    h = sum q h - sum q log q
    sum' = sum q a' - T' sum q log q
    q' = q ((a' - sum') - T' log q) / T
    h' = sum q' (h - log q) + q h'

(the chain rule on q log q, whose shares' derivatives sum to 0). Nothing large is subtracted from
anything large, as it is in (total - mean) / T. These are the expectation semirings of first and
second order.

References
----------
Dekker (1971), "A floating-point technique for extending the available precision"; Li and Eisner,
"First- and second-order expectation semirings", EMNLP 2009.
"""

import math
import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, make_attribute_wrapper, models, overload, register_model

from fastsw._cpu.runtime.compile import EXPANDED_OPTIONS, PART_OPTIONS, helper, inlined
from fastsw._cpu.runtime.pointers import I64, element_at
from fastsw._cpu.simd.dual import Dual, derivative, dual, mul_add, primal, sum_of_three
from fastsw._recurrence import NEG_INF

#: Below it exp is 0.
_FAINT = -745.2

_DOUBLE = ir.DoubleType()


class Logarithm(types.Type):
    """Numba type of a number, with tangents or without."""

    def __init__(self, with_tangents: bool):
        self.with_tangents = with_tangents
        # What is kept in memory, and what all numbers of a pair have in common.
        self.kept = [
            "high",
            "low",
            "log",
            "entropy",
            *["tangent", "entropy_tangent"] * with_tangents,
        ]
        self.shared = ["per_temperature", *["temperature_tangent"] * with_tangents]
        super().__init__(name="Logarithm" + "WithTangents" * with_tangents)


@register_model(Logarithm)
class _LogarithmModel(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [(name, types.float64) for name in kind.kept + kind.shared])


for _name in Logarithm(True).kept + Logarithm(True).shared:
    make_attribute_wrapper(Logarithm, _name, _name)


def _remade(context, builder, like, number, values):
    """A number with other values of what is kept in memory."""
    made = cgutils.create_struct_proxy(like)(context, builder, value=number)
    for name, value in zip(like.kept, values, strict=True):
        setattr(made, name, value)
    return made._getvalue()


def _constant(context, builder, like, number, first):
    """A number of which all that is kept in memory is 0 but the first."""
    values = [ir.Constant(_DOUBLE, first)] + [ir.Constant(_DOUBLE, 0.0)] * (len(like.kept) - 1)
    return _remade(context, builder, like, number, values)


@intrinsic
def one(context, per_temperature, temperature_tangent):
    """The number of the empty alignment; without tangents if that of the temperature is None."""
    kind = Logarithm(temperature_tangent != types.none)

    def generate(context, builder, signature, arguments):
        made = cgutils.create_struct_proxy(kind)(context, builder)
        for name, value in zip(kind.shared, arguments, strict=False):
            setattr(made, name, value)
        return _constant(context, builder, kind, made._getvalue(), 0.0)

    return kind(per_temperature, temperature_tangent), generate


@intrinsic
def nothing(context, like):
    """The number of what is impossible."""
    return like(like), lambda c, b, _, given: _constant(c, b, like, given[0], NEG_INF)


@intrinsic
def number(context, like, values):
    """A number of a tuple of what is kept in memory."""

    def generate(context, builder, signature, arguments):
        return _remade(
            context, builder, like, arguments[0], cgutils.unpack_tuple(builder, arguments[1])
        )

    return like(like, values), generate


@intrinsic
def load(context, like, row, at):
    """A number from an array."""

    def generate(context, builder, signature, arguments):
        first = element_at(context, builder, row, arguments[1:], _DOUBLE)
        values = [builder.load(builder.gep(first, [I64(k)])) for k in range(len(like.kept))]
        return _remade(context, builder, like, arguments[0], values)

    return like(like, row, types.intp), generate


@intrinsic
def store(context, row, at, a):
    """Write a number into an array."""

    def generate(context, builder, signature, arguments):
        first = element_at(context, builder, row, arguments[:2], _DOUBLE)
        made = cgutils.create_struct_proxy(a)(context, builder, value=arguments[2])
        for k, name in enumerate(a.kept):
            builder.store(getattr(made, name), builder.gep(first, [I64(k)]))
        return context.get_dummy_value()

    return types.none(row, types.intp, a), generate


@intrinsic
def double(context, like, value, tangent):
    """A score or a probability, with its tangent if numbers have tangents."""
    kind = Dual(types.float64) if like.with_tangents else types.float64

    def generate(context, builder, signature, arguments):
        if not like.with_tangents:
            return arguments[1]
        made = cgutils.create_struct_proxy(kind)(context, builder)
        made.primal, made.tangent = arguments[1:]
        return made._getvalue()

    return kind(like, types.float64, types.float64), generate


@intrinsic
def size_of(context, like):
    """How many doubles a number takes in memory."""
    return types.intp(like), lambda *_: I64(len(like.kept))


def answer(a, temperature):
    """A number in one double and its entropy, or the tangents of both: 0 of what is impossible."""
    raise NotImplementedError("compiled code only")


def tangent_at(tangents, b, scale):
    """A pair's tangent of the temperature; None where there are none."""
    raise NotImplementedError("compiled code only")


def shares(a, b, c):
    """Shares of three terms in their sum, with tangents if the terms have them."""
    raise NotImplementedError("compiled code only")


@overload(answer, jit_options=PART_OPTIONS)
def _answer(a, temperature):
    with_tangents = a.with_tangents

    def answer_of(a, temperature):
        if a.high == NEG_INF:
            return 0.0 if with_tangents else NEG_INF, 0.0
        if with_tangents:
            return a.tangent, a.entropy_tangent
        return a.high + (a.low + temperature * a.log), a.entropy

    return answer_of


@overload(tangent_at, jit_options=PART_OPTIONS)
def _tangent_at(tangents, b, scale):
    if tangents == types.none:
        return lambda tangents, b, scale: None
    return lambda tangents, b, scale: tangents[b] * scale


@inlined
def add(high, low, x):
    """An unevaluated sum of two doubles, plus one."""
    total = high + x
    if not -math.inf < total < math.inf:
        return total, 0.0
    back = total - high
    rest = (high - (total - back)) + (x - back) + low
    high = total + rest
    return high, rest - (high - total)


@overload(operator.mul, jit_options=EXPANDED_OPTIONS)
def _multiply(a, b):
    if not (isinstance(a, (types.Float, Dual)) and isinstance(b, Logarithm)):
        return None
    with_tangents = b.with_tangents

    def multiply(a, b):
        high, low = add(b.high, b.low, primal(a))
        if not with_tangents:
            return number(b, (high, low, b.log, b.entropy))
        tangent = b.tangent + derivative(a)
        return number(b, (high, low, b.log, b.entropy, tangent, b.entropy_tangent))

    return multiply


@inlined
def log_ratio(b, a):
    """Log of b over a: infinite if either is impossible, and minus infinity if both are."""
    if b.high == NEG_INF:
        return NEG_INF
    return ((b.high - a.high) + (b.low - a.low)) * a.per_temperature + (b.log - a.log)


@inlined
def exp(x):
    """The exponential of x <= 0, quickly where it is 1 or 0."""
    if x == 0.0:
        return 1.0
    return math.exp(x) if x > _FAINT else 0.0


@inlined
def compared(a, b, c):
    """The largest of three terms, logs of their ratios to it, their shares, and 1 over its own."""
    top, gap_a, gap_b = a, 0.0, log_ratio(b, a)
    if gap_b > 0.0:
        top, gap_a, gap_b = b, -gap_b, 0.0
    gap_c = log_ratio(c, top)
    if gap_c > 0.0:
        top, gap_a, gap_b, gap_c = c, log_ratio(a, c), log_ratio(b, c), 0.0
    gap_a, gap_b, gap_c = max(gap_a, _FAINT), max(gap_b, _FAINT), max(gap_c, _FAINT)
    part_a, part_b, part_c = exp(gap_a), exp(gap_b), exp(gap_c)
    whole = max(part_a + part_b + part_c, 1.0)
    return top, (gap_a, gap_b, gap_c), (part_a / whole, part_b / whole, part_c / whole), whole


@inlined
def slopes(a, b, c, top, gaps):
    """Tangents of three terms less those of the logs of their ratios to the largest, times T."""
    rate = top.temperature_tangent
    return a.tangent - rate * gaps[0], b.tangent - rate * gaps[1], c.tangent - rate * gaps[2]


@inlined
def mean(of, x):
    """The mean of three values by their shares."""
    return of[0] * x[0] + of[1] * x[1] + of[2] * x[2]


@overload(sum_of_three, jit_options=EXPANDED_OPTIONS)
def _sum_of_three(a, b, c):
    if not isinstance(a, Logarithm):
        return None
    with_tangents = a.with_tangents

    def sum_of(a, b, c):
        top, gaps, of, whole = compared(a, b, c)
        over = math.log(whole) if whole > 1.0 else 0.0
        h = a.entropy - gaps[0], b.entropy - gaps[1], c.entropy - gaps[2]
        entropy = over + mean(of, h)
        if not with_tangents:
            return number(top, (top.high, top.low, top.log + over, entropy))
        d = slopes(a, b, c, top, gaps)
        middle = mean(of, d)
        tangent = middle + top.temperature_tangent * over
        moved = (d[0] - middle) * h[0], (d[1] - middle) * h[1], (d[2] - middle) * h[2]
        inner = a.entropy_tangent, b.entropy_tangent, c.entropy_tangent
        entropy_tangent = mean(of, moved) * top.per_temperature + mean(of, inner)
        return number(top, (top.high, top.low, top.log + over, entropy, tangent, entropy_tangent))

    return sum_of


@overload(operator.add, jit_options=PART_OPTIONS)
def _add(a, b):
    if isinstance(a, Logarithm) and isinstance(b, Logarithm):
        return lambda a, b: sum_of_three(a, b, nothing(a))
    return None


@overload(mul_add, jit_options=EXPANDED_OPTIONS)
def _multiply_add(a, b, c):
    return (lambda a, b, c: c + a * b) if isinstance(c, Logarithm) else None


@overload(shares, jit_options=EXPANDED_OPTIONS)
def _shares(a, b, c):
    with_tangents = a.with_tangents

    def shares_of(a, b, c):
        top, gaps, of, _ = compared(a, b, c)
        if not with_tangents:
            return of
        d, per_temperature = slopes(a, b, c, top, gaps), top.per_temperature
        middle = mean(of, d)
        return (
            dual(of[0], of[0] * (d[0] - middle) * per_temperature),
            dual(of[1], of[1] * (d[1] - middle) * per_temperature),
            dual(of[2], of[2] * (d[2] - middle) * per_temperature),
        )

    return shares_of


@helper
def split(whole, a, b):
    """What two terms of a sum take of its probability."""
    if primal(whole) == 0.0 and derivative(whole) == 0.0:
        return whole, whole
    of_a, of_b, _ = shares(a, b, nothing(a))
    return whole * of_a, whole * of_b
