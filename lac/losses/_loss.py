"""What every loss is: a module from embeddings of two views to named scalars."""

import torch
from torch import nn


class Loss(nn.Module):
    """Base of the losses.

    Parameters of a loss, learned penalties for instance, are optimised with the encoder's,
    without weight decay, and saved in its checkpoints.
    """

    def check(self, *, frames: int, dimension: int) -> None:
        """Refuse, by a ValueError, views of `frames` or embeddings of `dimension` that do not fit.

        Called before training; most losses take any.
        """

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the terms of the loss.

        Parameters
        ----------
        embeddings : Tensor of float32, shape (B, 2, T, D)
            Frames of two views of B clips.
        times : Tensor of float32, shape (B, 2, T)
            Times of the frames, in frames of the clip.
        mask : Tensor of bool, shape (B, 2, T)
            True where a frame is there, at the beginning of every row. Other frames change
            nothing.

        Returns
        -------
        dict of str to scalar Tensor
            `"loss"` is what training minimises; the rest is for the log.
        """
        raise NotImplementedError
