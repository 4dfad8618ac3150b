"""Smooth maxima at any range, each split into the shares of its terms.

The value of a state is a triple (high, low, log): high + low + T log, where the unevaluated sum of
two doubles holds similarities and costs, and `log` the log of how many alignments, or how much of
them, add to the best. Differences between values are divided by T, so that their absolute error
counts: in one double it would be 1e-4 T already where a value is 1e12 T. So kept, alignments of the
same score stay so at any size, and others are told apart while similarities and costs of all
magnitudes that meet in a sum fit into its 106 bits together: with terms of one magnitude always,
else up to some 1e30 T.

Functions take the pair (T, 1 / T) as `temperature`.

A smooth maximum T log sum exp(a / T) has as derivatives the shares q = exp((a - maximum) / T) of
its terms, which sum to 1 whatever the size of the values. Gradients that are products and sums of
shares are probabilities at any temperature; the difference of a prefix, a suffix and a total is
not.

Let h be the entropy of the distribution that a value sums up, and a prime the derivative along a
direction of similarities, penalties and temperature. With terms a, their h and shares q,

    h = sum q h - sum q log q
    value' = sum q a' - T' sum q log q
    q' = q ((a' - value') - T' log q) / T
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

from fastsw._cpu.runtime.compile import helper
from fastsw._recurrence import NEG_INF

#: The value of what is impossible, and of the empty alignment.
NOTHING = (NEG_INF, 0.0, 0.0)
EMPTY = (0.0, 0.0, 0.0)

#: Below it exp is 0.
_FAINT = -745.2


@helper
def with_inverse(temperature):
    """T and 1 / T; the latter finite."""
    least = max(temperature, 1e-300)
    return least, 1.0 / least


@helper
def add(value, x):
    """The value plus a double."""
    total = value[0] + x
    if not -math.inf < total < math.inf:
        return total, 0.0, 0.0
    back = total - value[0]
    rest = (value[0] - (total - back)) + (x - back) + value[1]
    high = total + rest
    return high, rest - (high - total), value[2]


@helper
def add_value(value, other):
    """The value plus one without a log."""
    return add(add(value, other[1]), other[0])


@helper
def number(value, temperature):
    """The value in one double."""
    return value[0] + (value[1] + temperature[0] * value[2])


@helper
def log_share(a, whole, temperature):
    """Log of exp(a / T) as a share of exp(whole / T)."""
    if a[0] == NEG_INF:
        return NEG_INF
    return ((a[0] - whole[0]) + (a[1] - whole[1])) * temperature[1] + (a[2] - whole[2])


@helper
def larger(a, b, temperature):
    """The larger of two values."""
    if b[0] == NEG_INF or log_share(a, b, temperature) >= 0.0:
        return a
    return b


@helper
def exp(x):
    """The exponential of x <= 0, quickly where it is 1 or 0."""
    if x == 0.0:
        return 1.0
    return math.exp(x) if x > _FAINT else 0.0


@helper
def log(x):
    """The logarithm of x >= 1."""
    return math.log(x) if x > 1.0 else 0.0


@helper
def smax2(a, b, temperature):
    """Smooth maximum of two values; its shares and their logs."""
    top = larger(a, b, temperature)
    if top[0] == NEG_INF:
        return NOTHING, (0.0, 0.0), (NEG_INF, NEG_INF)
    log_a, log_b = log_share(a, top, temperature), log_share(b, top, temperature)
    share_a, share_b = exp(log_a), exp(log_b)
    total = share_a + share_b
    over = log(total)
    return (
        (top[0], top[1], top[2] + over),
        (share_a / total, share_b / total),
        (log_a - over, log_b - over),
    )


@helper
def smax3(a, b, c, temperature):
    """Smooth maximum of three values; its shares and their logs."""
    top = larger(larger(a, b, temperature), c, temperature)
    if top[0] == NEG_INF:
        return NOTHING, (0.0, 0.0, 0.0), (NEG_INF, NEG_INF, NEG_INF)
    log_a, log_b = log_share(a, top, temperature), log_share(b, top, temperature)
    log_c = log_share(c, top, temperature)
    share_a, share_b, share_c = exp(log_a), exp(log_b), exp(log_c)
    total = share_a + share_b + share_c
    over = log(total)
    return (
        (top[0], top[1], top[2] + over),
        (share_a / total, share_b / total, share_c / total),
        (log_a - over, log_b - over, log_c - over),
    )


@helper
def smax4(a, b, c, d, temperature):
    """Smooth maximum of four values; its shares and their logs."""
    top = larger(larger(a, b, temperature), larger(c, d, temperature), temperature)
    if top[0] == NEG_INF:
        return NOTHING, (0.0, 0.0, 0.0, 0.0), (NEG_INF, NEG_INF, NEG_INF, NEG_INF)
    log_a, log_b = log_share(a, top, temperature), log_share(b, top, temperature)
    log_c, log_d = log_share(c, top, temperature), log_share(d, top, temperature)
    share_a, share_b, share_c, share_d = exp(log_a), exp(log_b), exp(log_c), exp(log_d)
    total = share_a + share_b + (share_c + share_d)
    over = log(total)
    return (
        (top[0], top[1], top[2] + over),
        (share_a / total, share_b / total, share_c / total, share_d / total),
        (log_a - over, log_b - over, log_c - over, log_d - over),
    )


@helper
def entropy_of(shares, logs, entropies):
    """Entropy of a smooth maximum whose terms have the given ones."""
    total = 0.0
    for k in range(len(shares)):
        if shares[k] > 0.0:
            total += shares[k] * (entropies[k] - logs[k])
    return total


@helper
def derivatives_of(shares, logs, entropies, dots, entropy_dots, temperature, temperature_dot, out):
    """Derivatives of a smooth maximum and of its entropy; those of the shares go to `out`."""
    value_dot, entropy_dot = 0.0, 0.0
    for k in range(len(shares)):
        if shares[k] > 0.0:
            value_dot += shares[k] * (dots[k] - temperature_dot * logs[k])
    for k in range(len(shares)):
        out[k] = 0.0
        if shares[k] > 0.0:
            share_dot = dots[k] - value_dot - temperature_dot * logs[k]
            share_dot *= shares[k] * temperature[1]
            entropy_dot += share_dot * (entropies[k] - logs[k]) + shares[k] * entropy_dots[k]
            out[k] = share_dot
    return value_dot, entropy_dot
