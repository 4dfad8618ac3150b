"""Augmentation of a view: one draw of parameters for all of its frames."""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch

AUGMENTING = 1  # raise with any change of what a seed gives: cached features are made again


@dataclass(frozen=True)
class Augmentation:
    """Random crop, flip, colour and blur, the same for all frames of a view.

    Parameters
    ----------
    scale : tuple of two floats
        Range of the share of the area that a crop keeps, in (0, 1].
    flip : float
        Probability of a horizontal flip, in [0, 1]; 0 for actions that tell left from right.
    brightness, contrast, saturation : float
        Largest relative change, in [0, 1].
    hue : float
        Largest turn of the colour circle, in [0, 0.5]. It costs more than all else together.
    shuffle : float
        Probability that red, green and blue trade places, in [0, 1].
    grayscale : float
        Probability of grey frames, in [0, 1].
    blur : float
        Probability of a Gaussian blur of 0.1 to 2 pixels, in [0, 1].

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """

    scale: tuple[float, float] = (0.5, 1.0)
    flip: float = 0.0
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.0
    shuffle: float = 0.0
    grayscale: float = 0.2
    blur: float = 0.2

    def __post_init__(self) -> None:
        """Check the parameters."""
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise ValueError(f"`scale` must be two rising numbers in (0, 1], got {self.scale}")
        for name in asdict(self).keys() - {"scale"}:
            value, limit = getattr(self, name), 0.5 if name == "hue" else 1.0
            if not 0 <= value <= limit:
                raise ValueError(f"`{name}` must be in [0, {limit}], got {value}")

    def __call__(self, frames: "torch.Tensor", *, size: int, seed: int) -> "torch.Tensor":
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
        import torch

        shape, colour = _steps(self, size)
        state = torch.get_rng_state()
        torch.default_generator.manual_seed(seed)  # torch.manual_seed is slow without a GPU
        try:
            whole = _apply(shape, frames.reshape(1, -1, *frames.shape[2:]))
            return _apply(colour, whole.reshape(-1, 3, size, size))
        finally:
            torch.set_rng_state(state)


Steps: TypeAlias = "tuple[tuple[float, torch.nn.Module], ...]"  # probability and step


@lru_cache(maxsize=8)
def _steps(augmentation: Augmentation, size: int) -> "tuple[Steps, Steps]":
    """Build kornia's steps: those of shape see a view as one image of 3 T channels.

    So they draw once by themselves and crop and blur all frames in one go; the steps of colour
    need three channels and are told to draw once. kornia's `VideoSequential` draws once per clip,
    too, but goes frame by frame and computes the steps that it then discards: 75 ms for a view of
    32 frames of 112 x 112 pixels with the default settings, against 29 ms (kornia 0.9, medians of
    30 on one thread; 37 ms with one container for each step, applied only where it was drawn).
    """
    import kornia.augmentation as K

    a = augmentation
    crop = K.RandomResizedCrop((size, size), scale=a.scale, ratio=(0.9, 1.1), cropping_mode="slice")
    shape = (
        (1.0, crop),
        (a.flip, K.RandomHorizontalFlip(p=1.0)),
        (a.blur, K.RandomGaussianBlur((5, 5), (0.1, 2.0), p=1.0)),
    )
    jitter = (a.brightness, a.contrast, a.saturation, a.hue)
    colour = (
        (1.0, K.ColorJitter(*jitter, same_on_batch=True, p=1.0)),
        (a.shuffle, K.RandomChannelShuffle(p=1.0, same_on_batch=True)),
        (a.grayscale, K.RandomGrayscale(p=1.0, same_on_batch=True)),
    )
    return shape, colour


def _apply(steps: Steps, images: "torch.Tensor") -> "torch.Tensor":
    """Apply each step with its probability; kornia itself would compute and discard."""
    import torch

    for probability, step in steps:
        if torch.rand(()) < probability:
            images = step(images)
    return images
