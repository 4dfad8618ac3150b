"""What a public call must answer: the float64 reference over batches, lengths and penalty forms.

Written from the documentation of the forms, not from the code that validates them.
"""

from typing import NamedTuple

import numpy as np

from fastsw._recurrence import hard_forward
from fastsw._reference import soft_align, trailing_rows
from tests.support.enumeration import gap_cells

MODES = ("local", "global", "fitting")
FORMS = (
    "scalar",
    "pair",
    "cell",
    "pair-cell",
    "sides-scalar",
    "sides-pair",
    "sides-vector",
    "sides-pair-cell",
    "sides-mixed",
)


class Expected(NamedTuple):
    """Scores and gradients of a batch, each gradient in the form of its argument."""

    score: np.ndarray  # [B]
    similarity: np.ndarray  # [B, N, M]
    gap_open: object
    gap_extend: object
    entropy: np.ndarray  # [B]
    size: np.ndarray  # [B], mean sum of the magnitudes of an alignment's terms


def draw_penalty(rng, form, shape, *, low=-0.2, high=1.5, dtype=np.float64):
    """Random penalty of a form for a batch of the given shape."""
    pairs, rows, columns = shape

    def draw(*size):
        return rng.uniform(low, high, size).astype(dtype)

    return {
        "scalar": lambda: float(draw(1)[0]),
        "pair": lambda: draw(pairs),
        "cell": lambda: draw(rows, columns),
        "pair-cell": lambda: draw(*shape),
        "sides-scalar": lambda: (float(draw(1)[0]), float(draw(1)[0])),
        "sides-pair": lambda: (draw(pairs), draw(pairs)),
        "sides-vector": lambda: (draw(pairs, columns), draw(pairs, rows)),
        "sides-pair-cell": lambda: (draw(*shape), draw(*shape)),
        "sides-mixed": lambda: (draw(*shape), draw(pairs, rows)),
    }[form]()


def spread(value, shape, side=None):
    """A penalty of one direction as an array whose axes have length 1 where it does not vary."""
    value = np.asarray(value, np.float64)
    pairs, rows, columns = shape
    if value.ndim == 0:
        return value.reshape(1, 1, 1)
    if value.ndim == 1:
        return value.reshape(pairs, 1, 1)
    if value.ndim == 3:
        return value
    axes = {None: (1, rows, columns), "columns": (pairs, 1, columns), "rows": (pairs, rows, 1)}
    return value.reshape(axes[side])


def directions(value, shape):
    """A penalty of any form as arrays for columns and for rows."""
    if isinstance(value, tuple):
        return spread(value[0], shape, "columns"), spread(value[1], shape, "rows")
    return spread(value, shape), spread(value, shape)


def cell_tables(gap_open, gap_extend, shape):
    """open_x, extend_x, open_y, extend_y as [4, B, N, M]."""
    (open_x, open_y), (extend_x, extend_y) = (
        directions(gap_open, shape),
        directions(gap_extend, shape),
    )
    return np.stack([np.broadcast_to(p, shape) for p in (open_x, extend_x, open_y, extend_y)])


def in_form(of_columns, of_rows, value):
    """Per-cell gradients [B, N, M] of both directions, reduced to the form of the penalty."""

    def reduced(gradient, given, side):
        aligned = spread(given, gradient.shape, side)
        axes = tuple(k for k in range(3) if aligned.shape[k] == 1)
        return gradient.sum(axis=axes).reshape(np.shape(given))

    if isinstance(value, tuple):
        return reduced(of_columns, value[0], "columns"), reduced(of_rows, value[1], "rows")
    return reduced(of_columns + of_rows, value, None)


def void_pair(rows, columns, tables, mode):
    """Score and penalty gradients of a pair with an empty side."""
    gradient = np.zeros(tables.shape)
    if mode == "local":
        return -np.inf, gradient
    for kind, r, c in gap_cells((), rows, columns, mode):
        gradient[kind, r, c] -= 1
    return float(np.sum(gradient * tables)), gradient


def expected(similarity, *, gap_open, gap_extend, temperature=1.0, mode="local", lengths=None):
    """Answer of a call for a batch (B, N, M) in float64, at a temperature above 0."""
    shape = pairs, rows, columns = similarity.shape
    tables = cell_tables(gap_open, gap_extend, shape)
    lengths = np.full((pairs, 2), (rows, columns)) if lengths is None else np.asarray(lengths)
    score, entropy, size = np.zeros(pairs), np.zeros(pairs), np.zeros(pairs)
    posterior, gradients = np.zeros(shape), np.zeros(tables.shape)
    for b, (n, m) in enumerate(lengths):
        if n == 0 or m == 0:
            score[b], gradients[:, b] = void_pair(n, m, tables[:, b], mode)
            continue
        found = soft_align(
            similarity[b, :n, :m],
            tuple(tables[:, b, :n, :m]),
            temperature=temperature,
            mode=mode,
        )
        score[b] = found.score
        entropy[b] = found.entropy if np.isfinite(found.score) else 0.0
        posterior[b, :n, :m] = found.posterior
        gradients[:, b, :n, :m] = found[2:6]
        paired = np.where(found.posterior > 0, np.abs(similarity[b, :n, :m]), 0.0)
        size[b] = np.sum(found.posterior * paired) + np.sum(np.abs(gradients[:, b] * tables[:, b]))
    return Expected(
        score,
        posterior,
        in_form(gradients[0], gradients[2], gap_open),
        in_form(gradients[1], gradients[3], gap_extend),
        entropy,
        size,
    )


