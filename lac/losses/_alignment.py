"""The alignment terms of LAC: soft local alignment of two views whose true matching is known."""

from typing import Literal, NamedTuple

import torch

import fastsw

Alignment = Literal["none", "score", "fenchel_young", "posterior_kl"]
_LEAST = 1e-6  # added to posteriors under a logarithm


Penalty = torch.Tensor | tuple[torch.Tensor, torch.Tensor]


class Scoring(NamedTuple):
    """How alignments are scored; penalties in any form that `fastsw.score` takes but (B,)."""

    gap_open: Penalty  # scalar, (T, T), or (for columns (B, T), for rows (B, T)); as the next
    gap_extend: Penalty
    temperature: float


class Correspondence(NamedTuple):
    """The alignment of two views that their frame times tell, as cells, (B, T, T) bool."""

    pairs: torch.Tensor  # strictly increasing in both coordinates
    opened: tuple[torch.Tensor, torch.Tensor]  # where a gap in columns, in rows begins
    extended: tuple[torch.Tensor, torch.Tensor]  # where it goes on


def correspondence(times: torch.Tensor, mask: torch.Tensor, *, tolerance: float) -> Correspondence:
    """Pair the frames of two views that are each other's nearest in time.

    Between pairs the columns are skipped first, in the row of the pair before; then the rows, in
    the last column before the next pair: the cells where `fastsw` reads penalties.

    Parameters
    ----------
    times : Tensor, shape (B, 2, T)
        Increasing over valid frames.
    mask : Tensor of bool, shape (B, 2, T)
    tolerance : float
        Largest difference of paired times, in frames.
    """
    valid = mask[:, 0, :, None] & mask[:, 1, None, :]
    distance = (times[:, 0, :, None] - times[:, 1, None, :]).abs().masked_fill(~valid, torch.inf)
    nearest_in_row = torch.zeros_like(valid).scatter_(2, distance.argmin(2, keepdim=True), True)
    nearest_in_column = torch.zeros_like(valid).scatter_(1, distance.argmin(1, keepdim=True), True)
    pairs = nearest_in_row & nearest_in_column & (distance <= tolerance)
    clip, row, column = pairs.nonzero(as_tuple=True)
    same = clip[1:] == clip[:-1]
    clip, before, after = clip[1:][same], (row[:-1][same], column[:-1][same]), row[1:][same]
    next_column = column[1:][same]

    def skipped(number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the gap of every skipped frame, and its place in the gap from 1 on."""
        gap = torch.arange(len(number), device=number.device).repeat_interleave(number)
        first = number.cumsum(0) - number
        return gap, torch.arange(len(gap), device=number.device) - first[gap] + 1

    def cells(clip: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        found = torch.zeros_like(pairs)
        found[clip, row, column] = True
        return found

    gap, place = skipped(next_column - before[1] - 1)
    in_columns = clip[gap], before[0][gap], before[1][gap] + place
    opens_columns = place == 1
    gap, place = skipped(after - before[0] - 1)
    in_rows = clip[gap], before[0][gap] + place, next_column[gap] - 1
    opens_rows = place == 1
    return Correspondence(
        pairs,
        (
            cells(*(x[opens_columns] for x in in_columns)),
            cells(*(x[opens_rows] for x in in_rows)),
        ),
        (
            cells(*(x[~opens_columns] for x in in_columns)),
            cells(*(x[~opens_rows] for x in in_rows)),
        ),
    )


def _gap_cost(penalty: Penalty, cells: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Return the sum of a penalty over cells of gaps in columns and in rows, (B,)."""
    for_columns, for_rows = (
        (penalty[0][:, None, :], penalty[1][:, :, None])
        if isinstance(penalty, tuple)
        else (penalty, penalty)
    )
    return (for_columns * cells[0]).sum((1, 2)) + (for_rows * cells[1]).sum((1, 2))


def negative_score(
    similarity: torch.Tensor,
    lengths: torch.Tensor,
    scoring: Scoring,
) -> torch.Tensor:
    """Return minus the soft score per frame of the shorter view, averaged over clips."""
    score: torch.Tensor = fastsw.score(similarity, **scoring._asdict(), lengths=lengths)
    return -(score / lengths.amin(1)).mean()


def fenchel_young(
    similarity: torch.Tensor,
    lengths: torch.Tensor,
    target: Correspondence,
    scoring: Scoring,
) -> torch.Tensor:
    """Return the Fenchel-Young loss of the known alignment per pair of it, averaged over clips.

    The soft score F is T log-sum-exp of the scores <S, A> - <gap_open, opened(A)> - <gap_extend,
    extended(A)> of all alignments A, convex in S and the penalties; its gradient in S is the
    posterior. For the known alignment A* the loss [1]_ is

        F(S) - <S, A*> + <gap_open, opened(A*)> + <gap_extend, extended(A*)>
            = -T log p(A*) >= 0,

    which tends to zero just where the posterior tends to A*. A clip without any known pair has
    no part.

    References
    ----------
    .. [1] Blondel, Martins, Niculae, "Learning with Fenchel-Young Losses", JMLR 2020.
    """
    count = target.pairs.sum((1, 2))
    score = fastsw.score(similarity, **scoring._asdict(), lengths=lengths)
    known = (
        torch.where(target.pairs, similarity, 0.0).sum((1, 2))
        - _gap_cost(scoring.gap_open, target.opened)
        - _gap_cost(scoring.gap_extend, target.extended)
    )
    known_clips = count > 0
    loss = torch.where(known_clips, (score - known) / count.clamp(min=1), 0.0)
    return loss.sum() / known_clips.sum().clamp(min=1)


def posterior_divergence(
    similarity: torch.Tensor,
    lengths: torch.Tensor,
    log_weights: torch.Tensor,
    valid: torch.Tensor,
    scoring: Scoring,
) -> torch.Tensor:
    """Return the mean divergence of the posterior's rows and columns from the Gaussian on time.

    Rows and columns with a true partner less than two standard deviations away count. A row of
    the posterior sums to at most 1, so the divergence is at least 0 and also asks that such
    frames be paired at all. Its gradient is a second derivative of the score.
    """
    posterior = fastsw.posterior(similarity, **scoring._asdict(), lengths=lengths)
    terms = []
    for axis in (2, 1):
        kept = log_weights.masked_fill(~valid, -torch.inf)
        partnered = kept.amax(axis) > -2.0
        weights = log_weights.masked_fill(~valid, torch.finfo(log_weights.dtype).min)
        log_p = weights.log_softmax(axis)
        gap = log_p.exp() * (log_p - (posterior + _LEAST).log())
        terms.append(gap.masked_fill(~valid, 0.0).sum(axis)[partnered])
    return torch.cat(terms).mean() if any(len(t) for t in terms) else posterior.sum() * 0.0
