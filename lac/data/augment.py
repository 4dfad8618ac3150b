"""Augmentation of a view: one draw of parameters for all of its frames."""

from dataclasses import dataclass
from functools import lru_cache

import kornia.augmentation as K
import torch


@dataclass(frozen=True)
class Augmentation:
    """Random crop, flip, colour and blur, the same for all frames of a view.

    Parameters
    ----------
    scale : tuple of two floats
        Range of the share of the area that a crop keeps, in (0, 1].
    flip : float
        Probability of a horizontal flip; 0 for actions that tell left from right.
    brightness, contrast, saturation : float
        Largest relative change, in [0, 1].
    hue : float
        Largest turn of the colour circle, in [0, 0.5].
    grayscale : float
        Probability of grey frames.
    blur : float
        Probability of a Gaussian blur of 0.1 to 2 pixels.
    """

    scale: tuple[float, float] = (0.5, 1.0)
    flip: float = 0.0
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    grayscale: float = 0.2
    blur: float = 0.2

    def __call__(self, frames: torch.Tensor, *, size: int, seed: int) -> torch.Tensor:
        """Return augmented frames.

        Parameters
        ----------
        frames : Tensor of float32, shape (T, 3, H, W)
            Values in [0, 1].
        size : int
            Side of the frames returned, in pixels.
        seed : int
            Decides the parameters, alone: the global generator is left as it was.

        Returns
        -------
        Tensor of float32, shape (T, 3, size, size)
            Values in [0, 1].
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return _pipeline(self, size)(frames)


@lru_cache(maxsize=8)
def _pipeline(augmentation: Augmentation, size: int) -> torch.nn.Module:
    """Build kornia's pipeline; every step draws once per call."""
    a = augmentation
    return torch.nn.Sequential(
        K.RandomResizedCrop(
            (size, size), scale=a.scale, ratio=(0.9, 1.1), same_on_batch=True, p=1.0
        ),
        K.RandomHorizontalFlip(p=a.flip, same_on_batch=True),
        K.ColorJiggle(a.brightness, a.contrast, a.saturation, a.hue, same_on_batch=True, p=1.0),
        K.RandomGrayscale(p=a.grayscale, same_on_batch=True),
        K.RandomGaussianBlur((5, 5), (0.1, 2.0), p=a.blur, same_on_batch=True),
    )
