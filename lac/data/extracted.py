"""Features of clips by a backbone that is not trained, extracted once."""

import zlib
from typing import Protocol

import numpy as np
import torch

from lac.data.augment import AUGMENTING, Augmentation
from lac.data.clip import Clip
from lac.data.decoded import DecodedFrames
from lac.data.video.frames import decoding


class FrozenExtractor(Protocol):
    """A backbone that is not trained: the model side supplies it, the data side caches it.

    Attributes
    ----------
    name : str
        Names architecture, weights and layer: part of the cache's key.
    image_size : int
        Side in pixels of the frames it wants.
    """

    name: str
    image_size: int

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Return features, (T, C) or (T, C, h, w) float, of uint8 frames (T, 3, H, W)."""


class ExtractedFeatures:
    """Features of clips and of augmented copies of them, kept in the cache of their frames.

    Parameters
    ----------
    extractor : FrozenExtractor
        Makes them.
    frames : DecodedFrames
        Of the clips.
    augmentation : Augmentation, optional
        Changes the copies; there are none if null.
    copies : int
        Augmented copies of each training clip, beside the plain one.
    seed : int
        Decides the augmentation.
    """

    def __init__(
        self,
        extractor: FrozenExtractor,
        frames: DecodedFrames,
        *,
        augmentation: Augmentation | None,
        copies: int,
        seed: int,
    ):
        """Keep the settings; nothing is extracted yet."""
        self.extractor, self.frames = extractor, frames
        self.augmentation, self.copies, self.seed = augmentation, copies, seed

    def plain(self, clip: Clip) -> np.ndarray:
        """Return the features of a clip as it is, (T, C) or (T, C, h, w), read-only."""
        return self._features(clip, None)

    def all(self, clip: Clip) -> list[np.ndarray]:
        """Return the features of the plain clip and, in training, of its augmented copies."""
        return [self._features(clip, seed) for seed in self._seeds(clip)]

    def missing(self, clip: Clip) -> int:
        """Return of how many copies of a clip, with the plain one, there are no features yet."""
        cache = self.frames.cache
        return sum(not cache.holds(clip.path, self._recipe(seed)) for seed in self._seeds(clip))

    def _seeds(self, clip: Clip) -> list[int | None]:
        """Return what decides each copy of a clip whose features are wanted, None for plain."""
        augmented = clip.split == "train" and self.augmentation is not None
        copies = range(1, 1 + self.copies) if augmented else ()
        return [None, *(zlib.crc32(f"{self.seed} {clip.name} {copy}".encode()) for copy in copies)]

    def _features(self, clip: Clip, seed: int | None) -> np.ndarray:
        """Return features of one copy of a clip, extracted once; without a seed it is plain."""
        size = self.extractor.image_size

        def compute() -> np.ndarray:
            frames = self.frames(clip, size=size)
            if self.augmentation is None or seed is None:
                return self.extractor(frames)
            views = self.augmentation(torch.tensor(frames) / 255, size=size, seed=seed)
            return self.extractor((views * 255).round().to(torch.uint8).numpy())

        return self.frames.cache.get(clip.path, self._recipe(seed), compute)

    def _recipe(self, seed: int | None) -> str:
        """Name all that the features of a copy of a clip depend on beside its file."""
        augmentation = None if seed is None else self.augmentation
        return (
            f"features {self.extractor.name} {decoding()} {self.extractor.image_size}"
            f" {AUGMENTING} {augmentation} {seed}{self.frames.taken}"
        )
