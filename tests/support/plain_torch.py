"""The recurrences in plain PyTorch: slow, differentiable to any order, in every mode of autograd.

States that no alignment reaches are absent from the tables instead of infinite.
"""

import torch


def _smax(values, temperature):
    return temperature * torch.logsumexp(torch.stack(values) / temperature, 0)


def _align(similarity, penalties, temperature, mode):
    """Soft score of one pair; penalties are four (N, M) tensors."""
    n, m = similarity.shape
    open_x, extend_x, open_y, extend_y = penalties
    zero = similarity.new_zeros(())
    match, right, down = {}, {}, {}

    def entered(penalty, i, j):
        return penalty[max(i, 1) - 1, max(j, 1) - 1]

    for i in range(n + 1):
        for j in range(m + 1):
            here = i, j
            if i == 0 and (mode == "fitting" or (mode == "global" and j == 0)):
                match[here] = zero
                continue
            if i and j:
                before = [t[i - 1, j - 1] for t in (match, right, down) if (i - 1, j - 1) in t]
                before += [zero] if mode == "local" else []
                if before:
                    match[here] = similarity[i - 1, j - 1] + _smax(before, temperature)
            paid = ((match, open_x), (right, extend_x))
            before = [t[i, j - 1] - entered(p, *here) for t, p in paid if (i, j - 1) in t]
            if before:
                right[here] = _smax(before, temperature)
            paid = ((match, open_y), (right, open_y), (down, extend_y))
            before = [t[i - 1, j] - entered(p, *here) for t, p in paid if (i - 1, j) in t]
            if before:
                down[here] = _smax(before, temperature)
    if mode == "global":
        return _smax([t[n, m] for t in (match, right, down) if (n, m) in t], temperature)
    left = [zero]  # cost of the rows that are left after row i = n, n - 1, ..., 0
    for i in range(n - 1, -1, -1):
        left.append(open_y[i, m - 1] + extend_y[i + 1 :, m - 1].sum())
    left.reverse()
    ends = [(i, j) for i in range(1, n + 1) for j in range(1, m + 1)]
    if mode == "local":
        return _smax([match[end] for end in ends], temperature)
    return _smax([-left[0], *(match[i, j] - left[i] for i, j in ends)], temperature)


def _by_cell(penalty, shape, axis):
    """A penalty of any form as a (B, N, M) tensor."""
    if penalty.ndim == 1:
        penalty = penalty[:, None, None]
    elif penalty.ndim == 2 and axis is not None:
        penalty = penalty.unsqueeze(axis)
    return penalty.expand(shape)


def _directions(penalty, shape):
    """A penalty as a pair of (B, N, M) tensors: for columns and for rows."""
    if isinstance(penalty, tuple):
        return _by_cell(penalty[0], shape, 1), _by_cell(penalty[1], shape, 2)
    both = _by_cell(penalty, shape, None)
    return both, both


def score(similarity, *, gap_open, gap_extend, temperature, mode="local", lengths=None):
    """Soft score of each pair, float64."""
    shape = similarity.shape
    opens, extends = _directions(gap_open, shape), _directions(gap_extend, shape)
    penalties = opens[0], extends[0], opens[1], extends[1]
    sides = [shape[1:]] * shape[0] if lengths is None else lengths.tolist()
    return torch.stack(
        [
            _align(similarity[b, :n, :m], [p[b, :n, :m] for p in penalties], temperature, mode)
            for b, (n, m) in enumerate(sides)
        ]
    )


def soft_dtw(cost, *, temperature, lengths=None, bandwidth=None):
    """Soft-DTW of each pair, float64."""
    pairs, rows, columns = cost.shape
    sides = [(rows, columns)] * pairs if lengths is None else lengths.tolist()
    band = rows + columns if bandwidth is None else bandwidth
    found = []
    for b, (n, m) in enumerate(sides):
        table = {(-1, -1): cost.new_zeros(())}
        for i in range(n):
            for j in range(max(0, i - band), min(m, i + band + 1)):
                steps = (i - 1, j - 1), (i - 1, j), (i, j - 1)
                before = [table[s] for s in steps if s in table]
                table[i, j] = cost[b, i, j] + _smax(before, -temperature)
        found.append(table[n - 1, m - 1])
    return torch.stack(found)
