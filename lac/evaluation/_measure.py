"""Run every measure on every representation of a split."""

from collections.abc import Mapping, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from lac._progress import part
from lac.data import Clip, ClipDataModule, Collection
from lac.encoder import Encoder
from lac.evaluation._crops import DEFAULT_PROTOCOL, Crop, Protocol, draw_crops
from lac.evaluation._record import Metrics, Report
from lac.evaluation._representations import Representation, describe, representations
from lac.evaluation.metrics import (
    kendall_tau,
    phase_accuracy,
    progression_r2,
    retrieval_precision,
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
        each, what `metrics` holds.

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
    skipped: dict[str, str] = {}
    several = len({clip.action for clip in data.collection.select(split)}) > 1
    # The matrices are small: threads that wait for each other made this ten times slower.
    with threadpool_limits(limits=1):
        for action, clips in scored.items():
            trained = [c for c in data.collection.select("train") if c.action == action]
            found, lacking = _measure_action(data, named, trained, clips, protocol)
            actions[str(action)] = found
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
) -> tuple[Metrics, dict[str, str]]:
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
) -> dict[str, float]:
    """Return the metrics of one representation by name."""
    tested = [(crop, representation(crop)) for crop in part(test, name)]
    found: dict[str, float] = {}
    labelled = [(crop, x) for crop, x in tested if crop.clip.phase is not None]
    if "phase_accuracy" not in skipped:
        labelled_train = [crop for crop in train if crop.clip.phase is not None]
        trained = [(crop, representation(crop)) for crop in part(labelled_train, name)]
        for fraction, draws in zip(protocol.fractions, protocol.draws, strict=True):
            found[f"phase_accuracy@{fraction:g}"] = float(
                np.mean(
                    [
                        phase_accuracy(
                            [(x, crop.phase, crop.clip.name) for crop, x in trained],
                            [(x, crop.phase) for crop, x in labelled],
                            fraction=fraction,
                            seed=protocol.seed + draw,
                            classifier=protocol.classifier,
                        )
                        for draw in range(draws)
                    ]
                )
            )
    if "progression_r2" not in skipped:
        found["progression_r2"] = progression_r2(
            [(x, _progression(crop, events)) for crop, x in trained],
            [(x, _progression(crop, events)) for crop, x in labelled],
        )
    found["kendall_tau"] = kendall_tau(
        [x[:: protocol.tau_stride] for crop, x in tested if crop.first]
    )
    neighbours = [k for k in protocol.neighbours if f"precision@{k}" not in skipped]
    if "precision" not in skipped and neighbours:
        every = protocol.tau_stride
        precision = retrieval_precision(
            [(x[::every], crop.phase[::every]) for crop, x in labelled if crop.first],
            neighbours=neighbours,
        )
        found.update({f"precision@{k}": value for k, value in precision.items()})
    return found
