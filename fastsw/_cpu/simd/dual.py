"""Dual numbers: vectors with their derivatives along a direction, the tangents.

A kernel of first derivatives computes with vectors. The same code computes second derivatives with
dual numbers in their place, whose sums and products carry the tangents along:

    (a + b)' = a' + b'        (a b)' = a' b + a b'

A vector among dual numbers is a constant; numbers are either.
"""

from __future__ import annotations

import functools
import itertools
import operator
from types import SimpleNamespace

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.vectors import Vector, where_greater


class Dual(types.Type):
    """Numba type of a vector and its tangent."""

    def __init__(self, part: types.Type):
        self.part = part
        super().__init__(name=f"Dual({part.name})")


@register_model(Dual)
class _DualModel(models.StructModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, [("primal", kind.part), ("tangent", kind.part)])


def _split(context, builder, kind, number):
    """A number's vector and its tangent; None for that of a constant."""
    if not isinstance(kind, Dual):
        return number, None
    both = cgutils.create_struct_proxy(kind)(context, builder, value=number)
    return both.primal, both.tangent


def _joined(context, builder, kind, primal, tangent):
    """A vector and its tangent as a number."""
    if not isinstance(kind, Dual):
        return primal
    both = cgutils.create_struct_proxy(kind)(context, builder)
    both.primal, both.tangent = primal, tangent
    return both._getvalue()


def _part(kind):
    """Type of a number's vector."""
    return kind.part if isinstance(kind, Dual) else kind


def _fused(builder, part, a, b, c):
    """a * b + c with one rounding; None for the c of constants."""
    if c is None:
        return builder.fmul(a, b)
    suffix = part.suffix if isinstance(part, Vector) else f"f{part.bitwidth}"
    kind = ir.FunctionType(a.type, [a.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.{suffix}")
    return builder.call(function, [a, b, c])


@intrinsic
def dual(context, primal, tangent):
    """A vector and its tangent as one number."""
    kind = Dual(primal)
    return kind(primal, tangent), lambda c, b, _, both: _joined(c, b, kind, *both)


@intrinsic
def primal(context, a):
    """A number's vector, without a tangent."""
    return _part(a)(a), lambda c, b, _, given: _split(c, b, a, given[0])[0]


@intrinsic
def derivative(context, a):
    """What a kernel is asked for: the tangent of a dual number, else the vector."""
    return _part(a)(a), lambda c, b, _, given: _split(c, b, a, given[0])[isinstance(a, Dual)]


def mul_add(a, b, c):
    """a * b + c, of numbers, with one rounding."""
    raise NotImplementedError("compiled code only")


def sum_of_three(a, b, c):
    """a + b + c, of numbers that take less time for it than for two sums."""
    raise NotImplementedError("compiled code only")


def _type_of(*given):
    """Type of a sum or product of numbers; None if they are something else."""
    if not all(isinstance(kind, (Vector, Dual)) for kind in given):
        return None
    return next((kind for kind in given if isinstance(kind, Dual)), given[0])


@type_callable(operator.add)
@type_callable(operator.mul)
def _type_of_two(context):
    return lambda a, b: _type_of(a, b) if Dual in (type(a), type(b)) else None


@type_callable(mul_add)
def _type_of_three(context):
    return lambda a, b, c: _type_of(a, b, c)


def _all_split(context, builder, signature, arguments):
    """Vectors and tangents of the arguments of an operation."""
    given = zip(signature.args, arguments, strict=True)
    return [_split(context, builder, kind, number) for kind, number in given]


def _add(context, builder, signature, arguments):
    (v, d), (w, e) = _all_split(context, builder, signature, arguments)
    tangent = d if e is None else e if d is None else builder.fadd(d, e)
    return _joined(context, builder, signature.return_type, builder.fadd(v, w), tangent)


def _multiply_add(context, builder, signature, arguments):
    """Code of a * b + c, and of a * b, which has no c."""
    kind, none = signature.return_type, (None, None)
    (v, d), (w, e), (x, tangent) = [*_all_split(context, builder, signature, arguments), none][:3]
    for factor, rate in ((v, e), (w, d)):
        if rate is not None:
            tangent = _fused(builder, kind.part, factor, rate, tangent)
    return _joined(context, builder, kind, _fused(builder, _part(kind), v, w, x), tangent)


for _kinds in itertools.product((Vector, Dual), repeat=3):
    lower_builtin(mul_add, *_kinds)(_multiply_add)
    if Dual in _kinds[:2]:
        lower_builtin(operator.add, *_kinds[:2])(_add)
        lower_builtin(operator.mul, *_kinds[:2])(_multiply_add)


@functools.cache
def numbers(bits: int, lanes: int, with_tangents: bool) -> SimpleNamespace:
    """What `simd` does with vectors in memory, for numbers: dual ones with `with_tangents`.

    The tangent of a number in memory lies `apart` elements after its vector.
    """
    simd, zero = lanes_of(bits, lanes), np.float32(0) if bits == 32 else np.float64(0)
    variant = Variant(bits, lanes, "dual" if with_tangents else "plain")
    load_f, store_f, above, below = simd.load_f, simd.store, simd.from_above, simd.from_below
    first, last, splat = simd.store_first, simd.store_last, simd.splat_f

    @variant.inlined
    def load(place, at, apart):
        if with_tangents:
            return dual(load_f(place, at), load_f(place, at + apart))
        return load_f(place, at)

    @variant.inlined
    def store(place, at, apart, a):
        store_f(place, at, primal(a))
        if with_tangents:
            store_f(place, at + apart, derivative(a))

    @variant.inlined
    def from_above(a, place, at, apart):
        if with_tangents:
            tangent = above(derivative(a), place, at + apart)
            return dual(above(primal(a), place, at), tangent)
        return above(a, place, at)

    @variant.inlined
    def from_below(a, place, at, apart):
        if with_tangents:
            tangent = below(derivative(a), place, at + apart)
            return dual(below(primal(a), place, at), tangent)
        return below(a, place, at)

    @variant.inlined
    def store_first(place, at, apart, a):
        first(place, at, primal(a))
        if with_tangents:
            first(place, at + apart, derivative(a))

    @variant.inlined
    def store_last(place, at, apart, a):
        last(place, at, primal(a))
        if with_tangents:
            last(place, at + apart, derivative(a))

    @variant.inlined
    def constant(a):
        if with_tangents:
            return dual(a, splat(zero))
        return a

    @variant.inlined
    def weighed(weight, place, at, apart, per_temperature):
        """The weight of a similarity, whose tangent lies where that of the weight would."""
        if with_tangents:
            tangent = weight * (per_temperature * load_f(place, at + apart))
            return dual(weight, where_greater(weight, splat(zero), tangent, splat(zero)))
        return weight

    @variant.inlined
    def relative(a, growth):
        """A number as a part of a total, whose log has the tangent `growth`."""
        if with_tangents:
            return dual(primal(a), derivative(a) - growth * primal(a))
        return a

    return SimpleNamespace(
        load=load,
        store=store,
        from_above=from_above,
        from_below=from_below,
        store_first=store_first,
        store_last=store_last,
        constant=constant,
        weighed=weighed,
        relative=relative,
    )
