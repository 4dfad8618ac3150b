"""Run every measure on every representation of a split."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from lac.data import Clip, ClipDataModule
from lac.encoder import Encoder
from lac.evaluation._crops import DEFAULT_PROTOCOL, Crop, Protocol, draw_crops
from lac.evaluation._representations import Representation, describe, representations
from lac.evaluation.metrics import (
    kendall_tau,
    phase_accuracy,
    progression_r2,
    retrieval_precision,
)


def measure(
    data: ClipDataModule,
    encoder: Encoder,
    *,
    split: str = "val",
    protocol: Protocol = DEFAULT_PROTOCOL,
) -> dict[str, Any]:
    """Evaluate an encoder beside its baselines on randomly cropped clips.

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
    dict
        `split`, `protocol`, `baselines` (what they are), `skipped` (metrics and the reason), and
        `metrics`: by representation, then by name.

    Raises
    ------
    ValueError
        If the split has fewer than two clips.
    """
    scored = data.collection.select(split)
    if len(scored) < 2:
        raise ValueError(f"`split` must have at least two clips, got {len(scored)} in {split!r}")
    test = _crops(data, scored, protocol)
    train = _crops(data, data.collection.select("train"), protocol)
    skipped = _skipped(train, test)
    events = _shared_events([*train, *test]) if not skipped else []
    if not skipped and not events:
        skipped["progression_r2"] = "no phase after the first begins in every labelled clip"
    # The matrices are small: threads that wait for each other made this ten times slower.
    with threadpool_limits(limits=1):
        metrics = {
            name: _measure_one(representation, train, test, events, skipped, protocol)
            for name, representation in representations(data, encoder).items()
        }
    return {
        "split": split,
        "protocol": protocol.record(),
        "baselines": describe(data),
        "skipped": skipped,
        "metrics": metrics,
    }


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


def _shared_events(crops: Sequence[Crop]) -> list[int]:
    """Return the phases but the first whose beginning is a key event of every labelled clip."""
    phases = [set(c.clip.phase.tolist()) for c in crops if c.clip.phase is not None]
    return sorted(set.intersection(*phases) - {min(set.union(*phases))})


def _progression(crop: Crop, events: Sequence[int]) -> np.ndarray:
    """Return time since each key event (negative before it), as a share of the clip."""
    assert crop.clip.phase is not None
    begins = np.array([np.flatnonzero(crop.clip.phase == event)[0] for event in events])
    return (np.arange(crop.start, crop.stop)[:, None] - begins) / crop.length


def _measure_one(
    representation: Representation,
    train: Sequence[Crop],
    test: Sequence[Crop],
    events: Sequence[int],
    skipped: dict[str, str],
    protocol: Protocol,
) -> dict[str, float]:
    """Return the metrics of one representation by name."""
    tested = [(crop, representation(crop)) for crop in test]
    found: dict[str, float] = {}
    labelled = [(crop, x) for crop, x in tested if crop.clip.phase is not None]
    if "phase_accuracy" not in skipped:
        trained = [(c, representation(c)) for c in train if c.clip.phase is not None]
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
    if "precision" not in skipped and protocol.neighbours:
        precision = retrieval_precision(
            [(x, crop.phase) for crop, x in labelled if crop.first], neighbours=protocol.neighbours
        )
        found.update({f"precision@{k}": value for k, value in precision.items()})
    return found
