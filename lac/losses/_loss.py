"""What every loss is: a module from embeddings of two views to named scalars."""

from typing import NamedTuple

import torch
from torch import nn


class MatchSettings(NamedTuple):
    """How two clips are matched that have been embedded as a loss teaches.

    Cosines over `temperature` are aligned with `gap_open` and `gap_extend` at
    `alignment_temperature`. Defaults are those of LAC and of what learns across clips.
    """

    temperature: float = 0.1
    gap_open: float = 1.0
    gap_extend: float = 0.1
    alignment_temperature: float = 1.0


class Loss(nn.Module):
    """Base of the losses.

    Parameters of a loss, learned penalties for instance, are optimised with the encoder's,
    without weight decay, and saved in its checkpoints.
    """

    def check(self, *, frames: int, dimension: int) -> None:
        """Refuse, by a ValueError, views of `frames` or embeddings of `dimension` that do not fit.

        Called before training; most losses take any.
        """

    def prepare(self, *, progress: float, actions: torch.Tensor | None) -> None:
        """Take note of what training knows beside the views, before every batch.

        Most losses need none of it.

        Parameters
        ----------
        progress : float
            Share of the steps of training that is done, in [0, 1].
        actions : Tensor of int64, shape (B,), or None
            Which action each clip of the batch shows, where there are several.
        """

    def match_settings(self) -> MatchSettings:
        """Return how to match clips; a loss that aligns with settings of its own returns those."""
        return MatchSettings()

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
