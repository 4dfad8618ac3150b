"""The LAC loss: contrast frames over time, and align the two views locally."""

import math
from typing import get_args

import torch
from torch import nn
from torch.nn import functional as F

from lac.losses._alignment import (
    Alignment,
    Scoring,
    correspondence,
    fenchel_young,
    negative_score,
    posterior_divergence,
)
from lac.losses._contrastive import contrastive_loss, gaussian_targets
from lac.losses._loss import Loss


class LacLoss(Loss):
    """Contrastive term plus `weight` times an alignment term by soft Smith-Waterman [1]_.

    The similarity that is aligned is that of the contrastive term, <z1, z2> / temperature.

    Parameters
    ----------
    temperature : float
        Of the contrastive term, > 0.
    sigma : float
        Standard deviation of the Gaussian on the difference of frame times, in frames, > 0.
    alignment : {"fenchel_young", "score", "posterior_kl", "none"}
        `"fenchel_young"`: minus the log-probability of the known correspondence of the views.
        `"score"`: minus the soft score per frame. `"posterior_kl"`: divergence of the posterior
        from the Gaussian. `"none"`: the contrastive term alone.
    weight : float
        Weight of the alignment term, >= 0.
    alignment_temperature : float
        T of the soft alignment, > 0, in units of the similarity.
    gap_open, gap_extend : float
        Initial penalties, > 0. They are learned, as softplus of a parameter.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    References
    ----------
    .. [1] Oei, Gomaa, Feit, Belo, "Self-Supervised Contrastive Learning for Videos using
       Differentiable Local Alignment", arXiv 2409.04607.

    Examples
    --------
    >>> loss = LacLoss(gap_open=2.0)
    >>> z = torch.nn.functional.normalize(torch.eye(4).expand(1, 2, 4, 4), dim=-1)
    >>> times, mask = torch.arange(4.0).expand(1, 2, 4), torch.ones(1, 2, 4, dtype=torch.bool)
    >>> sorted(loss(z, times, mask))
    ['alignment', 'contrastive', 'gap_extend', 'gap_open', 'loss']
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        sigma: float = 4.0,
        alignment: Alignment = "fenchel_young",
        weight: float = 0.1,
        alignment_temperature: float = 1.0,
        gap_open: float = 1.0,
        gap_extend: float = 0.1,
    ):
        """Check the settings and set the penalties up."""
        super().__init__()
        for name, value in (
            ("temperature", temperature),
            ("sigma", sigma),
            ("alignment_temperature", alignment_temperature),
            ("gap_open", gap_open),
            ("gap_extend", gap_extend),
        ):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"`{name}` must be > 0 and finite, got {value}")
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(f"`weight` must be >= 0 and finite, got {weight}")
        if alignment not in get_args(Alignment):
            raise ValueError(f"`alignment` must be one of {get_args(Alignment)}, got {alignment!r}")
        self.temperature = temperature
        self.sigma = sigma
        self.alignment = alignment
        self.weight = weight
        self.alignment_temperature = alignment_temperature
        self.raw_gap_open = nn.Parameter(_inverse_softplus(gap_open))
        self.raw_gap_extend = nn.Parameter(_inverse_softplus(gap_extend))

    @property
    def gap_open(self) -> torch.Tensor:
        """Penalty of the first frame of a gap, scalar, > 0."""
        return F.softplus(self.raw_gap_open)

    @property
    def gap_extend(self) -> torch.Tensor:
        """Penalty of every further frame of a gap, scalar, > 0."""
        return F.softplus(self.raw_gap_extend)

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss` and its terms `contrastive`, `alignment`, `gap_open`, `gap_extend`."""
        contrastive = contrastive_loss(
            embeddings, times, mask, temperature=self.temperature, sigma=self.sigma
        )
        if self.alignment == "none":
            return {"loss": contrastive, "contrastive": contrastive.detach()}
        alignment = self._align(embeddings, times, mask)
        return {
            "loss": contrastive + self.weight * alignment,
            "contrastive": contrastive.detach(),
            "alignment": alignment.detach(),
            "gap_open": self.gap_open.detach(),
            "gap_extend": self.gap_extend.detach(),
        }

    def _align(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the alignment term."""
        similarity = embeddings[:, 0] @ embeddings[:, 1].transpose(1, 2) / self.temperature
        lengths = mask.sum(2)
        scoring = Scoring(self.gap_open, self.gap_extend, self.alignment_temperature)
        if self.alignment == "score":
            return negative_score(similarity, lengths, scoring)
        if self.alignment == "fenchel_young":
            target = correspondence(times, mask, tolerance=self.sigma)
            return fenchel_young(similarity, lengths, target, scoring)
        weights, valid = gaussian_targets(times, mask, sigma=self.sigma)
        return posterior_divergence(similarity, lengths, weights, valid, scoring)


def _inverse_softplus(value: float) -> torch.Tensor:
    """Return x with softplus(x) = value."""
    return torch.tensor(value + math.log(-math.expm1(-value)))
