"""Whom each frame of a clip corresponds to in another: as labels tell, and as is found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

import fastsw
from lac._matching import BREAK, Scoring
from lac.evaluation._crops import Crop
from lac.evaluation._per_clip import PerClip
from lac.evaluation.metrics import drawn_pairs, squared_distances

_SHARPNESS = 10.0  # of the similarity: that of `match` for unit vectors at right angles
_SCORING = Scoring(gap_open=1.0, gap_extend=0.1, temperature=1.0)  # as in `match`
_PAIRED = 0.5  # a frame less likely paired than that has no partner
_CELLS = 4_000_000  # of similarities that are held at once


@dataclass(frozen=True)
class Truth:
    """From where to where the partners of each frame lie in another crop, (T, K) each.

    Places count from the beginning of that crop and need not be whole. K: the frame's phase may
    come several times; NaN where there is none.
    """

    low: np.ndarray
    high: np.ndarray

    @property
    def partnered(self) -> np.ndarray:
        """Which frames have any partner, (T,) bool."""
        there: np.ndarray = np.isfinite(self.low).any(1)
        return there

    def error(self, places: np.ndarray) -> np.ndarray:
        """Return how far places (T,) are from the nearest partner; NaN of a frame without one."""
        away = np.maximum(self.low - places[:, None], places[:, None] - self.high).clip(min=0)
        return np.where(self.partnered, np.nan_to_num(away, nan=np.inf).min(1), np.nan)


def true_partners(first: Crop, second: Crop) -> Truth:
    """Say where frames of a crop have their partners in a crop of another clip.

    Frames correspond that are of equal phase and have come equally far in it: as `progress` of
    the clips tells, else by time. Of a phase that comes several times, every coming counts.

    Parameters
    ----------
    first, second : Crop
        Of labelled clips.
    """
    phase, progress = first.phase, _progress(first)[first.start : first.stop]
    there = _progress(second)
    runs = [
        (label, start, stop) for label, start, stop in _runs(second) if label in set(phase.tolist())
    ]
    bounds = np.full((2, len(phase), max(1, len(runs))), np.nan)
    for k, (label, start, stop) in enumerate(runs):
        rows = np.flatnonzero(phase == label)
        low, high = _places(there[start:stop], progress[rows])
        low, high = low + start - second.start, high + start - second.start
        seen = (high >= -0.5) & (low <= second.stop - second.start - 0.5)
        last = second.stop - second.start - 1
        bounds[0, rows[seen], k] = low[seen].clip(0, last)
        bounds[1, rows[seen], k] = high[seen].clip(0, last)
    return Truth(*bounds)


def _runs(crop: Crop) -> Iterator[tuple[int, int, int]]:
    """Yield phase, first and one past the last frame of each stretch of one phase of the clip."""
    assert crop.clip.phase is not None
    edges = np.flatnonzero(np.diff(crop.clip.phase)) + 1
    for start, stop in zip([0, *edges], [*edges, len(crop.clip.phase)], strict=True):
        yield int(crop.clip.phase[start]), int(start), int(stop)


def _progress(crop: Crop) -> np.ndarray:
    """Return how far each frame of the clip has come in its phase, in [0, 1]."""
    if crop.clip.progress is not None:
        return crop.clip.progress
    return np.concatenate(
        [(np.arange(stop - start) + 0.5) / (stop - start) for _, start, stop in _runs(crop)]
    )


def _places(there: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return from where to where a stretch, whose progress does not fall, has wanted progress."""
    before, after = (np.searchsorted(there, wanted, side) for side in ("left", "right"))
    last = len(there) - 1
    low, high = np.clip(before - 1, 0, last), np.clip(before, 0, last)
    gap = there[high] - there[low]
    share = np.divide(wanted - there[low], gap, out=np.zeros(len(wanted)), where=gap > 0)
    between = low + share.clip(0, 1) * (high - low)
    held = after > before  # the stretch rests where it has come just as far
    return np.where(held, before, between), np.where(held, after - 1, between)


