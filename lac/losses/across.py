"""Learn across clips: frames of different clips that an alignment pairs become alike."""

from typing import Literal, NamedTuple, get_args

import torch
from torch.nn import functional as F

import fastsw
from lac.losses._contrastive import contrastive_loss
from lac.losses._loss import Loss, MatchSettings
from lac.losses._settings import require_not_negative, require_one_of, require_positive

Teacher = Literal["local", "global", "fitting", "dual_softmax"]
Partners = Literal["same_action", "all"]
_LEAST = 1e-6  # matched mass, below which nothing is learned


class _Pairs(NamedTuple):
    """First views of P clips and second views of others."""

    logits: torch.Tensor  # (P, T, T), cosines over the temperature
    valid: torch.Tensor  # (P, T, T) bool
    lengths: torch.Tensor  # (P, 2)


class AcrossLoss(Loss):
    """Contrast within clips, and a teacher that aligns each clip of the batch with each other.

    Two views of one clip are contrasted as in `SclLoss`: their correspondence is known. That of
    two clips is not; the posterior of their alignment under the embeddings of the moment is taken
    for it, without gradient, and matching is drawn to it.

    Parameters
    ----------
    temperature : float
        Of matching, within clips and across, > 0.
    sigma : float
        Standard deviation of the Gaussian on the difference of frame times within a clip, in
        frames, > 0.
    teacher : {"local", "global", "fitting", "dual_softmax"}
        What tells the correspondence of two clips: the posterior of soft alignments in that mode
        of `fastsw.posterior`, or without any order the product of row and column softmax.
    across_weight : float
        Of the term across clips, >= 0.
    ramp : tuple of two floats
        From which to which share of training that weight rises from 0, in [0, 1]: embeddings that
        have learned nothing teach nothing.
    shift : float
        What is subtracted from the similarity, a cosine over the temperature, before it is
        aligned. The higher, the fewer frames match; it has no effect on `"dual_softmax"`.
    gap_open, gap_extend : float
        Penalties of the teacher's alignments, > 0.
    alignment_temperature : float
        T of the teacher, > 0, in units of the similarity.
    sharpening : float
        Exponent of the teacher's probabilities among the partners of a frame, > 0; 1 leaves them.
    smoothing : float
        Standard deviation, in frames of the clip, of a Gaussian over which the partners of a frame
        are spread, >= 0; 0 leaves them.
    order_weight : float
        Of a second term, >= 0: the soft score of two clips should be above that with the second
        played backwards. It rises as `across_weight` does.
    partners : {"same_action", "all"}
        Which clips are aligned: those of one action, where the batch tells actions, or all.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    For each ordered pair of clips a, b, with S_ij = <z_ai, z_bj> / temperature of a frame i of
    the first view of a and a frame j of the second view of b::

        P    = posterior(S - shift)                          the teacher, a constant
        m_i  = sum_j P_ij                                    how surely i has a partner at all
        rows = sum_i m_i H(P_i / m_i, softmax_j S_ij) / sum m_i      over all pairs of clips
        loss = contrastive + across_weight * ramp * (rows + columns) / 2

    with the cross-entropy H. A frame without a partner teaches nothing. Pairs are of the clips of
    one batch of one process: neither several processes nor accumulated gradients make more of them.

    Examples
    --------
    >>> loss = AcrossLoss(teacher="local", shift=5.0)
    >>> z = torch.nn.functional.normalize(torch.eye(4).expand(2, 2, 4, 4), dim=-1)
    >>> times, mask = torch.arange(4.0).expand(2, 2, 4), torch.ones(2, 2, 4, dtype=torch.bool)
    >>> sorted(loss(z, times, mask))
    ['across', 'contrastive', 'loss', 'matched']
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        sigma: float = 4.0,
        teacher: Teacher = "local",
        across_weight: float = 0.3,
        ramp: tuple[float, float] = (0.3, 0.6),
        shift: float = 5.0,
        gap_open: float = 1.0,
        gap_extend: float = 0.1,
        alignment_temperature: float = 1.0,
        sharpening: float = 1.0,
        smoothing: float = 0.0,
        order_weight: float = 0.0,
        partners: Partners = "same_action",
    ):
        """Check and keep the settings."""
        super().__init__()
        require_positive(
            temperature=temperature,
            sigma=sigma,
            gap_open=gap_open,
            gap_extend=gap_extend,
            alignment_temperature=alignment_temperature,
            sharpening=sharpening,
        )
        require_not_negative(
            across_weight=across_weight, smoothing=smoothing, order_weight=order_weight
        )
        require_one_of(get_args(Teacher), teacher=teacher)
        require_one_of(get_args(Partners), partners=partners)
        if not 0 <= ramp[0] <= ramp[1] <= 1:
            raise ValueError(f"`ramp` must be two shares in order, in [0, 1], got {ramp}")
        if not abs(shift) < float("inf"):
            raise ValueError(f"`shift` must be finite, got {shift}")
        self.temperature = temperature
        self.sigma = sigma
        self.teacher: Teacher = teacher
        self.across_weight = across_weight
        self.ramp = ramp
        self.shift = shift
        self.gap_open = gap_open
        self.gap_extend = gap_extend
        self.alignment_temperature = alignment_temperature
        self.sharpening = sharpening
        self.smoothing = smoothing
        self.order_weight = order_weight
        self.partners: Partners = partners
        self._progress = 1.0
        self._actions: torch.Tensor | None = None

    def prepare(self, *, progress: float, actions: torch.Tensor | None) -> None:
        """Remember how far training is and what the clips of the batch show."""
        self._progress, self._actions = progress, actions

    def match_settings(self) -> MatchSettings:
        """Return the teacher's temperatures and penalties."""
        gaps = self.gap_open, self.gap_extend
        return MatchSettings(self.temperature, *gaps, self.alignment_temperature)

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss` and its terms.

        They are `contrastive`, `across`, `order` if it has a weight, and `matched`, the share of
        frames that the teacher pairs. Terms are 0 while their weight is, and of a clip alone.
        """
        contrastive = contrastive_loss(
            embeddings, times, mask, temperature=self.temperature, sigma=self.sigma
        )
        terms = {"contrastive": contrastive.detach()}
        loss, risen = contrastive, self._risen()
        # All processes of a training must log the same terms, whatever clips they have.
        nothing = contrastive.new_zeros(())
        first, second = self._chosen(len(embeddings), embeddings.device)
        learning = risen > 0 and len(first) > 0
        pairs = self._compare(embeddings, mask, first, second) if learning else None
        if self.across_weight > 0:
            across, matched = nothing, nothing
            if pairs is not None:
                across, matched = self._learn(pairs, times[first, 0], times[second, 1])
            loss = loss + self.across_weight * risen * across
            terms |= {"across": across.detach(), "matched": matched}
        if self.order_weight > 0:
            order = nothing if pairs is None else self._contrast_order(pairs)
            loss = loss + self.order_weight * risen * order
            terms["order"] = order.detach()
        return {"loss": loss, **terms}

    def _risen(self) -> float:
        """Return how far the weights have risen, in [0, 1]."""
        begin, end = self.ramp
        if self._progress >= end:
            return 1.0
        return max(0.0, (self._progress - begin) / (end - begin))

    def _chosen(self, clips: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the clips of all ordered pairs that are aligned, (P,) each."""
        chosen = ~torch.eye(clips, dtype=torch.bool, device=device)
        if self.partners == "same_action" and self._actions is not None:
            actions = self._actions.to(device)
            if len(actions) != clips:
                raise ValueError(f"`actions` must be one a clip, {clips}, got {len(actions)}")
            chosen &= actions[:, None] == actions
        first, second = chosen.nonzero(as_tuple=True)
        return first, second

    def _compare(
        self,
        embeddings: torch.Tensor,
        mask: torch.Tensor,
        first: torch.Tensor,
        second: torch.Tensor,
    ) -> _Pairs:
        """Return the similarity of first views of clips to second views of others."""
        x, y = mask[first, 0], mask[second, 1]
        logits = embeddings[first, 0] @ embeddings[second, 1].transpose(1, 2) / self.temperature
        return _Pairs(logits, x[:, :, None] & y[:, None, :], torch.stack([x.sum(1), y.sum(1)], 1))

    def _learn(
        self, pairs: _Pairs, x_times: torch.Tensor, y_times: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cross-entropy of matching to the teacher, and the share of frames matched."""
        posterior = self._teach(pairs)
        losses = []
        for axis, times in ((2, y_times), (1, x_times)):
            targets = self._spread(self._sharpen(posterior, axis), times, pairs.valid, axis)
            mass = targets.sum(axis)
            logits = pairs.logits.masked_fill(~pairs.valid, torch.finfo(pairs.logits.dtype).min)
            entropy = mass * logits.logsumexp(axis) - (targets * pairs.logits).sum(axis)
            losses.append(entropy.sum() / mass.sum().clamp(min=_LEAST))
        matched = posterior.sum() / pairs.lengths[:, 0].sum()
        return (losses[0] + losses[1]) / 2, matched

    @torch.no_grad()
    def _teach(self, pairs: _Pairs) -> torch.Tensor:
        """Return how likely each two frames are partners, (P, T, T), 0 where one is not there."""
        if self.teacher == "dual_softmax":
            logits = pairs.logits / self.alignment_temperature
            logits = logits.masked_fill(~pairs.valid, torch.finfo(logits.dtype).min)
            return (logits.softmax(2) * logits.softmax(1)).masked_fill(~pairs.valid, 0.0)
        posterior: torch.Tensor = fastsw.posterior(
            pairs.logits - self.shift,
            gap_open=self.gap_open,
            gap_extend=self.gap_extend,
            temperature=self.alignment_temperature,
            mode=self.teacher,
            lengths=pairs.lengths,
        )
        return posterior

    def _sharpen(self, posterior: torch.Tensor, axis: int) -> torch.Tensor:
        """Raise probabilities to a power; their sum over an axis stays."""
        if self.sharpening == 1:
            return posterior
        mass, most = posterior.sum(axis, keepdim=True), posterior.amax(axis, keepdim=True)
        raised = (posterior / most.clamp(min=torch.finfo(most.dtype).tiny)) ** self.sharpening
        return raised * (mass / raised.sum(axis, keepdim=True).clamp(min=1.0))

    def _spread(
        self, targets: torch.Tensor, times: torch.Tensor, valid: torch.Tensor, axis: int
    ) -> torch.Tensor:
        """Spread the targets of an axis over frames near in time, (P, T); their sums stay."""
        if self.smoothing == 0:
            return targets
        there = valid.any(3 - axis)  # of frames of the axis
        distance = (times[:, :, None] - times[:, None, :]) / self.smoothing
        lowest = torch.finfo(times.dtype).min
        near = (-distance.square() / 2).masked_fill(~there[:, None, :], lowest).softmax(2)
        spread = targets @ near if axis == 2 else near.transpose(1, 2) @ targets
        return spread.to(targets)

    def _contrast_order(self, pairs: _Pairs) -> torch.Tensor:
        """Return the logistic loss of the score per frame above that with columns backwards."""
        places = torch.arange(pairs.logits.shape[2], device=pairs.logits.device)
        mirrored = pairs.lengths[:, 1, None] - 1 - places
        mirrored = torch.where(mirrored >= 0, mirrored, places)[:, None].expand_as(pairs.logits)
        forwards, backwards = (
            fastsw.score(
                logits - self.shift,
                gap_open=self.gap_open,
                gap_extend=self.gap_extend,
                temperature=self.alignment_temperature,
                mode="local" if self.teacher == "dual_softmax" else self.teacher,
                lengths=pairs.lengths,
            )
            for logits in (pairs.logits, pairs.logits.gather(2, mirrored))
        )
        return F.softplus((backwards - forwards) / pairs.lengths.amin(1)).mean()
