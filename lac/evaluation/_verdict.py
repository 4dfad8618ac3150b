"""The verdict in words: is the embedding better than a clock and than raw features?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Literal

import numpy as np
from scipy.stats import ttest_1samp
from threadpoolctl import threadpool_limits

from lac._progress import progress
from lac.data import Clip, ClipDataModule
from lac.encoder import Encoder
from lac.evaluation._crops import Crop, Protocol, draw_crops
from lac.evaluation._record import VerdictRecord
from lac.evaluation._representations import representations
from lac.evaluation.metrics import crop_order, squared_distances

CLOCK, LEARNED = "time only", "learned"
_CROPS = Protocol(crops=3, seed=1)
_CLIPS = 20  # compared each with each
_FRAMES = 48  # of a crop that are matched
_NEIGHBOURS = 5
_CONFIDENCE = 0.95
_FEW = 6  # clips, below which an interval hangs on a few of them
_IN_ORDER = 0.3  # below it no representation puts frames of different clips in a common order


@dataclass(frozen=True)
class Difference:
    """How far the learned embedding is ahead of a rival, in the mean over clips.

    Attributes
    ----------
    rival : str
        A baseline.
    mean, low, high : float
        The difference, and its 95 % confidence interval by Student's t over clips.
    """

    rival: str
    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        """Describe the difference."""
        side, sign = ("ahead of", 1) if self.mean >= 0 else ("behind", -1)
        low, high = sorted((sign * self.low, sign * self.high))
        return f"{abs(self.mean):.2f} {side} {self.rival} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Verdict:
    """The answer, and what it rests on.

    Attributes
    ----------
    level : {"better", "worse", "undecided"}
        Better than time alone and the best raw features, worse than one of them, or neither,
        with 95 % confidence.
    measure : {"order", "phase"}
        By what: `crop_order` of nearest frames, or with labels the precision of five neighbours.
    split : str
        Of the clips that were compared.
    clips : int
        How many they are.
    values : dict of str to float
        Means by representation: learned, time only and the best raw features.
    differences : tuple of Difference
        From the two.
    order : dict of str to float
        Means of `crop_order`, whatever the measure.
    """

    level: Literal["better", "worse", "undecided"]
    measure: Literal["order", "phase"]
    split: str
    clips: int
    values: Mapping[str, float]
    differences: tuple[Difference, ...]
    order: Mapping[str, float] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """Say it in words: the answer, what was measured, how sure it is, what it means."""
        return [
            f"Verdict: {self._answer()}.",
            self._measured(),
            f"The embedding is {' and '.join(map(str, self.differences))}, with"
            f" {_CONFIDENCE:.0%} confidence over {self.clips} clips and one training.",
            *self._meaning(),
        ]

    def _answer(self) -> str:
        """Answer the question."""
        if self.level == "better":
            return "the embedding is better than a clock and than raw features"
        losses = [d.rival for d in self.differences if d.high < 0]
        if self.level == "worse":
            return f"the embedding is worse than {_named(losses)}; do not use it"
        open_ = [d.rival for d in self.differences if d.low <= 0]
        if not open_:
            return "not decided; on clips that were trained on, the embedding proves nothing"
        return f"not decided; the embedding was not shown to be better than {_named(open_)}"

    def _measured(self) -> str:
        """Say what was measured."""
        which = "clips that were trained on" if self.split == "train" else "held-out clips"
        values = ", ".join(f"{name} {value:.2f}" for name, value in self.values.items())
        if self.measure == "phase":
            return (
                f"Share of the {_NEIGHBOURS} nearest frames in other {which} that are labelled"
                f" alike: {values}."
            )
        return (
            f"Order of nearest frames between {which}, over crops (1 perfect, 0 chance): {values}."
        )

    def _meaning(self) -> list[str]:
        """Say what to make of it."""
        found = []
        others = [value for name, value in self.order.items() if name != CLOCK]
        if max(others) < _IN_ORDER:
            found.append(
                "Nothing that looks at the pictures puts frames of different clips in a common"
                " order. If the clips show different things, no alignment between them means"
                " anything; if they show one procedure, more of them are needed."
            )
        if self.split == "train":
            found.append(
                "With fewer than two clips held out it was measured on what was trained on, which"
                " flatters; have ten clips or more."
            )
        elif self.clips < _FEW:
            found.append(f"{self.clips} held-out clips are few: take it as a hint.")
        return found

    def record(self) -> VerdictRecord:
        """Return what `metrics.json` keeps."""
        return {
            "level": self.level,
            "measure": self.measure,
            "split": self.split,
            "clips": self.clips,
            "values": dict(self.values),
            "order": dict(self.order),
            "differences": {d.rival: [d.mean, d.low, d.high] for d in self.differences},
            "sentences": self.sentences(),
        }


def judge(
    orders: Mapping[str, Sequence[float]],
    *,
    split: str,
    phases: Mapping[str, Sequence[float]] | None = None,
) -> Verdict:
    """Judge a learned embedding by what was measured of each clip.

    Parameters
    ----------
    orders : mapping of str to sequence of float
        By representation: the mean `crop_order` of each clip with the others. `"learned"` and
        `"time only"` are among them; all others are raw features.
    split : {"val", "test", "train"}
        Of the clips. Where it is `"train"`, the embedding is never called better.
    phases : mapping of str to sequence of float, optional
        The precision of neighbours of each clip, where there are labels: then it decides.

    Examples
    --------
    >>> clips = {"learned": [0.8, 0.9, 0.8], "raw": [0.3, 0.4, 0.2], "time only": [0.7, 0.7, 0.6]}
    >>> judge(clips, split="val").level
    'better'
    """
    measured = orders if phases is None else phases
    means = {name: float(np.mean(values)) for name, values in measured.items()}
    raw = max((name for name in means if name not in (LEARNED, CLOCK)), key=means.__getitem__)
    differences = tuple(
        _difference(rival, np.asarray(measured[LEARNED]) - np.asarray(measured[rival]))
        for rival in (CLOCK, raw)
    )
    level: Literal["better", "worse", "undecided"] = "undecided"
    if any(difference.high < 0 for difference in differences):
        level = "worse"
    elif all(difference.low > 0 for difference in differences) and split != "train":
        level = "better"
    return Verdict(
        level,
        "order" if phases is None else "phase",
        split,
        len(measured[LEARNED]),
        {name: means[name] for name in (LEARNED, CLOCK, raw)},
        differences,
        {name: float(np.mean(values)) for name, values in orders.items()},
    )


def reach_verdict(data: ClipDataModule, encoder: Encoder, *, split: str) -> Verdict | None:
    """Compare clips of a split with each other, and judge; None where there are several actions.

    Parameters
    ----------
    data : ClipDataModule
        After `setup`.
    encoder : Encoder
        Trained.
    split : {"val", "test", "train"}
        Of the clips; at least two. Of many, some are taken, evenly.
    """
    groups = data.collection.comparable(split)
    if len(groups) != 1:
        return None
    (clips,) = groups.values()
    places = np.linspace(0, len(clips) - 1, min(len(clips), _CLIPS)).round().astype(int)
    clips = tuple(clips[place] for place in places)
    crops = draw_crops(clips, [data.length(clip) for clip in clips], _CROPS)
    named = representations(data, encoder)
    labelled = all(clip.phase is not None for clip in clips)
    orders: dict[str, list[float]] = {}
    phases: dict[str, list[float]] = {}
    with threadpool_limits(limits=1):
        for name, representation in progress(named.items(), "Comparing clips"):
            seen = _grouped(clips, [(crop, representation(crop)) for crop in crops])
            orders[name] = _orders(seen)
            if labelled:
                phases[name] = _precisions(seen)
    return judge(orders, split=split, phases=phases or None)


Seen = list[list[tuple[Crop, np.ndarray]]]  # crops of each clip, and their frames' features


def _grouped(clips: Sequence[Clip], seen: Sequence[tuple[Crop, np.ndarray]]) -> Seen:
    return [[(crop, x) for crop, x in seen if crop.clip is clip] for clip in clips]


def _orders(seen: Seen) -> list[float]:
    """Return the mean order of each clip's matches in the others."""
    found: list[list[float]] = [[] for _ in seen]
    for first, second in permutations(range(len(seen)), 2):
        matches = []
        for (a, x), (b, y) in zip(seen[first], seen[second], strict=True):
            rows = np.linspace(0, len(x) - 1, min(len(x), _FRAMES)).round().astype(int)
            matches.append((a.start + rows, b.start + squared_distances(x[rows], y).argmin(1)))
        found[first].append(crop_order(matches))
    return [float(np.mean(values)) for values in found]


def _precisions(seen: Seen) -> list[float]:
    """Return the precision of the neighbours of each clip's frames in the others."""
    first = [crops[0] for crops in seen]
    found = []
    for place, (crop, x) in enumerate(first):
        others = [pair for other, pair in enumerate(first) if other != place]
        labels = np.concatenate([other.phase for other, _ in others])
        gallery = np.concatenate([y for _, y in others])
        order = np.argsort(squared_distances(x, gallery), axis=1, kind="stable")
        nearest = labels[order[:, :_NEIGHBOURS]]
        found.append(float((nearest == crop.phase[:, None]).mean()))
    return found


def _difference(rival: str, values: np.ndarray) -> Difference:
    """Return the mean of paired differences and its confidence interval."""
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return Difference(rival, mean, mean, mean)
    interval = ttest_1samp(values, 0).confidence_interval(_CONFIDENCE)
    return Difference(rival, mean, float(interval.low), float(interval.high))


def _named(rivals: Sequence[str]) -> str:
    """Return rivals in words."""
    return " and ".join("a clock" if rival == CLOCK else "raw features" for rival in rivals)
