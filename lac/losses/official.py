"""The value of the authors' loss, for comparison; train with `LacLoss`."""

from typing import Literal

import torch
from torch.nn import functional as F

import fastsw

_SHARE = 0.01  # of the alignment terms in the total
_LEAST = 1e-6  # added to probabilities under a logarithm
_NEAREST = 1e-8  # added to squared distances


def official_lac_loss(
    embeddings: torch.Tensor,
    steps: torch.Tensor,
    *,
    temperature: float,
    sigma2: float,
    alignment: Literal["score", "none"] = "score",
) -> torch.Tensor:
    """Return the loss that the authors' published code computes.

    Its forward value is reproduced, its gradient errors are not: here the score's gradient is
    exact. As theirs, the cross-entropy on the alignment table is a constant to the optimiser.

    Parameters
    ----------
    embeddings : Tensor of float, shape (B, 2, T, D)
        Frames of two views of B clips, none padded.
    steps : Tensor of float, shape (B, 2, T)
        Times of the frames.
    temperature : float
        Of the softmax and of the alignment, > 0.
    sigma2 : float
        Variance of the Gaussian on the difference of times, > 0.
    alignment : {"score", "none"}
        `"none"`: the contrastive term alone.

    Returns
    -------
    Tensor, scalar
        Averaged over clips.

    Raises
    ------
    ValueError
        If a shape or parameter is out of range.

    Notes
    -----
    For each clip, with p the row softmax of -(t1 - t2)^2 / (2 sigma2), q that of
    <z1, z2> / temperature, ``S = 1 / (|z1 - z2|^2 + 1e-8)`` and M12, M21 the tables of match
    scores of S and of its transpose, all penalties 1::

        sum(p log(p / (q + 1e-6))) / T^2 + 0.01 (CE + score(S) + score(S^T))
        CE = mean over rows of -p log softmax(softmax(M12) softmax(M21)^T)

    What is unsound in it, and what `LacLoss` does instead, is listed in the documentation.
    """
    if embeddings.ndim != 4 or embeddings.shape[1] != 2:
        raise ValueError(f"`embeddings` must be (B, 2, T, D), got {tuple(embeddings.shape)}")
    if steps.shape != embeddings.shape[:3]:
        raise ValueError(
            f"`steps` must be (B, 2, T) = {tuple(embeddings.shape[:3])}, got {tuple(steps.shape)}"
        )
    if not (temperature > 0 and sigma2 > 0):
        raise ValueError(f"`temperature` and `sigma2` must be > 0, got {temperature} and {sigma2}")
    z1, z2 = embeddings.unbind(1)
    distance = steps[:, 0, :, None] - steps[:, 1, None, :]
    p = F.softmax(-distance.square() / (2 * sigma2), -1)
    q = F.softmax(z1 @ z2.transpose(1, 2) / temperature, -1)
    contrastive = F.kl_div((q + _LEAST).log(), p, reduction="none").mean()
    if alignment == "none":
        return contrastive
    similarity = 1 / ((z1[:, :, None] - z2[:, None]).square().sum(-1) + _NEAREST)
    scores = sum(
        fastsw.score(s, gap_open=1.0, gap_extend=1.0, temperature=temperature)
        for s in (similarity, similarity.transpose(1, 2))
    )
    tables = [
        F.softmax(_match_tables(s, temperature), -1)
        for s in (similarity, similarity.transpose(1, 2))
    ]
    logits = (tables[0] @ tables[1].transpose(1, 2)).to(p)
    crossed = -(p * F.log_softmax(logits, -1)).sum(-1).mean(1)
    aligned: torch.Tensor = (crossed + scores).mean()
    return contrastive + _SHARE * aligned


def _match_tables(similarity: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the soft score of all alignments that end in each pair, float64, no gradient.

    Row by row, in units of the temperature. All penalties being alike, a gap of k columns costs k
    of them, so that the sum over where it began is a cumulative one.
    """
    scaled = similarity.detach().cpu().double() / temperature
    penalty = 1 / temperature
    cost = penalty * torch.arange(scaled.shape[2], dtype=scaled.dtype)  # of all columns before
    ended = torch.full_like(scaled[:, 0], -torch.inf)  # in the row above, in whatever state
    table = []
    for row in scaled.unbind(1):
        skipped_row = ended - penalty
        match = row + torch.logaddexp(_one_later(ended), torch.zeros_like(row))
        skipped_columns = _one_later((match + cost).logcumsumexp(1)) - cost
        ended = torch.logsumexp(torch.stack([match, skipped_columns, skipped_row]), 0)
        table.append(match)
    return torch.stack(table, 1) * temperature


def _one_later(row: torch.Tensor) -> torch.Tensor:
    """Move what is in the columns of a row (B, M) one column on; nothing comes into the first."""
    return F.pad(row[:, :-1], (1, 0), value=-torch.inf)
