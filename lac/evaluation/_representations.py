"""What is evaluated: the learned embedding, raw features, and time alone, on the same crops."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from lac.data import ClipDataModule
from lac.encoder import Encoder, SmallBackbone
from lac.evaluation._crops import Crop

Representation = Callable[[Crop], np.ndarray]


def content(data: ClipDataModule, crop: Crop) -> torch.Tensor:
    """Return what the encoder reads of a crop: frames in [0, 1], or features."""
    if data.content == "frames":
        return torch.from_numpy(data.load(crop.clip)[crop.start : crop.stop]).float() / 255
    return torch.from_numpy(data.features(crop.clip)[crop.start : crop.stop]).float()


@torch.inference_mode()
def embed(encoder: Encoder, frames: torch.Tensor) -> np.ndarray:
    """Return the embeddings (T, D) of a crop's frames or features."""
    encoder.eval()
    device = next(encoder.parameters()).device
    times = torch.arange(len(frames), dtype=torch.float32, device=device)[None]
    mask = torch.ones(1, len(frames), dtype=torch.bool, device=device)
    embeddings: torch.Tensor = encoder(frames[None].to(device), times, mask)[0]
    return embeddings.cpu().numpy()


def representations(data: ClipDataModule, encoder: Encoder) -> dict[str, Representation]:
    """Return the learned embedding and its baselines by name."""
    named: dict[str, Representation] = {"learned": lambda crop: embed(encoder, content(data, crop))}
    if data.content == "frames":
        backbone = _untrained_backbone()
        raw: dict[str, Representation] = {
            "raw pixels": lambda crop: _pooled(content(data, crop), 8),
            "raw backbone": lambda crop: _pooled(_apply(backbone, content(data, crop)), 2),
        }
    else:
        name = "raw backbone" if data.extractor else "raw features"
        raw = {name: lambda crop: _pooled(content(data, crop), 2)}
    named.update(raw)
    named.update({f"{name}, centred": _centred(function) for name, function in raw.items()})
    named["time only"] = lambda crop: np.linspace(0, 1, crop.stop - crop.start)[:, None]
    return named


def describe(data: ClipDataModule) -> dict[str, str]:
    """Say what the baselines are, for the record."""
    if data.content == "frames":
        raw = "pixels averaged to 8 x 8; maps of the untrained backbone averaged to 2 x 2"
    elif data.extractor is None:
        raw = "features as they are given"
    else:
        raw = f"maps of {data.extractor.name} averaged to 2 x 2"
    return {
        "raw": raw,
        "centred": "minus their mean over the crop",
        "time only": "place of the frame in its crop, 0 to 1",
    }


def _centred(function: Representation) -> Representation:
    """Take from features their mean over the crop, as the encoder may."""

    def centred(crop: Crop) -> np.ndarray:
        features = function(crop)
        moves: np.ndarray = features - features.mean(0)
        return moves

    return centred


@torch.inference_mode()
def _apply(module: nn.Module, frames: torch.Tensor) -> torch.Tensor:
    maps: torch.Tensor = module(frames)
    return maps


def _pooled(maps: torch.Tensor, side: int) -> np.ndarray:
    """Average maps (T, C, h, w) to side x side and flatten; (T, C) stays."""
    if maps.ndim == 2:
        return maps.numpy()
    return F.adaptive_avg_pool2d(maps, side).flatten(1).numpy()


def _untrained_backbone() -> nn.Module:
    """Return the small backbone as it is before training, the same in every evaluation."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallBackbone().eval()
