"""Frozen encoders, which need no training, so that videos can be aligned at once.

`small` is an encoder as lac trains them, shipped with its weights. For the others, what is read of
a frame (pixels, or maps of a network) is averaged over fields of the picture, smoothed over time,
taken less its mean over the video, and brought to unit length. Settings were chosen by measurement,
see docs/results/alignment.md.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional as F

from lac.encoder._encoder import Encoder
from lac.encoder.lite0 import Lite0Extractor
from lac.losses import LacLoss

_SHIPPED = Path(__file__).parent / "weights" / "small.safetensors"
_STILL = 1e-5  # of a frame's features: what differs less from their mean does not differ


class PixelExtractor:
    """Frames themselves, averaged to a few pixels.

    Parameters
    ----------
    pool : int
        Side of the pictures returned, at least 1.

    Attributes
    ----------
    name : str
        Names what is computed.
    image_size : int
        Side in pixels of the frames it is given.
    channels : int
        3.
    """

    def __init__(self, *, pool: int = 8):
        """Check the side."""
        if pool < 1:
            raise ValueError(f"`pool` must be >= 1, got {pool}")
        self.image_size = 64
        self.channels = 3
        self.name = f"pixels pool{pool}"
        self._pool = pool

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return float16 pictures (T, 3, pool, pool) in [0, 1] of uint8 frames (T, 3, H, W)."""
        x = torch.tensor(frames).float() / 255
        return F.adaptive_avg_pool2d(x, self._pool).half().numpy()


class FrozenEncoder(nn.Module):
    """Embeddings of frames without training.

    Parameters
    ----------
    extractor : Lite0Extractor or PixelExtractor
        From frames to feature maps.
    sides : tuple of int
        Maps are averaged to side x side fields, >= 1, once for each side; all sides have equal
        weight in a cosine of embeddings.
    smoothing : float
        Standard deviation of a Gaussian over time, in frames, >= 0.

    Attributes
    ----------
    extractor : Lite0Extractor or PixelExtractor
        As given.
    dimension : int
        Features of an embedding, D.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        extractor: Lite0Extractor | PixelExtractor,
        *,
        sides: tuple[int, ...],
        smoothing: float,
    ):
        """Keep the settings."""
        super().__init__()
        if not sides or min(sides) < 1:
            raise ValueError(f"`sides` must be one or more numbers >= 1, got {sides}")
        if not 0 <= smoothing < np.inf:
            raise ValueError(f"`smoothing` must be >= 0 and finite, got {smoothing}")
        self.extractor = extractor
        self.sides = sides
        self.smoothing = smoothing
        self.dimension: int = extractor.channels * sum(side**2 for side in sides)

    def forward(
        self, content: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        """Return embeddings of frames.

        Parameters
        ----------
        content : Tensor of float32, shape (B, T, C, h, w)
            Maps of the extractor.
        times : Tensor of float32, shape (B, T)
            Times in frames of the video.
        mask : Tensor of bool, shape (B, T)
            True where a frame is there. No other frame has a part in any result.

        Returns
        -------
        Tensor of float32, shape (B, T, D)
            Of unit length; zero where no frame is, or where a video does not change.
        """
        levels = [self._level(content, times, mask, side) for side in self.sides]
        return F.normalize(torch.cat(levels, 2), dim=2)

    def _level(
        self, content: torch.Tensor, times: torch.Tensor, mask: torch.Tensor, side: int
    ) -> torch.Tensor:
        """Return unit vectors (B, T, D) of the fields of one side."""
        x = F.adaptive_avg_pool2d(content.flatten(0, 1), side).flatten(1)
        x = x.unflatten(0, mask.shape) * mask[..., None]
        if self.smoothing:
            x = _smooth(x, times, mask, self.smoothing)
        mean = x.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
        moves = (x - mean).norm(dim=2) > _STILL * x.norm(dim=2)  # not what rounding leaves
        found: torch.Tensor = F.normalize(x - mean, dim=2) * (mask & moves)[..., None]
        return found


def _smooth(x: torch.Tensor, times: torch.Tensor, mask: torch.Tensor, sigma: float) -> torch.Tensor:
    """Return Gaussian means over time of x (B, T, D); what is further than 4 sigma has no part."""
    total, weight = x.clone(), mask.to(x.dtype)
    for step in range(1, x.shape[1]):
        apart = (times[:, step:] - times[:, :-step]) / sigma
        share = torch.exp(-0.5 * apart**2) * (mask[:, step:] & mask[:, :-step])
        share = share.masked_fill(apart > 4, 0.0)
        if not share.any():
            break
        total[:, step:] += share[..., None] * x[:, :-step]
        total[:, :-step] += share[..., None] * x[:, step:]
        weight[:, step:] += share
        weight[:, :-step] += share
    return total / weight.clamp(min=1)[..., None]


class Parts(NamedTuple):
    """What an `Embedder` is made of."""

    encoder: Encoder | FrozenEncoder
    loss: LacLoss
    image_size: int


def _frozen(encoder: FrozenEncoder) -> Parts:
    """Complete an encoder by a loss that says how to align its embeddings."""
    return Parts(encoder, _scoring(), encoder.extractor.image_size)


def _lite0() -> Parts:
    """Make the ImageNet network."""
    try:
        extractor = Lite0Extractor(block=10, pool=4)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; 'small' needs no other package") from error
    return _frozen(FrozenEncoder(extractor, sides=(1, 2), smoothing=1.0))


def _pixels() -> Parts:
    """Make the baseline that looks at no more than brightness and colour."""
    return _frozen(FrozenEncoder(PixelExtractor(), sides=(8,), smoothing=1.0))


def _small() -> Parts:
    """Read the encoder that is shipped; docs/train_shipped.py has trained it."""
    with safe_open(_SHIPPED, framework="pt") as file:
        about = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    encoder = Encoder(**json.loads(about["encoder"]))
    encoder.load_state_dict(weights)  # into single precision
    return Parts(encoder, _scoring(), int(about["image_size"]))


def _scoring() -> LacLoss:
    """Return the temperature and penalties that cosines less their mean are aligned with."""
    return LacLoss(temperature=0.2, gap_open=2.0, gap_extend=1.0, penalties="fixed")


FROZEN: Mapping[str, Callable[[], Parts]] = MappingProxyType(
    {"lite0": _lite0, "small": _small, "pixels": _pixels}
)
