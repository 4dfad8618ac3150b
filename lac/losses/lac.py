"""The LAC loss: contrast frames over time, and align the two views locally."""

import math
from typing import Literal, get_args

import torch
from torch import nn
from torch.nn import functional as F

from lac.losses._alignment import (
    Alignment,
    Penalty,
    Scoring,
    correspondence,
    fenchel_young,
    negative_score,
    posterior_divergence,
)
from lac.losses._contrastive import contrastive_loss, gaussian_targets
from lac.losses._loss import Loss, MatchSettings
from lac.losses._settings import require_not_negative, require_one_of, require_positive

Penalties = Literal["scalar", "fixed", "table", "embedding"]


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
        Weight of the alignment term, >= 0. The default term and weight are the ones that did best
        over two sets of clips, see docs/results/within.md.
    alignment_temperature : float
        T of the soft alignment, > 0, in units of the similarity.
    gap_open, gap_extend : float
        Penalties, > 0; initial ones where they are learned, as softplus of a parameter.
    penalties : {"scalar", "fixed", "table", "embedding"}
        `"scalar"`: one of each, learned. `"fixed"`: one of each, as given; the score alone always
        gains from cheaper gaps, so learning lowers them for as long as it lasts. `"table"`: one of
        each for every pair of places in the two views. `"embedding"`: what it costs to skip a
        frame is a linear function of its embedding, inside the softplus.
    frames : int
        Side of the table, at least the frames of a view, >= 1.
    dimension : int
        Features of an embedding that predicts penalties, >= 1.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    With C the contrastive term of CARL (`SclLoss`) and S_ij = <z1_i, z2_j> / temperature::

        C + weight * A
        A = -T log p(A*) / pairs      "fenchel_young": A* is the alignment that frame times tell
        A = -score(S) / frames        "score"
        A = mean_i KL(g_i || P_i)     "posterior_kl": Gaussian g, posterior P, both directions

    Departures from [1]_ and its code, whose values `official_lac_loss` reproduces: the score of a
    similarity is maximised, not minimised; S is bounded, not 1 / distance^2; padded frames have no
    part; penalties are positive, by a softplus; gradients are exact; C is a divergence in both
    directions. The other alignment terms are not in [1]_.

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
        weight: float = 0.03,
        alignment_temperature: float = 1.0,
        gap_open: float = 1.0,
        gap_extend: float = 0.1,
        penalties: Penalties = "scalar",
        frames: int = 64,
        dimension: int = 64,
    ):
        """Check the settings and set the penalties up."""
        super().__init__()
        require_positive(
            temperature=temperature,
            sigma=sigma,
            alignment_temperature=alignment_temperature,
            gap_open=gap_open,
            gap_extend=gap_extend,
            frames=frames,
            dimension=dimension,
        )
        require_not_negative(weight=weight)
        require_one_of(get_args(Alignment), alignment=alignment)
        require_one_of(get_args(Penalties), penalties=penalties)
        self.temperature = temperature
        self.sigma = sigma
        self.alignment = alignment
        self.weight = weight
        self.alignment_temperature = alignment_temperature
        self.penalties: Penalties = penalties
        shape = (frames, frames) if penalties == "table" else ()
        self.raw_gap_open = nn.Parameter(_inverse_softplus(gap_open).expand(shape).clone())
        self.raw_gap_extend = nn.Parameter(_inverse_softplus(gap_extend).expand(shape).clone())
        self.predict: nn.Linear | None = None
        if penalties == "embedding":
            self.predict = nn.Linear(dimension, 2, bias=False)
            nn.init.zeros_(self.predict.weight)
        # Without the term, nothing trains penalties.
        self.requires_grad_(alignment != "none" and penalties != "fixed")

    @property
    def gap_open(self) -> torch.Tensor:
        """Penalty of the first frame of a gap, scalar, > 0; the mean of a table."""
        return F.softplus(self.raw_gap_open).mean()

    @property
    def gap_extend(self) -> torch.Tensor:
        """Penalty of every further frame of a gap, scalar, > 0; the mean of a table."""
        return F.softplus(self.raw_gap_extend).mean()

    def match_settings(self) -> MatchSettings:
        """Return the temperatures, and penalties as they have been learned."""
        gaps = self.gap_open.item(), self.gap_extend.item()
        return MatchSettings(self.temperature, *gaps, self.alignment_temperature)

    def check(self, *, frames: int, dimension: int) -> None:
        """Refuse longer views than the table of penalties, and embeddings that predict none."""
        if self.alignment == "none":
            return
        if self.predict is not None and dimension != self.predict.in_features:
            raise ValueError(
                f"`dimension` must be that of embeddings, {dimension},"
                f" got {self.predict.in_features}"
            )
        if self.penalties == "table" and frames > len(self.raw_gap_open):
            raise ValueError(
                f"`frames` of the table must be at least those of a view, {frames},"
                f" got {len(self.raw_gap_open)}"
            )

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
        scoring = Scoring(*self._gaps(embeddings), self.alignment_temperature)
        if self.alignment == "score":
            return negative_score(similarity, lengths, scoring)
        if self.alignment == "fenchel_young":
            target = correspondence(times, mask, tolerance=self.sigma)
            return fenchel_young(similarity, lengths, target, scoring)
        weights, valid = gaussian_targets(times, mask, sigma=self.sigma)
        return posterior_divergence(similarity, lengths, weights, valid, scoring)

    def _gaps(self, embeddings: torch.Tensor) -> tuple[Penalty, Penalty]:
        """Return the penalties of opening and extending a gap between two views."""
        frames, dimension = embeddings.shape[2:]
        self.check(frames=frames, dimension=dimension)
        raw: tuple[torch.Tensor, torch.Tensor] = (self.raw_gap_open, self.raw_gap_extend)
        if self.predict is not None:
            rows, columns = self.predict(embeddings).unbind(1)  # (B, T, 2) each
            opening, extending = (
                (F.softplus(value + columns[..., k]), F.softplus(value + rows[..., k]))
                for k, value in enumerate(raw)
            )
            return opening, extending
        if self.penalties == "table":
            raw = raw[0][:frames, :frames], raw[1][:frames, :frames]
        return F.softplus(raw[0]), F.softplus(raw[1])


def _inverse_softplus(value: float) -> torch.Tensor:
    """Return x with softplus(x) = value."""
    return torch.tensor(value + math.log(-math.expm1(-value)))
