"""Positive numbers as a mantissa and an exponent of their own: nothing over- or underflows.

A number is ``f * 2**k`` with f in [1, 2). In single precision k is an int32, in double precision a
whole float64, so that it never overflows. Zero is a number with an exponent that nothing else
reaches (`nothing`); sums and products treat it as any other. Precision is that of the mantissa at
any magnitude, which float32 in log space does not give: there a value of 1000 leaves 6e-5 of
relative error.
"""

import functools
from typing import NamedTuple

import numpy as np

from fastsw._cuda._device import (
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

#: Single precision: the largest |value / T| in bits whose fraction is exact enough, the largest
#: that an alignment may sum up to, and below what a sum counts as zero.
DIGITS, SUM = 2.0**22, 2.0**26


class Numbers(NamedTuple):
    """Types and device functions of one precision."""

    real: type
    whole: type
    nothing: object  # the exponent of zero
    void: object  # a sum with an exponent below counts as zero
    power: object  # 2**k for k <= 2, 0 from -127 (-1023) on
    normal: object  # f * 2**k with the mantissa in [1, 2)
    weight: object  # 2**(value * unit)
    split: object  # the same of a float64 value


@functools.cache
def numbers(bits: int) -> Numbers:
    """Give the numbers with mantissas of 32 or 64 bits."""
    return _single() if bits == 32 else _double()


def _single():
    real, whole = np.float32, np.int32
    nothing, forbidden, void = whole(-(2**29)), whole(-(2**28)), whole(-(2**27))
    low, bias, zero, depth = real(-(2.0**27)), whole(127), real(0), whole(23)

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
        impossible = t < low
        q = forbidden if impossible else round_float(t)
        fraction = fma_float(value, rest, fma_float(value, high, -real(q)))
        return exp2_float(zero if impossible else fraction), q

    @device
    def split(t):
        q = round_double(t)
        return exp2_float(real(t - q)), whole(q)

    return Numbers(real, whole, nothing, void, power, normal, weight, split)


def _double():
    real = whole = np.float64
    nothing, void = whole(-(2.0**1000)), whole(-(2.0**990))
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
        impossible = t < void
        q = nothing if impossible else round_double(t)
        fraction = fma_double(value, rest, fma_double(value, high, -q))
        return exp2_double(0.0 if impossible else fraction), q

    @device
    def split(t):
        q = round_double(t)
        return exp2_double(t - q), q

    return Numbers(real, whole, nothing, void, power, normal, weight, split)
