"""Where a video departs from references: steps that are missing, extra, or done in another way."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from scipy.ndimage import uniform_filter1d

from lac._matching import BREAK, Matching, match
from lac.losses import Loss

_WINDOW = 5  # frames over which distances and probabilities are averaged
_AROUND = 3  # frames by which a place along an alignment may be off
_MOST = 10.0  # bits of surprise at most: a partner in a thousand is as good as none
_MUCH = 1.5  # times as many frames depart of one video as of the other: one lacks what is shown
_DEVIATIONS = 3.0  # from the median, where an alignment is its own measure
_NORMAL = 1.4826  # a normal distribution's standard deviation over its median absolute deviation
_APART = 0.1  # least distance beyond the median that stands out

Kind = Literal["missing", "extra", "changed"]


class Moments(NamedTuple):
    """How well each moment of a video is matched by another.

    Attributes
    ----------
    distance : ndarray of float64, shape (T,)
        Of a frame from the other video at its place along the alignment: 1 - cosine, in [0, 2],
        averaged over five frames. Where the other video does the same more slowly it is small,
        although frames are without a partner.
    surprise : ndarray of float64, shape (T,)
        In bits, in [0, 10]: -log2 of the probability that a frame has a partner, averaged likewise.
    """

    distance: np.ndarray
    surprise: np.ndarray


class Limit(NamedTuple):
    """From which distance on a moment departs.

    Attributes
    ----------
    distance : float
        What is farther departs.
    source : {"references", "alignment"}
        Whether references told, checked against each other, or the one alignment itself.
    """

    distance: float
    source: Literal["references", "alignment"]

    def __str__(self) -> str:
        """Say where it comes from."""
        if self.source == "references":
            return (
                f"The limit, a distance of {self.distance:.2f}, is the least at which none of the"
                " references departs from the others."
            )
        return (
            f"The limit, a distance of {self.distance:.2f}, is from this alignment alone: what"
            " stands out from the rest of it. Two or more references would make it surer."
        )


class Step(NamedTuple):
    """A stretch that departs.

    Attributes
    ----------
    kind : {"missing", "extra", "changed"}
        Missing from the query, shown by it alone, or done in another way.
    reference, query : tuple of two int
        First and last frame in each. Of what is missing or extra, the other video has the two
        frames between which it would stand.
    """

    kind: Kind
    reference: tuple[int, int]
    query: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Checked:
    """A query beside the reference that it matches best.

    Attributes
    ----------
    nearest : int
        Which of the references that is.
    matching : Matching
        Of that reference with the query.
    moments : tuple of two Moments
        Of that reference, and of the query.
    limit : Limit
        From which distance on a moment departs.
    steps : list of Step
        What departs, in the order of the query.
    """

    nearest: int
    matching: Matching
    moments: tuple[Moments, Moments]
    limit: Limit
    steps: list[Step]


def check(
    references: Sequence[np.ndarray],
    query: np.ndarray,
    *,
    loss: Loss | None = None,
    limit: float | None = None,
) -> Checked:
    """Say where a query departs from references.

    The query is held against the reference that it matches best. With two or more references each
    of them is checked against the others in the same way, and the limit is set where none of them
    would depart. With one, what stands out among the distances of the alignment itself departs.

    Gaps alone would not tell: who does a step more slowly shows frames that have no partner. So
    each frame is compared with the other video at its place along the alignment. A stretch of one
    video that is like nothing there is missing or extra, one of both at one place is changed.

    Parameters
    ----------
    references : sequence of ndarray of float32, shapes (T, D)
        Embeddings of unit length, one or more sequences of them.
    query : ndarray of float32, shape (U, D)
        Likewise.
    loss : Loss, optional
        See `match`.
    limit : float, optional
        Distance in (0, 2] that is used instead.

    Returns
    -------
    Checked

    Raises
    ------
    ValueError
        If there is no reference, or the limit is out of range.

    Examples
    --------
    >>> x = np.eye(30, dtype=np.float32)
    >>> check([x], np.delete(x, range(10, 20), 0)).steps
    [Step(kind='missing', reference=(8, 21), query=(7, 12))]
    """
    if not references:
        raise ValueError("`references` must hold at least one sequence, got none")
    if limit is not None and not 0 < limit <= 2:
        raise ValueError(f"`limit` must be > 0 and <= 2, got {limit}")
    nearest, matching = _nearest(references, query, loss)
    moments = measure_moments(matching, references[nearest], query)
    if len(references) == 1:
        found = own_limit(moments)
    else:
        found = common_limit([_left_out(references, k, loss) for k in range(len(references))])
    if limit is not None:
        found = found._replace(distance=limit)
    return Checked(nearest, matching, moments, found, find_steps(matching, moments, found.distance))


def measure_moments(
    matching: Matching, reference: np.ndarray, query: np.ndarray
) -> tuple[Moments, Moments]:
    """Measure distance and surprise of all frames of two videos along a matching of them."""
    distances = 1 - reference @ query.T
    pairs = matching.alignment.pairs
    first, second = (
        Moments(
            _smooth(_at_places(away, way)),
            -np.log2(np.clip(_smooth(shares), 0.5**_MOST, 1)),
        )
        for away, way, shares in (
            (distances, pairs, matching.posterior.sum(1)),
            (distances.T, pairs[:, ::-1], matching.posterior.sum(0)),
        )
    )
    return first, second


def common_limit(passed: Sequence[Sequence[Moments]]) -> Limit:
    """Return the least limit above which nothing that is as it should be stays for a step."""
    highest = max(_sustained(moments.distance) for both in passed for moments in both)
    return Limit(highest, "references")


def own_limit(moments: Sequence[Moments]) -> Limit:
    """Return what stands out among the distances of one alignment."""
    distances = np.concatenate([one.distance for one in moments])
    middle = float(np.median(distances))
    deviation = _NORMAL * float(np.median(abs(distances - middle)))
    return Limit(min(middle + max(_DEVIATIONS * deviation, _APART), 2.0), "alignment")


def find_steps(matching: Matching, moments: Sequence[Moments], limit: float) -> list[Step]:
    """Return the stretches of at least five frames that depart, in the order of the query.

    They lie between pairs of frames neither of which departs. Where much more of one video departs
    than of the other, the step is missing or extra: what comes after it begins in another way. Else
    it is changed.
    """
    departing = [one.distance > limit for one in moments]
    pairs = matching.alignment.pairs
    right = pairs[~(departing[0][pairs[:, 0]] | departing[1][pairs[:, 1]])]
    lengths = matching.similarity.shape
    edges = np.concatenate([[[-1, -1]], right, [lengths]]).astype(int).tolist()
    steps = []
    for before, after in pairwise(edges):
        gaps = [slice(begin + 1, end) for begin, end in zip(before, after, strict=True)]
        counts = [int(departs[gap].sum()) for departs, gap in zip(departing, gaps, strict=True)]
        if max(counts) < BREAK:
            continue
        kind: Kind = "changed"
        if max(counts) >= _MUCH * min(counts):
            kind = "missing" if counts[0] > counts[1] else "extra"
        shown = {"missing": (True, False), "extra": (False, True), "changed": (True, True)}[kind]
        reference, query = (
            _departing(departs, gap)
            if shows
            else (max(gap.start - 1, 0), min(gap.stop, length - 1))
            for departs, gap, shows, length in zip(departing, gaps, shown, lengths, strict=True)
        )
        steps.append(Step(kind, reference, query))
    return steps


def _nearest(
    references: Sequence[np.ndarray], query: np.ndarray, loss: Loss | None
) -> tuple[int, Matching]:
    """Return the reference with which the largest share of frames is paired, and how."""
    best: tuple[float, int, Matching] | None = None
    for number, reference in enumerate(references):
        matching = match(reference, query, loss=loss)
        share = 2 * float(matching.posterior.sum()) / sum(matching.posterior.shape)
        if best is None or share > best[0]:  # the others are let go of: they may be large
            best = share, number, matching
    assert best is not None
    return best[1], best[2]


def _left_out(
    references: Sequence[np.ndarray], number: int, loss: Loss | None
) -> tuple[Moments, Moments]:
    """Measure a reference beside the one of the others that it matches best."""
    others = [*references[:number], *references[number + 1 :]]
    nearest, matching = _nearest(others, references[number], loss)
    return measure_moments(matching, others[nearest], references[number])


def _at_places(distances: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Return the least distance (T,) of each row near its place, between pairs interpolated."""
    rows, columns = distances.shape
    if len(pairs):
        places = np.interp(np.arange(rows), *pairs.T)
    else:
        places = np.linspace(0, columns - 1, rows)
    first = np.clip(np.floor(places).astype(int) - _AROUND, 0, columns - 1)
    last = np.clip(np.ceil(places).astype(int) + _AROUND, 0, columns - 1)
    near = zip(distances, first, last, strict=True)
    return np.array([row[begin : end + 1].min() for row, begin, end in near], np.float64)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Average over a window; the first and the last value go on beyond the ends."""
    smooth: np.ndarray = uniform_filter1d(values.astype(np.float64), _WINDOW, mode="nearest")
    return smooth


def _sustained(values: np.ndarray) -> float:
    """Return the highest level at or above which values stay for as long as a step."""
    if len(values) < BREAK:
        return 0.0
    return float(np.lib.stride_tricks.sliding_window_view(values, BREAK).min(1).max())


def _departing(departs: np.ndarray, gap: slice) -> tuple[int, int]:
    """Return the first and last frame of a gap that departs."""
    found = np.flatnonzero(departs[gap]) + gap.start
    return int(found[0]), int(found[-1])


def _around(gap: slice, length: int) -> tuple[int, int]:
    """Return the frames before and after a gap."""
    return max(gap.start - 1, 0), min(gap.stop, length - 1)
