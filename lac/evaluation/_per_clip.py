"""A measure as a value of every clip, so that intervals and paired tests can be had of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lac.evaluation._record import Clips


@dataclass(frozen=True, eq=False)
class PerClip:
    """What was measured of each clip, and how much that counts.

    Attributes
    ----------
    values, weights : dict of str to float
        By clip name; weights are >= 0. A clip without weight says nothing.
    """

    values: Mapping[str, float]
    weights: Mapping[str, float]

    @property
    def figure(self) -> float:
        """The weighted mean, 0 if nothing has weight."""
        total = sum(self.weights.values())
        weighted = sum(self.weights[name] * value for name, value in self.values.items())
        return weighted / total if total > 0 else 0.0

    @classmethod
    def shares(cls, counted: Mapping[str, tuple[float, float]]) -> "PerClip":
        """Return the share of each clip from (how many, of how many): their mean is of all."""
        return cls(
            {name: part / whole if whole else 0.0 for name, (part, whole) in counted.items()},
            {name: whole for name, (_, whole) in counted.items()},
        )

    @classmethod
    def means(cls, found: Mapping[str, Sequence[float] | np.ndarray]) -> "PerClip":
        """Return the mean of each clip's values, each counting as often as it has any."""
        return cls(
            {
                name: float(np.mean(values)) if len(values) else 0.0
                for name, values in found.items()
            },
            {name: float(len(values)) for name, values in found.items()},
        )


def mean_of_draws(draws: Sequence[PerClip]) -> PerClip:
    """Return the mean over draws in which the same clips count the same."""
    names = draws[0].values
    return PerClip(
        {name: float(np.mean([draw.values[name] for draw in draws])) for name in names},
        draws[0].weights,
    )


def recorded(actions: Sequence[Mapping[str, PerClip]]) -> dict[str, Clips]:
    """Return, by metric and clip, value and weight, for a file.

    Weights of a metric sum to 1: the figure is their scalar product with the values, also where
    it is a mean over several actions.
    """
    metrics = dict.fromkeys(metric for own in actions for metric in own)
    rows: dict[str, Clips] = {metric: {} for metric in metrics}
    for metric, row in rows.items():
        having = [own[metric] for own in actions if metric in own]
        for measured in having:
            total = sum(measured.weights.values()) * len(having)
            for name, value in measured.values.items():
                if measured.weights[name] > 0:
                    weight = measured.weights[name] / total
                    row[name] = [float(f"{value:.6g}"), float(f"{weight:.6g}")]
    return rows
