"""The LAV loss: soft-DTW between clips, held apart by contrast within them."""

from typing import get_args

import torch

import fastsw
from lac.losses._loss import Loss
from lac.losses._pairs import Pairs, Sequences, choose_pairs, squared_distances
from lac.losses._settings import require_not_negative, require_one_of, require_positive


class LavLoss(Loss):
    """Soft-DTW alignment with contrastive inverse difference moment regularisation [1]_.

    Parameters
    ----------
    smoothness : float
        gamma, the temperature of the soft-DTW, > 0, in squared distances of embeddings.
    contrast_weight : float
        Of the regularisation, >= 0.
    margin : float
        Squared distance beyond which far frames of a clip push each other no more, > 0.
    window : float
        Frames of a clip farther apart in time than this are pushed apart, nearer ones pulled
        together; in frames, > 0.
    pairs : {"clips", "views"}
        `"clips"`, the paper's: a clip and the next of the batch. `"views"`: two views of a clip.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    The final loss of [1]_, I being its contrastive-IDM. D are squared distances of embeddings,
    y_ij = 1 where abs(t_i - t_j) > window, else 0, and W_ij = 1 + (t_i - t_j)^2::

        softDTW(D(X, Y)) + contrast_weight (I(X) + I(Y))
        I(X) = sum_ij y_ij W_ij max(0, margin - D_ij(X)) + (1 - y_ij) D_ij(X)

    Departures: soft-DTW is divided by the frames of the longer clip, I averages over cells; the
    authors' code divides both sums by its 20 frames, so its weight 0.5 is 10 here. t in W_ij is a
    share of the view's span, as in that code; in the paper it is a frame's number.

    References
    ----------
    .. [1] Haresh et al., "Learning by Aligning Videos in Time", CVPR 2021.
    """

    def __init__(
        self,
        *,
        smoothness: float = 0.1,
        contrast_weight: float = 10.0,
        margin: float = 2.0,
        window: float = 10.0,
        pairs: Pairs = "clips",
    ):
        """Check and keep the settings."""
        super().__init__()
        require_positive(smoothness=smoothness, margin=margin, window=window)
        require_not_negative(contrast_weight=contrast_weight)
        require_one_of(get_args(Pairs), pairs=pairs)
        self.smoothness = smoothness
        self.contrast_weight = contrast_weight
        self.margin = margin
        self.window = window
        self.pairs: Pairs = pairs

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss` and its terms `alignment` and `contrast`."""
        first, second = choose_pairs(embeddings, times, mask, self.pairs)
        lengths = torch.stack([first.mask.sum(1), second.mask.sum(1)], 1)
        cost = squared_distances(first.embeddings, second.embeddings)
        warped = fastsw.soft_dtw(cost, temperature=self.smoothness, lengths=lengths)
        alignment = (warped / lengths.amax(1)).mean()
        contrast = self._contrast(first) + self._contrast(second)
        return {
            "loss": alignment + self.contrast_weight * contrast,
            "alignment": alignment.detach(),
            "contrast": contrast.detach(),
        }

    def _contrast(self, side: Sequences) -> torch.Tensor:
        """Return the mean of I over the cells of a clip, averaged over clips."""
        valid = side.mask[:, :, None] & side.mask[:, None, :]
        apart = (side.times[:, :, None] - side.times[:, None, :]).abs().masked_fill(~valid, 0.0)
        span = apart.amax((1, 2), keepdim=True).clamp(min=1e-6)
        distance = squared_distances(side.embeddings, side.embeddings)
        pushed = (1 + (apart / span).square()) * (self.margin - distance).clamp(min=0)
        cells = torch.where(apart > self.window, pushed, distance).masked_fill(~valid, 0.0)
        return (cells.sum((1, 2)) / valid.sum((1, 2))).mean()
