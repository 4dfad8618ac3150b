"""Where a video shows what a moment or a span of another shows."""

from typing import NamedTuple

import numpy as np

import fastsw
from lac._matching import match
from lac.losses import Loss


class Found(NamedTuple):
    """The place in a video that shows what a span of another shows.

    Attributes
    ----------
    first, last : int
        First and last frame of it.
    nearest : int
        The frame in it that is the most probable partner of one of the span.
    score : float
        Mean probability, over the frames of the span, of a partner in the video, in [0, 1].
    """

    first: int
    last: int
    nearest: int
    score: float


def find(
    source: np.ndarray, video: np.ndarray, first: int, last: int, *, loss: Loss | None = None
) -> Found:
    """Find the place in a video that shows what a span of another shows.

    Both are aligned as a whole, so that what comes before and after tells where a moment is: on
    four synchronised cameras the most probable partner of a frame is off by 4 frames in the mean
    where the frame that is most like it is off by 20 (docs/results/find.md).

    Parameters
    ----------
    source, video : ndarray of float32, shapes (T, D) and (U, D)
        Embeddings of unit length.
    first, last : int
        First and last frame of the span, 0 <= first <= last < T; the same for a moment.
    loss : Loss, optional
        See `match`.

    Returns
    -------
    Found

    Examples
    --------
    >>> x = np.eye(9, dtype=np.float32)
    >>> find(x, x[2:], 3, 5)[:2]
    (1, 3)
    """
    if not 0 <= first <= last < len(source):
        raise ValueError(
            f"`first` and `last` must be frames of {len(source)} in order, got {first} and {last}"
        )
    posterior = np.ascontiguousarray(match(source, video, loss=loss).posterior[first : last + 1])
    path = fastsw.mea(posterior, threshold=0.0)
    assert isinstance(path, fastsw.Alignment)
    pairs = path.pairs
    if not len(pairs):
        pairs = np.array([np.unravel_index(posterior.argmax(), posterior.shape)])
    probable = posterior[tuple(pairs.T)]
    return Found(
        first=int(pairs[0, 1]),
        last=int(pairs[-1, 1]),
        nearest=int(pairs[probable.argmax(), 1]),
        score=float(posterior.sum(dtype=np.float64) / len(posterior)),
    )