def best_path(similarity, tables, mode):
    """Score and pairs of the best alignment of one pair, ties broken as `traceback` documents.

    `similarity` is [N, M], `tables` [4, N, M] at least; float64, one cell at a time.
    """
    n, m = similarity.shape
    if n == 0 or m == 0:
        return void_pair(n, m, tables, mode)[0], []
    value, origins = np.full((n + 1, m + 1, 3), -np.inf), {}
    trailing = np.zeros(n + 1)
    if mode == "fitting":
        trailing = trailing_rows.py_func(tables[2][:n, m - 1], tables[3][:n, m - 1])
    nothing = (-np.inf,) * 3
    best, end = -np.inf, None
    for i in range(n + 1):
        for j in range(m + 1):
            if i == 0 and (mode == "fitting" or (mode == "global" and j == 0)):
                value[i, j, 0] = 0.0
                continue
            value[i, j], origins[i, j] = hard_forward.py_func(
                float(similarity[i - 1, j - 1]) if i and j else -np.inf,
                0.0 if mode == "local" else -np.inf,
                value[i - 1, j - 1] if i and j else nothing,
                value[i, j - 1] if j else nothing,
                value[i - 1, j] if i else nothing,
                tables[:, max(i, 1) - 1, max(j, 1) - 1],
            )
            if i and j and mode != "global" and value[i, j, 0] + trailing[i] > best:
                best, end = value[i, j, 0] + trailing[i], (i, j, 0)
    if mode == "global":
        state = int(np.argmax(value[n, m]))
        best, end = value[n, m, state], (n, m, state)
    elif mode == "fitting" and trailing[0] > best:
        best, end = trailing[0], None
    pairs = []
    while end and end[:2] in origins:
        i, j, state = end
        if state == 0:
            pairs.append([i - 1, j - 1])
        origin = origins[i, j][state]
        end = (i - (state != 1), j - (state != 2), origin - 1) if origin else None
    return best, pairs[::-1]


def expected_at_zero(similarity, *, gap_open, gap_extend, mode="local", lengths=None):
    """Answer of a call for a batch (B, N, M) at temperature 0: indicators of one best path."""
    shape = pairs, rows, columns = similarity.shape
    tables = cell_tables(gap_open, gap_extend, shape)
    lengths = np.full((pairs, 2), (rows, columns)) if lengths is None else np.asarray(lengths)
    score, indicator, gradients = np.zeros(pairs), np.zeros(shape), np.zeros(tables.shape)
    for b, (n, m) in enumerate(lengths):
        if n == 0 or m == 0:
            score[b], gradients[:, b] = void_pair(n, m, tables[:, b], mode)
            continue
        score[b], path = best_path(similarity[b, :n, :m], tables[:, b], mode)
        for i, j in path:
            indicator[b, i, j] = 1.0
        gradients[:, b, :n, :m] -= path_counts(path, (n, m), mode)
    return Expected(
        score,
        indicator,
        in_form(gradients[0], gradients[2], gap_open),
        in_form(gradients[1], gradients[3], gap_extend),
        np.zeros(pairs),
        np.zeros(pairs),
    )


#: Weights of the central difference of order 6, by distance.
_DIFFERENCE = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}


def expected_tangents(similarity, penalties, temperature, lengths, mode, dots, *, step=1e-3):
    """Derivatives of score, posterior, penalty gradients and entropy along a direction.

    Differences of the float64 reference. `penalties` are four arrays [B|1, N|1, M|1]; `dots` the
    direction: similarity, penalties each [B, N|1, M|1], temperature [B]. Penalty gradients are
    those of each pair, [B, N|1, M|1].
    """
    shape = similarity.shape
    dot_similarity, *dot_penalties, dot_temperature = dots
    score, posterior = np.zeros(shape[0]), np.zeros(shape)
    gradients, entropy = np.zeros((4, *shape)), np.zeros(shape[0])
    for b, (n, m) in enumerate(lengths):
        place = np.s_[:n, :m]
        tables, dot_tables = (
            [np.broadcast_to(p, shape)[b][place] for p in given]
            for given in (penalties, dot_penalties)
        )
        for distance, weight in _DIFFERENCE.items():
            for side in (-1, 1):
                move, share = side * distance * step, side * weight / step
                found = soft_align(
                    similarity[b][place] + move * dot_similarity[b][place],
                    [t + move * d for t, d in zip(tables, dot_tables, strict=True)],
                    temperature=temperature + move * dot_temperature[b],
                    mode=mode,
                )
                score[b] += share * found.score
                posterior[b][place] += share * found.posterior
                for total, gradient in zip(gradients, found[2:6], strict=True):
                    total[b][place] += share * gradient
                entropy[b] += share * found.entropy
    own = [
        g.sum(axis=tuple(k for k in (1, 2) if p.shape[k] == 1), keepdims=True)
        for g, p in zip(gradients, penalties, strict=True)
    ]
    return score, posterior, *own, entropy


