"""The temporal transformer: every frame of a clip attends to every other, in true time."""

from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F

Position = Literal["none", "relative", "absolute"]
_REACH = 16  # frames: relative distances beyond it are alike


class TemporalTransformer(nn.Module):
    """Pre-norm transformer over the frames of a clip.

    Parameters
    ----------
    width : int
        Features of a frame, in and out; a multiple of `heads`.
    layers, heads : int
        Depth, and attention heads of a layer, >= 1.
    dropout : float
        Of attention weights and of both branches, in [0, 1).
    position : {"relative", "none", "absolute"}
        What attention knows of time. `"relative"`: a learned bias per head for the difference of
        two frames' times, the same wherever the pair lies and cut off beyond 16 frames.
        `"absolute"`: a sinusoid stretched over the crop is added to the input, as in CARL and
        LAC; it tells every frame its progress in the crop without a look at a pixel.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.1,
        position: Position = "relative",
    ):
        """Create the layers."""
        super().__init__()
        if layers < 1 or heads < 1:
            raise ValueError(f"`layers` and `heads` must be >= 1, got {layers} and {heads}")
        if width % heads:
            raise ValueError(f"`width` must be a multiple of `heads` ({heads}), got {width}")
        if not 0 <= dropout < 1:
            raise ValueError(f"`dropout` must be in [0, 1), got {dropout}")
        self.position = position
        self.blocks = nn.ModuleList(
            _Block(width, heads, dropout, relative=position == "relative") for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: torch.Tensor, times: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return contextual features of frames.

        Parameters
        ----------
        x : Tensor, shape (B, T, width)
            Features of frames.
        times : Tensor, shape (B, T)
            Times in frames of the clip, non-decreasing over valid frames.
        mask : Tensor of bool, shape (B, T)
            True where a frame is there; others are neither read nor meaningful in the answer.
        """
        if self.position == "absolute":
            x = x + _sinusoid(_progress(times, mask), x.shape[-1])
        offset = None
        if self.position == "relative":
            offset = (times[:, None, :] - times[:, :, None]).clamp(-_REACH, _REACH)
        for block in self.blocks:
            x = block(x, mask, offset)
        normed: torch.Tensor = self.norm(x)
        return normed


class _Block(nn.Module):
    """Self-attention and a two-layer perceptron, each behind a norm and beside a skip."""

    def __init__(self, width: int, heads: int, dropout: float, *, relative: bool):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.drop = nn.Dropout(dropout)
        self.bias = nn.Parameter(torch.zeros(heads, 2 * _REACH + 1)) if relative else None

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, offset: torch.Tensor | None
    ) -> torch.Tensor:
        x = x + self.drop(self._attend(self.norm1(x), mask, offset))
        y: torch.Tensor = x + self.drop(self.mlp(self.norm2(x)))
        return y

    def _attend(
        self, x: torch.Tensor, mask: torch.Tensor, offset: torch.Tensor | None
    ) -> torch.Tensor:
        """Let every frame attend to the valid frames of its clip."""
        query, key, value = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = torch.zeros(mask.shape, dtype=x.dtype, device=x.device)
        bias = bias.masked_fill(~mask, -torch.inf)[:, None, None, :]  # (B, 1, 1, T)
        if self.bias is not None and offset is not None:
            bias = bias + _interpolate(self.bias, offset + _REACH)
        y = F.scaled_dot_product_attention(
            query, key, value, attn_mask=bias, dropout_p=self.dropout if self.training else 0.0
        )
        attended: torch.Tensor = self.out(y.transpose(1, 2).flatten(2))
        return attended


def _interpolate(table: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Read a table (H, K) at fractional places (B, T, T): (B, H, T, T), linear between entries."""
    low = at.floor().clamp(max=table.shape[1] - 2)
    share = at - low
    low = low.long()
    read = table[:, low] * (1 - share) + table[:, low + 1] * share
    return read.transpose(0, 1)


def _progress(times: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Place of every frame in its crop, 0 at the first valid frame and 1 at the last."""
    first = times.masked_fill(~mask, torch.inf).amin(1, keepdim=True)
    last = times.masked_fill(~mask, -torch.inf).amax(1, keepdim=True)
    return (times - first) / (last - first).clamp(min=1)


def _sinusoid(progress: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of progress in [0, 1] at wavelengths from 1/16 crop to four crops."""
    rates = torch.logspace(-2, 4, width // 2, base=2, device=progress.device)
    angle = 2 * torch.pi * progress[..., None] * rates
    return F.pad(torch.cat([angle.sin(), angle.cos()], -1), (0, width % 2))
