"""Vector arithmetic of the linear-space kernels: powers of two, exp, sums of scaled numbers."""

from __future__ import annotations

import functools
import math
from types import SimpleNamespace

import numpy as np

from fastsw._cpu.runtime.compile import Variant
from fastsw._cpu.simd.dual import mul_add, primal
from fastsw._cpu.simd.lanes import lanes_of
from fastsw._cpu.simd.vectors import fma, nearest, to_integers, vmax, vmin, where_greater

LOG2E = 1.0 / math.log(2.0)


def exp2_polynomial(degree):
    """Coefficients, lowest first, of the Chebyshev interpolant of 2**f on [-1/2, 1/2]."""
    series = np.polynomial.Chebyshev.interpolate(np.exp2, degree, domain=[-0.5, 0.5])
    return series.convert(kind=np.polynomial.Polynomial).coef


@functools.cache
def scalars(bits):
    """Scalar types and constants of one precision."""
    real, whole = (np.float32, np.int32) if bits == 32 else (np.float64, np.int64)
    return SimpleNamespace(
        real=real,
        whole=whole,
        nothing=whole(-(2**29)) if bits == 32 else whole(-(2**60)),  # exponent of the impossible
        polynomial=tuple(real(c) for c in exp2_polynomial(6 if bits == 32 else 12)),
    )


@functools.cache
def arithmetic(bits, lanes):
    """Vector functions of one precision and width."""
    simd, kind, variant = lanes_of(bits, lanes), scalars(bits), Variant(bits, lanes)
    splat_f, splat_i = simd.splat_f, simd.splat_i
    exponent, from_exponent, grown = simd.exponent, simd.from_exponent, simd.grown
    whole, zero, polynomial = kind.whole, kind.real(0), kind.polynomial
    magic = kind.real(simd.magic)
    # Shares of the total that matter stay below 2**80 (2**900), by `range_check`; what lies beyond
    # the last column may not, and must not overflow before it is multiplied by 0.
    bias, most = whole(simd.bias), whole(simd.bias + (100 if bits == 32 else 950))

    @variant.inlined
    def power(k):
        """2**k for k <= bias; 0 where that is too small."""
        return from_exponent(vmax(k + splat_i(bias), splat_i(whole(0))))

    @variant.inlined
    def capped_float(biased):
        """The power of two with a biased exponent, at most 2**(most - bias)."""
        return from_exponent(vmin(vmax(biased, splat_i(whole(0))), splat_i(most)))

    @variant.inlined
    def capped_power(k):
        """2**k, at most 2**(most - bias)."""
        return capped_float(k + splat_i(bias))

    def evaluated(first, count):
        """`count` terms of the polynomial from x**first on, divided by x**first.

        By halves: what Horner's rule adds one after the other waits longer for one another.
        """
        if count == 1:

            @variant.inlined
            def constant(powers):
                return splat_f(polynomial[first])

            return constant
        half = 1 << (count - 1).bit_length() - 1
        low, high = evaluated(first, half), evaluated(first + half, count - half)
        doublings = half.bit_length() - 1

        @variant.inlined
        def both(powers):
            return fma(high(powers), powers[doublings], low(powers))

        return both

    polynomial_at = evaluated(0, len(polynomial))

    @variant.inlined
    def root(f):
        """2**f for f in [-1/2, 1/2]."""
        square = f * f
        fourth = square * square
        return polynomial_at((f, square, fourth, fourth * fourth))

    @variant.inlined
    def weight(s, unit, floor):
        """exp(s / T) as mantissa and exponent, exactly 0 for s <= floor; unit = log2(e) / T."""
        clamped = vmax(s, floor)
        whole_part = nearest(clamped * unit)
        f = fma(clamped, unit, splat_f(zero) - whole_part)
        return where_greater(clamped, floor, root(f), splat_f(zero)), to_integers(whole_part)

    @variant.inlined
    def plain_weight(s, unit, floor):
        """exp(s / T) where that is a normal number, exactly 0 for s <= floor."""
        clamped = vmax(s, floor)
        shifted = fma(clamped, unit, splat_f(magic))
        f = fma(clamped, unit, splat_f(magic) - shifted)
        return grown(root(f), shifted, clamped, floor)

    @variant.inlined
    def scaled_sum(a, ka, b, kb):
        """a * 2**ka + b * 2**kb and its exponent, of numbers."""
        k = vmax(ka, kb)
        return mul_add(a, power(ka - k), b * power(kb - k)), k

    @variant.inlined
    def common(m, km, x, kx, y, ky):
        """The three states, numbers, brought to a common exponent, the largest in [1, 2)."""
        k = vmax(km + exponent(primal(m)), kx + exponent(primal(x)))
        k = vmax(k, ky + exponent(primal(y))) - splat_i(bias)
        return m * power(km - k), x * power(kx - k), y * power(ky - k), k

    return SimpleNamespace(
        power=power,
        capped_float=capped_float,
        capped_power=capped_power,
        weight=weight,
        plain_weight=plain_weight,
        scaled_sum=scaled_sum,
        common=common,
    )
