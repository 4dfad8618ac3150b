"""Vision networks of the package transformers as backbones, frozen or with their last stages tuned.

What is read of a network is one of its hidden states: feature maps (F, C, h, w), or tokens, whose
last square number of them are laid out as maps.
"""

import hashlib
import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lac._progress import part

ALIASES = {"resnet50": "microsoft/resnet-50"}
_IMAGENET = {"image_mean": (0.485, 0.456, 0.406), "image_std": (0.229, 0.224, 0.225)}
_CHUNK = 32  # frames in one pass: bounds memory
_POOL = 4  # side of cached maps, at most: 32 KiB a frame for 1024 channels


def load_pretrained(name: str) -> tuple[nn.Module, Mapping[str, object]]:
    """Return a network of transformers and what its preprocessing says.

    Parameters
    ----------
    name : str
        `"resnet50"`, a model of the Hugging Face hub, or a local folder with one.

    Raises
    ------
    ModuleNotFoundError
        If transformers is not installed.
    ValueError
        If there is no such model, or it cannot be fetched.
    """
    choices = "`backbone` must be 'small', 'lite0', 'none', 'resnet50', or a vision model"
    if find_spec("transformers") is None:
        raise ModuleNotFoundError(
            f"{choices} of the package transformers, which is not installed"
            f" (pip install 'fastsw[transformers]'), got {name!r}"
        )
    from transformers import AutoModel
    from transformers.image_processing_base import ImageProcessingMixin

    place = ALIASES.get(name, name)
    try:
        model = AutoModel.from_pretrained(place)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{choices} in a folder or on the Hugging Face hub, got {name!r}"
        ) from error
    try:
        preprocessing, _ = ImageProcessingMixin.get_image_processor_dict(place)
    except OSError:
        preprocessing = {}
    return model, preprocessing


class PretrainedBackbone(nn.Module):
    """Frames (F, 3, H, W) in [0, 1] to maps (F, C, h, w) of a hidden state of a network.

    Parameters
    ----------
    model : Module
        Of transformers; it gives `hidden_states` for `pixel_values`.
    preprocessing : mapping
        `image_mean` and `image_std` of its preprocessing; ImageNet's where they are missing.
    stage : int
        Which hidden state, -1 for the last.
    tuned : int
        How many stages (of a transformer: layers) before that state are trained, counted from
        the last; the rest of the network is as in evaluation, always.

    Attributes
    ----------
    channels : int
        C, channels of the maps.
    image_size : int
        Side in pixels of the frames that it wants; others are resized.

    Raises
    ------
    ValueError
        If `stage` or `tuned` is out of range.
    """

    def __init__(
        self,
        model: nn.Module,
        preprocessing: Mapping[str, object] | None = None,
        *,
        stage: int = -1,
        tuned: int = 0,
    ):
        """Choose the stages to train, and count the channels."""
        super().__init__()
        self.model = model.eval().requires_grad_(False)
        self.mean: torch.Tensor
        self.std: torch.Tensor
        given = {**_IMAGENET, **(preprocessing or {})}
        for name, key in (("mean", "image_mean"), ("std", "image_std")):
            value = torch.tensor(given[key], dtype=torch.float32).reshape(-1, 1, 1)
            self.register_buffer(name, value, persistent=False)
        size: Any = getattr(model.config, "image_size", None)
        self._any_size = size is None
        self.image_size = 224 if size is None else size if isinstance(size, int) else size[0]
        stages = _stages(model)
        if not -len(stages) - 1 <= stage <= len(stages):
            raise ValueError(f"`stage` must be in -{len(stages) + 1}..{len(stages)}, got {stage}")
        self.stage = stage % (len(stages) + 1)
        if not 0 <= tuned <= self.stage:
            raise ValueError(
                f"`tuned` must be in 0..{self.stage}, the stages that are run, got {tuned}"
            )
        self._tuned = tuple(stages[self.stage - tuned : self.stage])
        for module in self._tuned:
            module.requires_grad_(True)
        with torch.no_grad():
            self.channels = self(torch.zeros(1, 3, self.image_size, self.image_size)).shape[1]

    def train(self, mode: bool = True) -> "PretrainedBackbone":
        """Set the tuned stages alone: norms of the frozen ones keep their statistics."""
        super().train(mode)
        self.model.eval()
        for module in self._tuned:
            module.train(mode)
        return self

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return the maps of frames."""
        if not self._any_size and frames.shape[-1] != self.image_size:
            frames = F.interpolate(
                frames, size=(self.image_size,) * 2, mode="bilinear", antialias=True
            )
        pixels = (frames - self.mean) / self.std
        state = self.model(pixel_values=pixels, output_hidden_states=True)
        maps = state.hidden_states[self.stage]
        return maps if maps.ndim == 4 else _as_maps(maps)


class PretrainedExtractor:
    """Features of frames from a frozen backbone, for the cache.

    Parameters
    ----------
    backbone : PretrainedBackbone
        With nothing tuned.

    Attributes
    ----------
    name : str
        Names the network by a digest of its weights, and the stage.
    image_size : int
        Side in pixels of the frames it is given.
    channels : int
        Channels of the features.
    """

    def __init__(self, backbone: PretrainedBackbone):
        """Name the features."""
        digest = hashlib.sha256()
        for key, value in backbone.model.state_dict().items():
            digest.update(key.encode())
            digest.update(value.cpu().float().numpy().tobytes())
        kind = type(backbone.model).__name__
        self.name = f"{kind}-{digest.hexdigest()[:16]} stage{backbone.stage} pool{_POOL}"
        self.image_size = backbone.image_size
        self.channels = backbone.channels
        self._backbone = backbone.eval()

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return features, float16 (T, C, h, w) with h, w <= 4, of uint8 frames (T, 3, H, W)."""
        starts = part(range(0, len(frames), _CHUNK), "features")
        return np.concatenate([self._features(frames[t : t + _CHUNK]) for t in starts])

    @torch.inference_mode()
    def _features(self, frames: np.ndarray) -> np.ndarray:
        """Return features of a few frames."""
        maps = self._backbone(torch.tensor(frames).float() / 255)
        side = min(_POOL, maps.shape[-1])
        return F.adaptive_avg_pool2d(maps, side).half().numpy()


def _stages(model: nn.Module) -> list[nn.Module]:
    """Return what stands between hidden states: the outermost list with most of the weights."""
    lists: list[nn.Module] = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        raise ValueError(f"`backbone` must be made of stages or layers, got {type(model).__name__}")
    return list(max(lists, key=_weights).children())


def _weights(module: nn.Module) -> int:
    """Count the weights of a module."""
    return sum(p.numel() for p in module.parameters())


def _as_maps(tokens: torch.Tensor) -> torch.Tensor:
    """Lay out the last square number of tokens (F, N, C) as maps (F, C, h, h)."""
    side = math.isqrt(tokens.shape[1])
    last = tokens[:, -side * side :].transpose(1, 2)
    maps: torch.Tensor = last.unflatten(2, (side, side))
    return maps
