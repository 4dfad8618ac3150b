"""Positive numbers as a mantissa and an exponent of their own: nothing over- or underflows.

A number is ``f * 2**k`` with f in [1, 2). Zero is a number with an exponent that nothing else
reaches (`nothing`); sums and products treat it as any other. Precision is that of the mantissa at
any magnitude, which float32 in log space does not give: there a value of 1000 leaves 6e-5 of
relative error.

Three kinds: "narrow" has an int32 exponent and a float32 mantissa, "wide" a float32 mantissa and a
whole float64 as exponent, which never overflows, "double" float64 of both.

The range of narrow numbers. Values and penalties below -2**28 bits (a score over T log 2) become
-2**28, and exponents stop at `nothing`, so that numbers can only be too large, and those that are
lie below 2**-2**28. Where nothing can multiply an alignment by more than 2**`GAIN`, what comes of
them lies below 2**-(2**28 - 2**26), and a total above 2**`underflow` owes nothing to them, nor does
any share of it. So cells masked by -1e9, or by any other number that low, need no care; pairs with
a larger gain, or a lower total, are those that narrow numbers do not answer.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from fastsw._cuda.device import (
    bits_of_double,
    bits_of_float,
    device,
    double_of_bits,
    exp2_double,
    exp2_float,
    float_of_bits,
    fma_double,
    fma_float,
    round_double,
    round_float,
)

#: Narrow numbers: the most bits that all cells and penalties of an alignment may add to it.
GAIN = 2.0**26


class Numbers(NamedTuple):
    """Types and device functions of one kind."""

    real: Any  # of mantissas
    whole: Any  # of exponents
    scale: Any  # of the factor that makes a value bits
    mass: Any  # of sums of shares times values
    nothing: Any  # the exponent of zero
    underflow: Any  # a sum with an exponent below counts as zero
    power: Any  # 2**k for k <= 2, 0 from -127 (-1023) on
    normal: Any  # f * 2**k with the mantissa in [1, 2)
    weight: Any  # 2**(value * unit)
    split: Any  # 2**t of a float64 t, its mantissa rounded by a nudge, and what that left out


class Arithmetic(NamedTuple):
    """Device functions on numbers (mantissa, exponent, tangent) of one kind.

    Tangents are those of logarithms, and zero where none are carried.
    """

    add: Any
    add_power: Any
    times: Any
    normalised: Any
    share: Any


@functools.cache
def arithmetic(name: str, *, with_tangents: bool) -> Arithmetic:
    """Give the arithmetic of a kind of numbers, with or without tangents."""
    kind = numbers(name)
    whole, power, normal = kind.whole, kind.power, kind.normal
    zero = kind.real(0)

    @device
    def add(a, b):
        """Sum of two numbers, its mantissa not normalised."""
        k = max(a[1], b[1])
        fa, fb = a[0] * power(whole(a[1] - k)), b[0] * power(whole(b[1] - k))
        f, d = fa + fb, zero
        if with_tangents:
            d = (fa * a[2] + fb * b[2]) / f
        return f, k, d

    @device
    def add_power(a, exponent):
        """Sum of a number and a power of two that is constant, its mantissa not normalised."""
        k = max(a[1], exponent)
        fa = a[0] * power(whole(a[1] - k))
        f, d = fa + power(whole(exponent - k)), zero
        if with_tangents:
            d = fa * a[2] / f
        return f, k, d

    @device
    def times(a, b):
        """Product of two numbers."""
        d = zero
        if with_tangents:
            d = a[2] + b[2]
        return a[0] * b[0], whole(a[1] + b[1]), d

    @device
    def normalised(a):
        """The number with its mantissa in [1, 2)."""
        f, k = normal(a[0], a[1])
        return f, k, a[2]

    @device
    def share(a, b, per_total, total_k, total_d):
        """Product of two numbers over the total, at most 1, or its tangent."""
        p = a[0] * b[0] * per_total * power(min(whole(whole(a[1] + b[1]) + total_k), whole(2)))
        if with_tangents:
            p *= a[2] + b[2] - total_d
        return p

    return Arithmetic(add, add_power, times, normalised, share)


@functools.cache
def sums_of_three(name: str):
    """Give the sum of three numbers (mantissa, exponent), unnormalised, and the product of two."""
    kind = numbers(name)
    power, normal = kind.power, kind.normal

    @device
    def total(a, b, c):
        k = max(a[1], max(b[1], c[1]))
        return a[0] * power(a[1] - k) + b[0] * power(b[1] - k) + c[0] * power(c[1] - k), k

    @device
    def product(a, b):
        return normal(a[0] * b[0], a[1] + b[1])

    return total, product


def _growth():
    """Coefficients, the last first, of (2**x - 1) / x for |x| <= 1/2, right to 1e-8 of itself."""
    nodes = np.polynomial.chebyshev.chebpts1(6) / 2
    values = np.expm1(math.log(2.0) * nodes) / nodes
    found = np.polynomial.Polynomial.fit(nodes, values, 5).convert()
    return tuple(np.float32(c) for c in found.coef[::-1])


C5, C4, C3, C2, C1, C0 = _growth()
ZERO, ONE, BELOW, ABOVE = (np.float32(v) for v in (0, 1, 2.0**-24, 2.0**-23))


@device
def near_one(little, nudge):
    """1 + a little in float32, rounded up or down by a nudge in [-1/2, 1/2); 1 stays 1."""
    return ONE + (little + nudge * (ABOVE if little > ZERO else BELOW))


@device
def rounded_power(x, nudge):
    """2**x for float32 |x| <= 1/2, rounded by a nudge, and what that left out, relative to it.

    A factor that an alignment meets a hundred times may not be rounded in the same way each time,
    or the errors add up. What the nudge does not even out is some 1e-7 of x, however small x is:
    the logarithm of a product is right to that much of itself. The machine's own instruction errs
    by 1e-7 of the power.
    """
    little = x * (((((C5 * x + C4) * x + C3) * x + C2) * x + C1) * x + C0)
    f = near_one(little, nudge)
    return f, (little - (f - ONE)) / f


@functools.cache
def numbers(name: str) -> Numbers:
    """Give the numbers of the kind "narrow", "wide" or "double"."""
    return {"narrow": _narrow, "wide": _wide, "double": _double}[name]()


def _narrow():
    real, whole = np.float32, np.int32
    nothing, lowest, underflow = whole(-(2**29)), whole(-(2**28)), whole(-(2**27))
    low, bias, zero, depth = real(-(2.0**28)), whole(127), real(0), whole(23)

    @device
    def power(k):
        return float_of_bits(whole(whole(max(k, whole(-127)) + bias) << depth))

    @device
    def normal(f, k):
        bits = bits_of_float(f)
        e = whole(whole(bits >> depth) - bias)
        return float_of_bits(whole(bits - whole(e << depth))), max(whole(k + e), nothing)

    @device
    def weight(value, high, rest):
        t = value * high
        lost = t < low
        q = lowest if lost else round_float(t)
        fraction = fma_float(value, rest, fma_float(value, high, -real(q)))
        return exp2_float(zero if lost else fraction), q

    @device
    def split(t, nudge):
        inside = min(max(t, -(2.0**28)), 2.0**28)
        q = round_double(inside)
        f, left = rounded_power(real(inside - q), nudge)
        return f, whole(q), left

    return Numbers(real, whole, real, real, nothing, underflow, power, normal, weight, split)


def _wide():
    real, whole = np.float32, np.float64
    nothing, underflow = whole(-(2.0**1000)), whole(-(2.0**990))
    bias, zero, depth = np.int32(127), np.float64(0), np.int32(23)

    @device
    def power(k):
        return float_of_bits(np.int32(np.int32(np.int32(max(k, -127.0)) + bias) << depth))

    @device
    def normal(f, k):
        bits = bits_of_float(f)
        e = np.int32(np.int32(bits >> depth) - bias)
        return float_of_bits(np.int32(bits - np.int32(e << depth))), max(k + whole(e), nothing)

    @device
    def weight(value, high, rest):
        t = np.float64(value) * high
        lost = t < underflow
        q = nothing if lost else round_double(t)
        fraction = fma_double(value, rest, fma_double(value, high, -q))
        # Beyond 2**52 bits what is left of t after rounding may be anything.
        return exp2_float(real(zero if lost else min(max(fraction, -1.0), 1.0))), q

    @device
    def split(t, nudge):
        q = round_double(t)
        f, left = rounded_power(real(t - q), nudge)
        return f, q, left

    return Numbers(real, whole, whole, whole, nothing, underflow, power, normal, weight, split)


def _double():
    real = whole = np.float64
    nothing, underflow = whole(-(2.0**1000)), whole(-(2.0**990))
    bias, depth = np.int64(1023), np.int64(52)

    @device
    def power(k):
        return double_of_bits((np.int64(max(k, -1023.0)) + bias) << depth)

    @device
    def normal(f, k):
        bits = bits_of_double(f)
        e = (bits >> depth) - bias
        return double_of_bits(bits - (e << depth)), max(k + whole(e), nothing)

    @device
    def weight(value, high, rest):
        t = np.float64(value) * high
        lost = t < underflow
        q = nothing if lost else round_double(t)
        fraction = fma_double(value, rest, fma_double(value, high, -q))
        return exp2_double(0.0 if lost else min(max(fraction, -1.0), 1.0)), q  # see `_wide`

    @device
    def split(t, nudge):
        q = round_double(t)
        return exp2_double(t - q), q, 0.0

    return Numbers(real, whole, whole, whole, nothing, underflow, power, normal, weight, split)
