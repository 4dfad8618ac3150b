"""Phases of a video, carried over from videos that are labelled."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lac._matching import match
from lac.losses import Loss

DOUBTFUL = 0.5  # confidence below which a label is more likely carried wrongly than others are
_VOTES = 0.1  # where there are fewer, they say nothing


class Labelled(NamedTuple):
    """A video whose frames are labelled.

    Attributes
    ----------
    embeddings : ndarray of float32, shape (T, D)
        Of unit length.
    labels : ndarray of int64, shape (T,)
        Index of each frame's phase, >= 0.
    """

    embeddings: np.ndarray
    labels: np.ndarray


class Carried(NamedTuple):
    """Labels that were carried to a video.

    Attributes
    ----------
    labels : ndarray of int64, shape (T,)
        Index of each frame's phase.
    confidence : ndarray of float64, shape (T,)
        Probability that the frame has a partner of that phase, mean over the references, in [0, 1].
    """

    labels: np.ndarray
    confidence: np.ndarray

    @property
    def doubtful(self) -> np.ndarray:
        """Of which frames the label is to be looked at (T,): confidence below 0.5."""
        return self.confidence < DOUBTFUL


def carry(
    references: Sequence[Labelled], video: np.ndarray, *, loss: Loss | None = None
) -> Carried:
    r"""Label each frame of a video by its partners in videos that are labelled.

    The video is aligned with each reference :math:`r`. Each frame :math:`u` of it votes for its own
    label :math:`\ell_r(u)` with the probability that it is the partner, and the most votes win:

    .. math:: \text{votes}(t, k) = \frac{1}{R} \sum_r \sum_{u: \ell_r(u) = k} P_r(t, u)

    Every frame gets a label, as training and evaluation need one for each. What has next to no
    votes (less than 0.1) takes the label of the nearest frame that has some, the earlier of two:
    what a video shows besides, within a phase or between two, then belongs to what is before or
    after it. Its confidence is low, so that it is found. Few votes are better than none: on GRID,
    waiting for half of them labels fewer frames right (docs/results/label.md).

    Parameters
    ----------
    references : sequence of Labelled
        One or more.
    video : ndarray of float32, shape (T, D)
        Embeddings of unit length.
    loss : Loss, optional
        See `match`.

    Returns
    -------
    Carried

    Raises
    ------
    ValueError
        If there is no reference, or one has another number of labels than of frames.

    Examples
    --------
    >>> x = np.eye(6, dtype=np.float32)
    >>> reference = Labelled(x, np.array([0, 0, 0, 1, 1, 1]))
    >>> carry([reference], x[1:5].repeat(2, 0)).labels.tolist()
    [0, 0, 0, 0, 1, 1, 1, 1]
    """
    _require(references)
    phases = np.arange(1 + max(int(reference.labels.max()) for reference in references))
    votes = np.mean(
        [
            match(video, reference.embeddings, loss=loss).posterior.astype(np.float64)
            @ (reference.labels[:, None] == phases)
            for reference in references
        ],
        axis=0,
    )
    total = votes.sum(1)
    # Where no frame has many, those with the most speak for the others.
    heard = np.flatnonzero(total >= min(_VOTES, total.max()))
    apart = abs(np.arange(len(votes))[:, None] - heard)
    labels = votes.argmax(1)[heard[apart.argmin(1)]]
    return Carried(labels, np.clip(votes[np.arange(len(votes)), labels], 0.0, 1.0))


def spread(labels: np.ndarray, frames: int, *, every: int) -> np.ndarray:
    """Return labels of all frames, given those of every so many: each takes the nearest's.

    Parameters
    ----------
    labels : ndarray of int64, shape (T,)
        Of the frames 0, `every`, 2 `every` and so on.
    frames, every : int
        How many frames there are, and every how many of them are labelled, >= 1.

    Returns
    -------
    ndarray of int64, shape (frames,)

    Examples
    --------
    >>> spread(np.array([0, 1, 2]), 8, every=3).tolist()
    [0, 0, 1, 1, 1, 2, 2, 2]
    """
    nearest = (np.arange(frames) + every // 2) // every
    spread: np.ndarray = labels[np.minimum(nearest, len(labels) - 1)]
    return spread


def _require(references: Sequence[Labelled]) -> None:
    """Refuse what cannot be carried from."""
    if not references:
        raise ValueError("`references` must be one or more videos, got none")
    for number, (embeddings, labels) in enumerate(references):
        if len(labels) != len(embeddings):
            raise ValueError(
                f"`references[{number}].labels` must be one for each of {len(embeddings)} frames,"
                f" got {len(labels)}"
            )
