"""The TCN loss: time-contrastive n-pairs between two views."""

import torch
from torch.nn import functional as F

from lac.losses._loss import Loss
from lac.losses._settings import require_positive


class TcnLoss(Loss):
    """N-pairs loss [2]_ on simultaneous frames of two views, as time-contrastive networks [1]_.

    Parameters
    ----------
    temperature : float
        Of the inner product, > 0.
    window : float
        Frames of the other view at most this far in time may be the positive, those farther
        away are negatives; in frames, > 0.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    For a frame a_i of a view, p the frame of the other view nearest in time and n_j its frames
    beyond the window::

        log(1 + sum_j exp(<a_i, n_j> / temperature - <a_i, p> / temperature))   (equation 1 of [2]_)

    averaged over frames of both views that have a positive. Departures: [1]_ has a triplet loss
    and cameras for views, n-pairs being what later comparisons call TCN; embeddings of unit
    length, so a temperature instead of the penalty on their length; several negatives and a
    margin between them and the positive as in [1]_, where [2]_ takes all other positives.

    References
    ----------
    .. [1] Sermanet et al., "Time-Contrastive Networks: Self-Supervised Learning from Video",
       ICRA 2018.
    .. [2] Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016.
    """

    def __init__(self, *, temperature: float = 0.1, window: float = 5.0):
        """Check and keep the settings."""
        super().__init__()
        require_positive(temperature=temperature, window=window)
        self.temperature = temperature
        self.window = window

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss`."""
        logits = embeddings[:, 0] @ embeddings[:, 1].transpose(1, 2) / self.temperature
        valid = mask[:, 0, :, None] & mask[:, 1, None, :]
        distance = (
            (times[:, 0, :, None] - times[:, 1, None, :]).abs().masked_fill(~valid, torch.inf)
        )
        values = torch.cat(
            [
                self._contrast(
                    *(x.transpose(1, 2) if turn else x for x in (logits, distance, valid))
                )
                for turn in (False, True)
            ]
        )
        return {"loss": values.mean() if len(values) else logits.sum() * 0.0}

    def _contrast(
        self, logits: torch.Tensor, distance: torch.Tensor, valid: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss of every frame of the rows that has a positive."""
        nearest, positive = distance.min(2)
        chosen = logits.gather(2, positive[..., None])
        negative = valid & (distance > self.window)
        above = (logits - chosen).masked_fill(~negative, torch.finfo(logits.dtype).min)
        value = torch.logsumexp(F.pad(above, (1, 0)), -1)  # the 0 in front is the positive
        return value[nearest <= self.window]
