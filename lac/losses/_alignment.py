"""The alignment terms of LAC: soft local alignment of two views whose true matching is known."""

from typing import Literal, NamedTuple

import torch

import fastsw

Alignment = Literal["none", "score", "fenchel_young", "posterior_kl"]
_LEAST = 1e-6  # added to posteriors under a logarithm


class Scoring(NamedTuple):
    """How alignments are scored."""

    gap_open: torch.Tensor  # scalar, as the next
    gap_extend: torch.Tensor
    temperature: float


class Correspondence(NamedTuple):
    """The alignment of two views that their frame times tell."""

    pairs: torch.Tensor  # (B, T, T) bool, strictly increasing in both coordinates
    opened: torch.Tensor  # (B,) gaps between consecutive pairs
    extended: torch.Tensor  # (B,) skipped frames beyond the first of each gap


def correspondence(times: torch.Tensor, mask: torch.Tensor, *, tolerance: float) -> Correspondence:
    """Pair the frames of two views that are each other's nearest in time.

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
    opened = torch.zeros(len(pairs), dtype=torch.long, device=pairs.device)
    extended = opened.clone()
    for place in (row, column):
        skipped = (place.diff() - 1)[same]
        opened.index_add_(0, clip[1:][same], (skipped > 0).long())
        extended.index_add_(0, clip[1:][same], (skipped - 1).clamp(min=0))
    return Correspondence(pairs, opened, extended)


def negative_score(
    similarity: torch.Tensor,
    lengths: torch.Tensor,
    scoring: Scoring,
) -> torch.Tensor:
    """Return minus the soft score per frame of the shorter view, averaged over clips."""
    score = fastsw.score(similarity, **scoring._asdict(), lengths=lengths)
    return -(score / lengths.amin(1)).mean()


def fenchel_young(
    similarity: torch.Tensor,
    lengths: torch.Tensor,
    target: Correspondence,
    scoring: Scoring,
) -> torch.Tensor:
    """Return the Fenchel-Young loss of the known alignment per pair of it, averaged over clips.

    The soft score F is T log-sum-exp of the scores <S, A> - open(A) gap_open - extend(A)
    gap_extend of all alignments A, convex in S and the penalties; its gradient in S is the
    posterior. For the known alignment A* the loss [1]_ is

        F(S) - <S, A*> + open(A*) gap_open + extend(A*) gap_extend = -T log p(A*) >= 0,

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
        - target.opened * scoring.gap_open
        - target.extended * scoring.gap_extend
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
    return torch.cat(terms).mean() if any(len(t) for t in terms) else similarity.sum() * 0.0
