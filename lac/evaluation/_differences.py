"""How sure a difference between trainings is: intervals and paired tests over clips and seeds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, permutation_test, ttest_1samp

Clips = Mapping[str, Sequence[float]]  # value and weight by clip, as reports keep them
_CONFIDENCE = 0.95
_RESAMPLES = 9999
_LEVEL = 0.05


@dataclass(frozen=True)
class Estimate:
    """A figure or a difference of two, in the mean over seeds.

    Attributes
    ----------
    mean, low, high : float
        The mean, and its 95 % interval by the bootstrap over clips.
    p_clips, p_seeds : float or None
        Of a difference: how often chance alone, by signs of clips, or by Student's t over seeds,
        would make it as large. None where there is nothing to tell it by.
    """

    mean: float
    low: float
    high: float
    p_clips: float | None = None
    p_seeds: float | None = None

    @property
    def significant(self) -> bool:
        """Whether it holds both over clips and over seeds, at 5 %."""
        return all(p is not None and p < _LEVEL for p in (self.p_clips, self.p_seeds))


@dataclass(frozen=True, eq=False)
class _Measured:
    """Values and weights of the same clips from several seeds, each (S, C)."""

    values: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, seeds: Sequence[Clips]) -> "_Measured":
        names = sorted(set().union(*seeds))
        pairs = np.array([[own.get(name, (0.0, 0.0)) for name in names] for own in seeds])
        return cls(pairs[..., 0], pairs[..., 1])

    def means(self, clips: np.ndarray) -> np.ndarray:
        """Return the mean over seeds of the figures of samples of clips, (..., C) places."""
        values, weights = self.values[:, clips], self.weights[:, clips]
        total = weights.sum(-1)
        figures = (values * weights).sum(-1) / np.where(total > 0, total, 1)
        means: np.ndarray = figures.mean(0)
        return means

    def figures(self) -> np.ndarray:
        """Return the figure of each seed, (S,)."""
        found: np.ndarray = (self.values * self.weights).sum(1) / self.weights.sum(1)
        return found

    def parts(self) -> np.ndarray:
        """Return what each clip adds, in the mean over seeds: (C,), whose mean is the figure.

        Of a ratio, whose weights differ too, it is what a clip adds to first order.
        """
        figures, weights = self.figures()[:, None], self.weights
        share = weights / weights.sum(1, keepdims=True) * weights.shape[1]
        parts: np.ndarray = (figures + share * (self.values - figures)).mean(0)
        return parts


def estimate(seeds: Sequence[Clips]) -> Estimate:
    """Return the figure of a row of runs that differ by seed, with its interval.

    Examples
    --------
    >>> found = estimate([{"a": (0.5, 0.5), "b": (0.7, 0.5)}])
    >>> found.low <= found.mean <= found.high
    True
    """
    measured = _Measured.of(seeds)
    mean = float(measured.figures().mean())
    return Estimate(mean, *_interval(measured.means, measured.values.shape[1], mean))


def difference(seeds: Sequence[Clips], reference: Sequence[Clips]) -> Estimate:
    """Return how far a row is above another, by runs of the same seeds on the same clips.

    Parameters
    ----------
    seeds, reference : sequence of mappings
        In the same order of seeds.
    """
    names = set().union(*seeds, *reference)
    filled = [
        [{name: own.get(name, (0.0, 0.0)) for name in names} for own in row]
        for row in (seeds, reference)
    ]
    above, below = (_Measured.of(row) for row in filled)
    by_seed = above.figures() - below.figures()
    mean, clips = float(by_seed.mean()), len(names)
    low, high = _interval(lambda at: above.means(at) - below.means(at), clips, mean)
    parts = above.parts() - below.parts()
    p_clips = p_seeds = None
    if clips > 1 and parts.any():
        p_clips = float(
            permutation_test(
                (parts,),
                lambda x, axis: x.mean(axis),
                permutation_type="samples",
                vectorized=True,
                n_resamples=_RESAMPLES,
                random_state=0,
            ).pvalue
        )
    if len(by_seed) > 1 and by_seed.any():
        p_seeds = float(ttest_1samp(by_seed, 0).pvalue) if np.ptp(by_seed) > 0 else 0.0
    return Estimate(mean, low, high, p_clips, p_seeds)


def _interval(
    statistic: Callable[[np.ndarray], np.ndarray], clips: int, mean: float
) -> tuple[float, float]:
    """Return the ends of the interval of a statistic of places of clips."""
    if clips < 2:
        return mean, mean
    found = bootstrap(
        (np.arange(clips),),
        lambda at, axis: statistic(at),
        vectorized=True,
        n_resamples=_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",
        batch=500,
        random_state=0,
    ).confidence_interval
    return float(found.low), float(found.high)
