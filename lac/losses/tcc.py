"""The TCC loss: a frame that goes to the other clip and back should return to itself."""

from typing import Literal, get_args

import torch
from torch.nn import functional as F

from lac.losses._loss import Loss
from lac.losses._pairs import Pairs, Sequences, choose_pairs, squared_distances
from lac.losses._settings import require_not_negative, require_one_of, require_positive

Cycle = Literal["regression", "classification"]
_LEAST = 1e-6  # added to variances, in squared frames


class TccLoss(Loss):
    """Temporal cycle-consistency between two clips of one procedure [1]_.

    Parameters
    ----------
    cycle : {"regression", "classification"}
        How the return is scored.
    temperature : float
        Of the soft nearest neighbour and of the return, > 0.
    variance_weight : float
        Of the logarithm of the returned standard deviation in regression, >= 0.
    pairs : {"clips", "views"}
        `"clips"`, the paper's: a clip and the next of the batch. `"views"`: two views of a clip.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    By the names of [1]_, for a frame u_i of one clip and frames v_j of the other, with softmaxes
    over valid frames::

        alpha                      softmax(-|u_i - v_j|^2 / temperature)
        soft nearest neighbour     v = sum_j alpha_j v_j
        beta                       softmax(-|v - u_k|^2 / temperature)
        cycle-back classification  -log beta_i
        cycle-back regression      |t_i - mu|^2 / s^2 + variance_weight log s

    with mean mu and variance s^2 of the times t_k under beta; averaged over the frames of both
    clips. Departures: a temperature of its own beside embeddings of unit length, where the
    authors' are free; times of frames instead of their numbers; 1e-6 is added to s^2.

    References
    ----------
    .. [1] Dwibedi, Aytar, Tompson, Sermanet, Zisserman, "Temporal Cycle-Consistency Learning",
       CVPR 2019.
    """

    def __init__(
        self,
        *,
        cycle: Cycle = "regression",
        temperature: float = 0.1,
        variance_weight: float = 0.001,
        pairs: Pairs = "clips",
    ):
        """Check and keep the settings."""
        super().__init__()
        require_one_of(get_args(Cycle), cycle=cycle)
        require_one_of(get_args(Pairs), pairs=pairs)
        require_positive(temperature=temperature)
        require_not_negative(variance_weight=variance_weight)
        self.cycle = cycle
        self.temperature = temperature
        self.variance_weight = variance_weight
        self.pairs: Pairs = pairs

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss`."""
        first, second = choose_pairs(embeddings, times, mask, self.pairs)
        values = torch.cat([self._cycle(first, second), self._cycle(second, first)])
        return {"loss": values.mean()}

    def _cycle(self, here: Sequences, there: Sequences) -> torch.Tensor:
        """Return the loss of every valid frame of `here`."""
        forth = self._logits(here.embeddings, there.embeddings, there.mask)
        neighbour = forth.softmax(-1) @ there.embeddings
        back = self._logits(neighbour, here.embeddings, here.mask)
        if self.cycle == "classification":
            return -F.log_softmax(back, -1).diagonal(dim1=1, dim2=2)[here.mask]
        beta = back.softmax(-1)
        times = here.times.masked_fill(~here.mask, 0.0)
        mean = (beta * times[:, None]).sum(-1)
        variance = (beta * (times[:, None] - mean[..., None]).square()).sum(-1) + _LEAST
        value = (times - mean).square() / variance + self.variance_weight * 0.5 * variance.log()
        return value[here.mask]

    def _logits(self, x: torch.Tensor, y: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return -|x - y|^2 / temperature, the lowest number for frames y that are not there."""
        logits = -squared_distances(x, y) / self.temperature
        return logits.masked_fill(~mask[:, None], torch.finfo(logits.dtype).min)
