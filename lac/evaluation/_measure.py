"""Run every measure on every representation of a split."""

from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from lac._progress import part
from lac.data import Clip, ClipDataModule, Collection
from lac.encoder import Encoder
from lac.evaluation._crops import DEFAULT_PROTOCOL, Crop, Protocol, draw_crops
from lac.evaluation._partners import compare_crops
from lac.evaluation._per_clip import PerClip, mean_of_draws, recorded
from lac.evaluation._record import Metrics, Report
from lac.evaluation._representations import Representation, describe, representations
from lac.evaluation.metrics import (
    explained_progression,
    neighbour_hits,
    neighbour_taus,
    told_phases,
)


def evaluated_split(collection: Collection) -> str | None:
    """Return the split by which a run is judged: val, train if that has too few, or none."""
    return next((split for split in ("val", "train") if collection.comparable(split)), None)


def measure(
    data: ClipDataModule,
    encoder: Encoder,
    *,
    split: str = "val",
    protocol: Protocol = DEFAULT_PROTOCOL,
) -> Report:
    """Evaluate an encoder beside its baselines on randomly cropped clips.

    Where clips show several actions, each is evaluated alone, by classifiers fitted on its own
    training clips, and the figures are means over actions, as TCC and CARL measure Penn Action.

    Parameters
    ----------
    data : ClipDataModule
        After `setup`.
    encoder : Encoder
        Trained.
    split : {"val", "test", "train"}
        What is scored; classifiers are fitted on `"train"`.
    protocol : Protocol
        How.

    Returns
    -------
    Report
        `split`, `protocol`, `baselines` (what they are), `skipped` (metrics and the reason), and
        `metrics`: by representation, then by name. With several actions also `actions`: for
        each, what `metrics` holds. `clips`: what the learned embedding's metrics are the means
        of, by name and clip, as value and weight.

    Raises
    ------
    ValueError
        If the split has fewer than two clips of every action.
    """
    scored = data.collection.comparable(split)
    if not scored:
        number = len(data.collection.select(split))
        raise ValueError(
            f"`split` must have at least two clips (of one action), got {number} in {split!r}"
        )
    named = representations(data, encoder)
    actions: dict[str, Metrics] = {}
    learned: list[dict[str, PerClip]] = []
    skipped: dict[str, str] = {}
    several = len({clip.action for clip in data.collection.select(split)}) > 1
    # The matrices are small: threads that wait for each other made this ten times slower.
    with threadpool_limits(limits=1):
        for action, clips in scored.items():
            trained = [c for c in data.collection.select("train") if c.action == action]
            found, lacking = _measure_action(data, named, trained, clips, protocol)
            actions[str(action)] = {
                name: {metric: values.figure for metric, values in own.items()}
                for name, own in found.items()
            }
            learned.append(found["learned"])
            skipped |= {f"{k} of {action}" if several else k: v for k, v in lacking.items()}
    if several:
        few = {str(clip.action) for clip in data.collection.select(split)} - actions.keys()
        skipped |= dict.fromkeys(sorted(few), f"fewer than two clips in {split}")
    report: Report = {
        "split": split,
        "protocol": protocol.record(),
        "baselines": describe(data),
        "skipped": skipped,
        "metrics": {name: _mean([found[name] for found in actions.values()]) for name in named},
        "clips": recorded(learned),
    }
    if several:
        report["actions"] = actions
    return report


