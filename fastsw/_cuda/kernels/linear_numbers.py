"""Numbers of linear space: float32 in units of a power of two that a block of cells shares.

In fours, since that is what a lane has of a row of its block.
"""

import numpy as np

from fastsw._cuda.device import (
    bits_of_double,
    bits_of_float,
    device,
    double_of_bits,
    exp2_float,
    float_of_bits,
    fma_float,
    from_above,
    from_below,
    larger,
    larger_or_nan,
    opaque,
)
from fastsw._cuda.kernels.penalties import LN2

#: Rows of a lane, and columns of a block.
ROWS, COLUMNS = 2, 4

#: Bits: where the largest state that enters a block lies, what its states may grow to, and how far
#: below that one a state may be that the rest of an alignment makes up for. See docs/range.md.
HEAD, ROOM, EXPONENT_GAP = 40, 120.0, 116.0

#: Integers of 32 bits, whose type would be that of 64 as literals.
small = np.int32
ZERO, ONE, LOW, HIGH, BIAS, DEPTH = (
    small(0),
    small(1),
    small(-127),
    small(126),
    small(127),
    small(23),
)
NO_UNIT, HEADROOM, FOUR = small(-(2**30)), small(HEAD), small(COLUMNS)
LOW_DOUBLE, BIAS_DOUBLE = small(-1023), small(1023)


@device
def power(k):
    """2**k in float32, 0 below its range and 2**126 above."""
    return float_of_bits(small(small(min(max(small(k), LOW), HIGH) + BIAS) << DEPTH))


@device
def power_double(k):
    """2**k in float64 for k <= 0, 0 below its range."""
    return double_of_bits(np.int64(small(max(small(k), LOW_DOUBLE) + BIAS_DOUBLE)) << np.int64(52))


@device
def normal_double(a):
    """A positive number as one in [1, 2) and a power of two."""
    bits = bits_of_double(a)
    k = np.int64(bits >> np.int64(52)) - np.int64(1023)
    return double_of_bits(bits - (k << np.int64(52))), np.int32(k)


@device
def kept(a):
    """The float32, which the compiler keeps, and does not compute again where it is needed."""
    return float_of_bits(opaque(bits_of_float(a)))


@device
def exponent_of(a, unit):
    """Exponent of a positive number in units of 2**unit; that of 0 is below all others."""
    bits = bits_of_float(a)
    found = small(small(small(bits >> DEPTH) + unit) - BIAS)
    return found if bits > ZERO else NO_UNIT


@device
def top_of_four(a):
    """The largest of four numbers."""
    return larger(larger(a[0], a[1]), larger(a[2], a[3]))


@device
def top_or_nan(values):
    """The largest of four numbers, NaN if one is."""
    return larger_or_nan(larger_or_nan(values[0], values[1]), larger_or_nan(values[2], values[3]))


@device
def sum_of_four(a):
    """Sum of four numbers."""
    return (a[0] + a[1]) + (a[2] + a[3])


@device
def scaled_four(a, factor):
    """Four numbers in another unit."""
    return a[0] * factor, a[1] * factor, a[2] * factor, a[3] * factor


@device
def from_above_four(a, lane):
    """Four numbers of the lane before."""
    return (
        from_above(a[0], lane),
        from_above(a[1], lane),
        from_above(a[2], lane),
        from_above(a[3], lane),
    )


@device
def from_below_four(a, lane):
    """Four numbers of the lane after."""
    return (
        from_below(a[0], lane),
        from_below(a[1], lane),
        from_below(a[2], lane),
        from_below(a[3], lane),
    )


@device
def undrifted(a, factor, drift):
    """What is in a gap, in another unit, less what the factors of the last block's gaps erred."""
    changed = a * factor
    return fma_float(changed, drift, changed)


@device
def undrifted_four(a, factor, drift):
    """The same of four."""
    return (
        undrifted(a[0], factor, drift),
        undrifted(a[1], factor, drift),
        undrifted(a[2], factor, drift),
        undrifted(a[3], factor, drift),
    )


@device
def weight_of(call, value):
    """2**(value / (T log 2)) with the error of the exponent made up for."""
    bits = value * call.high
    lost = fma_float(value, call.rest, fma_float(value, call.high, -bits))
    weight = exp2_float(bits)
    return fma_float(weight, lost * np.float32(LN2), weight)


@device
def weights_of(call, values):
    """Weights of four similarities."""
    return (
        weight_of(call, values[0]),
        weight_of(call, values[1]),
        weight_of(call, values[2]),
        weight_of(call, values[3]),
    )
