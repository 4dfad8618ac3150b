"""Convolution over time: what moves between neighbouring frames, before maps are pooled."""

from typing import Literal

import torch
from torch import nn

Norm = Literal["batch", "group"]


def normalisation(kind: Norm, channels: int) -> nn.Module:
    """Return the norm of maps: over a process's batch, or over groups of a frame's channels.

    Group norms give a frame the same features whatever else is in the batch, so training on
    several processes computes what one would.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        groups = next(g for g in (8, 6, 4, 3, 2, 1) if channels % g == 0)
        return nn.GroupNorm(groups, channels)
    raise ValueError(f"`norm` must be 'batch' or 'group', got {kind!r}")


class ContextConvolution(nn.Module):
    """3 x 3 x 3 convolutions over the frames of a view and their maps, each with norm and ReLU.

    As the convolutions of TCC's, CARL's and LAC's models, over the neighbours of a frame in its
    view. Beyond the ends of the view, and of the maps, are zeros.

    Parameters
    ----------
    channels : int
        Of the maps that come in.
    out : int
        Of those that go out.
    layers : int
        >= 1.
    norm : {"batch", "group"}
        See `normalisation`.
    """

    def __init__(self, channels: int, out: int, *, layers: int, norm: Norm):
        """Create the layers."""
        super().__init__()
        widths = [channels] + [out] * layers
        self.convolutions = nn.ModuleList(
            nn.Conv3d(widths[k], out, 3, padding=1, bias=False) for k in range(layers)
        )
        self.norms = nn.ModuleList(normalisation(norm, out) for _ in range(layers))

    def forward(self, maps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return maps (F, out, h, w) of the valid frames of maps (F, C, h, w); mask (B, T)."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = maps.new_zeros(*mask.shape, *maps.shape[1:])
            x[mask] = maps
            y = convolution(x.transpose(1, 2)).transpose(1, 2)  # (B, T, out, h, w)
            maps = norm(y[mask]).relu()
        return maps