def best_warping(cost, bandwidth=None):
    """Value and indicator of the best warping path of one pair, soft-DTW at temperature 0."""
    n, m = cost.shape
    band = max(n, m) if bandwidth is None else bandwidth
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(n):
        for j in range(max(0, i - band), min(m, i + band + 1)):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    path, i, j = np.zeros((n, m)), n, m
    while i and j:
        path[i - 1, j - 1] = 1.0
        i, j = min(((i - 1, j - 1), (i - 1, j), (i, j - 1)), key=lambda cell: total[cell])
    return total[n, m], path


def path_score(pairs, similarity, tables, mode):
    """Score of the alignment with these pairs, from the definition; `tables` is [4, N, M]."""
    pairs = [tuple(map(int, pair)) for pair in pairs]
    gaps = gap_cells(pairs, *similarity.shape, mode)
    return sum(float(similarity[p]) for p in pairs) - sum(float(tables[g]) for g in gaps)


def path_counts(pairs, shape, mode):
    """How often the path pays each penalty of each cell, [4, N, M]."""
    count = np.zeros((4, *shape))
    for cell in gap_cells([tuple(map(int, pair)) for pair in pairs], *shape, mode):
        count[cell] += 1
    return count


def assert_close(found, wanted, *, similarity, temperature, penalty_scale=2.0):
    """Compare (score, Gradients) with Expected, within the bounds of the similarity's dtype.

    float64: 1e-12 relative for the score. A posterior's exponent is a sum of terms of size
    |S| / T, each rounded to 1e-16 relative, so its bound grows with |S| / T. float32: 2e-6 relative
    for the score (some 30 roundings), 2e-5 absolute for posteriors; expected counts of penalties
    are sums of posteriors and scale with their own size.
    """
    score, gradients = found
    finite = similarity[np.isfinite(similarity)]
    scale = max(1.0, (np.abs(finite).max(initial=0.0) + penalty_scale) / temperature)
    if similarity.dtype == np.float64:
        of_score, of_posterior = 1e-12, 1e-13 * scale + 1e-12
    else:
        of_score, of_posterior = 2e-6, 2e-5
    assert score.dtype == similarity.dtype
    assert gradients.similarity.dtype == similarity.dtype
    reference_size = np.maximum(temperature, np.abs(wanted.score))
    within(score, wanted.score, of_score * reference_size)
    within(gradients.similarity, wanted.similarity, of_posterior)
    for gradient, reference in (
        (gradients.gap_open, wanted.gap_open),
        (gradients.gap_extend, wanted.gap_extend),
    ):
        assert isinstance(gradient, tuple) == isinstance(reference, tuple)
        sides = (
            (gradient, reference) if isinstance(gradient, tuple) else ((gradient,), (reference,))
        )
        for one, other in zip(*sides, strict=True):
            assert np.shape(one) == np.shape(other)
            within(one, other, of_posterior * np.maximum(1.0, np.abs(other)))
    within_entropy(gradients.temperature, wanted, temperature, similarity.dtype, total=True)


def within_entropy(found, wanted, temperature, dtype, *, total=False):
    """Compare entropies, (score - mean score) / T: terms of the size of an alignment cancel.

    float64: the exponent of each probability errs by 1e-16 size / T, and each probability
    weights a term of that size again. float32: 2e-6 size / T, as for the score.
    """
    size = wanted.size / temperature
    if dtype == np.float64:
        bound = 1e-12 + 1e-15 * size**2
    else:
        bound = 2e-5 * np.maximum(1.0, wanted.entropy) + 2e-6 * size
    if total:
        within(found, wanted.entropy.sum(), bound.sum())
    else:
        within(found, wanted.entropy, bound)


def within(found, wanted, bound):
    """Assert |found - wanted| <= bound, infinities equal, NaN nowhere that it is not wanted."""
    found, wanted = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    assert found.shape == wanted.shape
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(found - wanted))
    bad = ~(error <= bound)
    if bad.any():
        worst = np.unravel_index(np.argmax(np.where(np.isnan(error), np.inf, error)), error.shape)
        raise AssertionError(
            f"{bad.sum()} of {bad.size} values off; worst at {worst}: {found[worst]!r} for "
            f"{wanted[worst]!r}, allowed {np.broadcast_to(bound, error.shape)[worst]:.3g}"
        )