def _mean(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every metric over the actions that have it."""
    names = dict.fromkeys(name for own in values for name in own)
    return {name: float(np.mean([own[name] for own in values if name in own])) for name in names}


def _measure_action(
    data: ClipDataModule,
    named: Mapping[str, Representation],
    train: Sequence[Clip],
    test: Sequence[Clip],
    protocol: Protocol,
) -> tuple[dict[str, dict[str, PerClip]], dict[str, str]]:
    """Return the metrics of clips of one action by representation, and what was skipped why."""
    tested, trained = _crops(data, test, protocol), _crops(data, train, protocol)
    skipped = _skipped(trained, tested)
    events = _shared_events([*trained, *tested]) if not skipped else []
    if not skipped and not events:
        skipped["progression_r2"] = "no phase after the first begins in every labelled clip"
    if "precision" not in skipped:
        skipped |= _too_many_neighbours(tested, protocol)
    metrics = {
        name: _measure_one(name, representation, trained, tested, events, skipped, protocol)
        for name, representation in part(named.items(), "representations", total=len(named))
    }
    return metrics, skipped


def _crops(data: ClipDataModule, clips: Sequence[Clip], protocol: Protocol) -> list[Crop]:
    return draw_crops(clips, [data.length(clip) for clip in clips], protocol)


def _skipped(train: Sequence[Crop], test: Sequence[Crop]) -> dict[str, str]:
    """Tell which metrics cannot be had, and why."""
    lacking = [
        name
        for name, crops in (("training", train), ("scored", test))
        if len({c.clip.name for c in crops if c.clip.phase is not None}) < 2
    ]
    if not lacking:
        return {}
    reason = f"fewer than two {' and '.join(lacking)} clips have labels"
    return dict.fromkeys(("phase_accuracy", "progression_r2", "precision"), reason)


def _too_many_neighbours(test: Sequence[Crop], protocol: Protocol) -> dict[str, str]:
    """Tell which numbers of neighbours are more than there are frames in other clips."""
    retrieved = [c for c in test if c.first and c.clip.phase is not None]
    lengths = [len(crop.phase[:: protocol.tau_stride]) for crop in retrieved]
    least = sum(lengths) - max(lengths, default=0)
    reason = f"other clips have as few as {least} frames"
    return {f"precision@{k}": reason for k in protocol.neighbours if k > least}


def _shared_events(crops: Sequence[Crop]) -> list[int]:
    """Return the phases but the first whose beginning is a key event of every labelled clip."""
    phases = [set(c.clip.phase.tolist()) for c in crops if c.clip.phase is not None]
    return sorted(set.intersection(*phases) - {min(set.union(*phases))})


def _progression(crop: Crop, events: Sequence[int]) -> np.ndarray:
    """Return time since each key event (negative before it), as a share of the clip."""
    assert crop.clip.phase is not None
    begins = np.array([np.flatnonzero(crop.clip.phase == event)[0] for event in events])
    places = np.arange(crop.start, crop.stop)
    progression: np.ndarray = (places[:, None] - begins) / crop.length
    return progression


def _measure_one(
    name: str,
    representation: Representation,
    train: Sequence[Crop],
    test: Sequence[Crop],
    events: Sequence[int],
    skipped: Mapping[str, str],
    protocol: Protocol,
) -> dict[str, PerClip]:
    """Return the metrics of one representation by name."""
    tested = [(crop, representation(crop)) for crop in part(test, name)]
    found: dict[str, PerClip] = {}
    labelled = [(crop, x) for crop, x in tested if crop.clip.phase is not None]
    if "phase_accuracy" not in skipped:
        labelled_train = [crop for crop in train if crop.clip.phase is not None]
        trained = [(crop, representation(crop)) for crop in part(labelled_train, name)]
        for fraction, draws in zip(protocol.fractions, protocol.draws, strict=True):
            told = [
                told_phases(
                    [(x, crop.phase, crop.clip.name) for crop, x in trained],
                    [(x, crop.phase) for crop, x in labelled],
                    fraction=fraction,
                    seed=protocol.seed + draw,
                    classifier=protocol.classifier,
                )
                for draw in range(draws)
            ]
            found[f"phase_accuracy@{fraction:g}"] = mean_of_draws(
                [_by_clip(labelled, frames) for frames in told]
            )
    if "progression_r2" not in skipped:
        explained = explained_progression(
            [(x, _progression(crop, events)) for crop, x in trained],
            [(x, _progression(crop, events)) for crop, x in labelled],
        )
        found["progression_r2"] = _by_clip(labelled, explained)
    first = [(crop, x[:: protocol.tau_stride]) for crop, x in tested if crop.first]
    found["kendall_tau"] = _by_clip(
        first, neighbour_taus([x for _, x in first], seed=protocol.seed)
    )
    neighbours = [k for k in protocol.neighbours if f"precision@{k}" not in skipped]
    if "precision" not in skipped and neighbours:
        queries = [(crop, x) for crop, x in first if crop.clip.phase is not None]
        hits = neighbour_hits(
            [(x, crop.phase[:: protocol.tau_stride]) for crop, x in queries],
            neighbours=neighbours,
            seed=protocol.seed,
        )
        found.update({f"precision@{k}": _by_clip(queries, own) for k, own in hits.items()})
    if "phase_accuracy" not in skipped:
        found |= compare_crops([(c, x) for c, x in labelled if c.first], seed=protocol.seed)
    return found


def _by_clip(
    crops: Sequence[tuple[Crop, np.ndarray]], values: Sequence[Sequence[float] | np.ndarray]
) -> PerClip:
    """Put the values of all crops of a clip together."""
    found: dict[str, list[float]] = {crop.clip.name: [] for crop, _ in crops}
    for (crop, _), own in zip(crops, values, strict=True):
        found[crop.clip.name] += list(own)
    return PerClip.means(found)