def compare_crops(crops: Sequence[tuple[Crop, np.ndarray]], *, seed: int) -> dict[str, PerClip]:
    """Align crops of different clips, and hold what is found against what labels tell.

    Parameters
    ----------
    crops : sequence of (Crop, features (T, D))
        Two or more, each of another labelled clip.
    seed : int
        Decides which pairs are compared, where there are many.

    Returns
    -------
    dict of str to PerClip
        `alignment_error`: how far, in frames, a frame with a partner is matched from it; the
        median over a clip's frames. Frames that are left unmatched go with those beside them; if
        none is matched, they are as far away as the other clip is long.
        `alone_precision`, `alone_recall`: of the frames that are said to have no partner the
        share that has none, and of those that have none the share of which that is said.
        `true_tau`: Kendall's tau of the places of nearest frames with those of the partners,
        over frames that have just one.

    Notes
    -----
    The alignment is that of `lac.align`, made free of the scale of features: with d the distance
    of two frames and m the mean of its square over two crops, the similarity is 10 (m - d^2) / m,
    which is <x, y> / 0.1 of unit vectors that are at right angles in the mean.
    """
    errors: dict[str, list[float]] = {crop.clip.name: [] for crop, _ in crops}
    taus: dict[str, list[float]] = {name: [] for name in errors}
    alone = {name: np.zeros(3) for name in errors}  # rightly said, said, true
    sizes = [len(x) for _, x in crops]
    for chunk in _chunks(drawn_pairs(len(crops), seed=seed), sizes):
        distances = [squared_distances(crops[i][1], crops[j][1]).clip(min=0) for i, j in chunk]
        for (i, j), distance, pairs in zip(chunk, distances, _align(distances), strict=True):
            name, truth = crops[i][0].clip.name, true_partners(crops[i][0], crops[j][0])
            away = truth.error(_carried_on(pairs, *distance.shape))[truth.partnered]
            errors[name] += np.minimum(away, distance.shape[1]).tolist()
            alone[name] += _count(_said_alone(pairs, len(distance)), ~truth.partnered)
            taus[name] += _true_tau(truth, distance.argmin(1))
    medians = {name: [float(np.median(own))] if own else [] for name, own in errors.items()}
    return {
        "alignment_error": PerClip.means(medians),
        "alone_precision": PerClip.shares({name: (n[0], n[1]) for name, n in alone.items()}),
        "alone_recall": PerClip.shares({name: (n[0], n[2]) for name, n in alone.items()}),
        "true_tau": PerClip.means(taus),
    }


def _chunks(
    pairs: Sequence[tuple[int, int]], sizes: Sequence[int]
) -> Iterator[list[tuple[int, int]]]:
    """Divide pairs so that the similarities of each part are not too large."""
    part: list[tuple[int, int]] = []
    cells = 0
    for i, j in pairs:
        if part and cells + sizes[i] * sizes[j] > _CELLS:
            yield part
            part, cells = [], 0
        part.append((i, j))
        cells += sizes[i] * sizes[j]
    if part:
        yield part


def posteriors(distances: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return how probably frames are partners, by squared distances (T, U) of each two crops."""
    similarities = []
    for distance in distances:
        mean = distance.mean()
        scaled = (mean - distance) / mean if mean > 0 else np.zeros_like(distance)
        similarities.append((_SHARPNESS * scaled).astype(np.float32))
    found: list[np.ndarray] = fastsw.posterior(similarities, **_SCORING._asdict())
    return found


def _align(distances: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return the pairs (K, 2) of frames that are matched."""
    alignments = fastsw.mea(posteriors(distances), min_paired=_PAIRED)
    assert isinstance(alignments, list)  # a list in, a list out
    return [alignment.pairs for alignment in alignments]


def _said_alone(pairs: np.ndarray, rows: int) -> np.ndarray:
    """Return of which rows it is said that they have no partner, (T,) bool.

    A few that are skipped between matched ones are those of a slower clip, which go together with
    them; more, or those before and after all matched ones, are alone.
    """
    alone = np.ones(rows, bool)
    matched = pairs[:, 0]
    for part in np.split(matched, np.flatnonzero(np.diff(matched) > BREAK) + 1):
        if len(part):
            alone[part[0] : part[-1] + 1] = False
    return alone


def _carried_on(pairs: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return places of all rows: between matched ones on a line, at the ends at equal pace."""
    if not len(pairs):
        return np.full(rows, np.inf)
    matched, places = pairs.T.astype(float)
    here = np.arange(rows)
    found = np.interp(here, matched, places)
    found += np.minimum(here - matched[0], 0) + np.maximum(here - matched[-1], 0)
    within: np.ndarray = found.clip(0, columns - 1)
    return within


def _count(said: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return how many are rightly said, said, and true."""
    return np.array([(said & true).sum(), said.sum(), true.sum()], float)


def _true_tau(truth: Truth, nearest: np.ndarray) -> list[float]:
    """Return Kendall's tau of nearest with true places, none where it is not defined."""
    sure = np.isfinite(truth.low).sum(1) == 1
    middle = np.nansum((truth.low + truth.high)[sure], 1) / 2
    if len(np.unique(middle)) < 2:
        return []
    tau = kendalltau(middle, nearest[sure]).statistic
    return [0.0 if np.isnan(tau) else float(tau)]
