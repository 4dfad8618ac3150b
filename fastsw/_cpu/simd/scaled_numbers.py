"""Vectors of numbers of any range, each with an exponent of its own: mantissa times 2**exponent.

In memory mantissas and exponents lie at the same index of a pair of arrays.
"""

from __future__ import annotations

import functools
import operator
from types import SimpleNamespace

from numba.core import cgutils, types
from numba.extending import intrinsic, make_attribute_wrapper, models, overload, register_model

from fastsw._cpu.runtime.compile import EXPANDED_OPTIONS, Variant
from fastsw._cpu.simd.dual import sum_of_three
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.scaled import arithmetic, scalars
from fastsw._cpu.simd.vectors import Vector, vmax, where_greater


class Scaled(types.Type):
    """Numba type of mantissas and exponents."""

    def __init__(self, mantissa: Vector, exponent: Vector):
        self.mantissa, self.exponent = mantissa, exponent
        super().__init__(name=f"Scaled({mantissa.name})")


@register_model(Scaled)
class _ScaledModel(models.StructModel):
    def __init__(self, manager, kind):
        parts = [("mantissa", kind.mantissa), ("exponent", kind.exponent)]
        super().__init__(manager, kind, parts)


make_attribute_wrapper(Scaled, "mantissa", "mantissa")
make_attribute_wrapper(Scaled, "exponent", "exponent")


@intrinsic
def scaled(context, mantissa, exponent):
    """Mantissas and exponents as numbers."""
    kind = Scaled(mantissa, exponent)

    def generate(context, builder, signature, arguments):
        both = cgutils.create_struct_proxy(kind)(context, builder)
        both.mantissa, both.exponent = arguments
        return both._getvalue()

    return kind(mantissa, exponent), generate


@overload(operator.mul, jit_options=EXPANDED_OPTIONS)
def _multiply(a, b):
    if not (isinstance(a, Scaled) and isinstance(b, Scaled)):
        return None
    product = scaled_numbers(a.mantissa.bits, a.mantissa.lanes).product
    return lambda a, b: product(a, b)


@overload(sum_of_three, jit_options=EXPANDED_OPTIONS)
def _sum_of_three(a, b, c):
    if not isinstance(a, Scaled):
        return None
    total = scaled_numbers(a.mantissa.bits, a.mantissa.lanes).sum_of_three
    return lambda a, b, c: total(a, b, c)


@functools.cache
def scaled_numbers(bits: int, lanes: int) -> SimpleNamespace:
    """Arithmetic of such numbers, and what `simd` does with vectors in memory."""
    simd, kind, variant = lanes_of(bits, lanes), scalars(bits), Variant(bits, lanes, "scaled")
    power, splat_f, splat_i = arithmetic(bits, lanes).power, simd.splat_f, simd.splat_i
    exponent, from_exponent = simd.exponent, simd.from_exponent
    load_f, load_i, store_vector = simd.load_f, simd.load_i, simd.store
    above, below, first, last = (
        simd.from_above,
        simd.from_below,
        simd.store_first,
        simd.store_last,
    )
    zero, nothing = kind.real(0), kind.nothing
    bias, inverse = kind.whole(simd.bias), kind.whole(2 * simd.bias)

    @variant.inlined
    def sum_of_three(a, b, c):
        """The sum, with the largest of the exponents."""
        k = vmax(a.exponent, vmax(b.exponent, c.exponent))
        of_two = b.mantissa * power(b.exponent - k) + c.mantissa * power(c.exponent - k)
        return scaled(a.mantissa * power(a.exponent - k) + of_two, k)

    @variant.inlined
    def product(a, b):
        """The product with mantissas in [1, 2), or 0 with the least exponent."""
        f, k = a.mantissa * b.mantissa, b.exponent + a.exponent
        e = exponent(f)
        k = where_greater(f, splat_f(zero), k + e - splat_i(bias), splat_i(nothing))
        return scaled(f * from_exponent(splat_i(inverse) - e), k)

    @variant.inlined
    def load(arrays, at):
        return scaled(load_f(arrays[0], at), load_i(arrays[1], at))

    @variant.inlined
    def store(arrays, at, a):
        store_vector(arrays[0], at, a.mantissa)
        store_vector(arrays[1], at, a.exponent)

    @variant.inlined
    def from_above(a, arrays, at):
        return scaled(above(a.mantissa, arrays[0], at), above(a.exponent, arrays[1], at))

    @variant.inlined
    def from_below(a, arrays, at):
        return scaled(below(a.mantissa, arrays[0], at), below(a.exponent, arrays[1], at))

    @variant.inlined
    def store_first(arrays, at, a):
        first(arrays[0], at, a.mantissa)
        first(arrays[1], at, a.exponent)

    @variant.inlined
    def store_last(arrays, at, a):
        last(arrays[0], at, a.mantissa)
        last(arrays[1], at, a.exponent)

    @variant.inlined
    def zeros():
        return scaled(splat_f(zero), splat_i(nothing))

    return SimpleNamespace(
        sum_of_three=sum_of_three,
        product=product,
        load=load,
        store=store,
        from_above=from_above,
        from_below=from_below,
        store_first=store_first,
        store_last=store_last,
        zeros=zeros,
    )
