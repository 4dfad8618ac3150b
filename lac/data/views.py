"""Two temporal views of one clip: random crops at random rates, with true frame times."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TwoViews:
    """Draw two sequences of frame numbers from one clip.

    Each view is a crop of random length and place. A crop longer than `frames` is divided into
    `frames` nearly equal runs and one frame is drawn from each, so the rate follows the crop's
    length and varies a little within it. A shorter crop gives all its frames, which leaves the
    view shorter than `frames`: no frame is ever repeated.

    Parameters
    ----------
    frames : int
        Largest number of frames of a view, >= 2.
    min_crop : float
        Shortest crop as a share of the clip, in (0, 1]. From 0.5 on two crops always meet.

    Examples
    --------
    >>> TwoViews(frames=4, min_crop=0.5)(20, np.random.default_rng(0))
    (array([ 3,  6, 11, 15]), array([0, 4, 6, 9]))
    """

    frames: int
    min_crop: float = 0.5

    def __post_init__(self) -> None:
        """Check the parameters."""
        if self.frames < 2:
            raise ValueError(f"`frames` must be >= 2, got {self.frames}")
        if not 0 < self.min_crop <= 1:
            raise ValueError(f"`min_crop` must be in (0, 1], got {self.min_crop}")

    def __call__(self, length: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the frame numbers of two views.

        Parameters
        ----------
        length : int
            Frames of the clip, >= 2.
        rng : numpy.random.Generator
            The only source of chance.

        Returns
        -------
        tuple of two ndarrays of int64, shape (t,), 2 <= t <= `frames`
            Strictly increasing frame numbers; they are the true times, in frames.
        """
        return self._view(length, rng), self._view(length, rng)

    def _view(self, length: int, rng: np.random.Generator) -> np.ndarray:
        """Draw one view."""
        shortest = max(2, int(np.ceil(self.min_crop * length)))
        crop = int(rng.integers(shortest, length, endpoint=True))
        start = int(rng.integers(0, length - crop, endpoint=True))
        edges = np.linspace(0, crop, min(self.frames, crop) + 1).astype(np.int64)
        return start + rng.integers(edges[:-1], edges[1:])
