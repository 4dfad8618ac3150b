"""Means over the cells of a grid that is laid over a map."""

import functools

import torch
from torch import nn
from torch.nn import functional as F


class GridMeans(nn.Module):
    """What `torch.nn.AdaptiveAvgPool2d` computes, by a matrix product.

    On a CPU that is about ten times as fast for the small maps of deep layers, where pooling was a
    sixth of a training step.

    Parameters
    ----------
    side : int
        Cells of the grid along either side, >= 1.

    Examples
    --------
    >>> GridMeans(1)(torch.arange(4.0).view(1, 1, 2, 2))
    tensor([[[[1.5000]]]])
    """

    def __init__(self, side: int):
        """Keep the grid's side."""
        super().__init__()
        self.side = side

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return means (F, C, side, side) of maps (F, C, h, w)."""
        shares = _shares(maps.shape[2], maps.shape[3], self.side).to(maps)
        means: torch.Tensor = (maps.flatten(2) @ shares).unflatten(2, (self.side, self.side))
        return means


@functools.cache
def _shares(height: int, width: int, side: int) -> torch.Tensor:
    """Return how much each place of a map counts in each cell, (height x width, side x side)."""
    with torch.inference_mode(False), torch.no_grad():
        places = torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)
        return F.adaptive_avg_pool2d(places, side).flatten(1)
