"""The form of what is kept of an evaluation, in `metrics.json` and `evaluation.json`."""

from collections.abc import Sequence
from typing import Literal, NotRequired, TypedDict

Metrics = dict[str, dict[str, float]]  # by representation, then by name
Clips = dict[str, Sequence[float]]  # value and weight, by clip


class ProtocolRecord(TypedDict):
    """The settings of a `Protocol`, and its name."""

    name: NotRequired[str]  # absent in older runs
    crops: int
    min_crop: float
    fractions: Sequence[float]
    draws: Sequence[int]
    neighbours: Sequence[int]
    classifier: str
    tau_stride: int
    seed: int


class VerdictRecord(TypedDict):
    """What a verdict says and rests on; a difference is its mean and its interval's ends."""

    level: Literal["better", "worse", "undecided"]
    measure: Literal["order", "phase"]
    split: str
    clips: int
    values: dict[str, float]
    order: dict[str, float]
    differences: dict[str, Sequence[float]]
    sentences: list[str]


# Not classes, as losses are called what they are logged under.
BestRecord = TypedDict("BestRecord", {"epoch": int, "val/loss": float})
TrainingRecord = TypedDict(
    "TrainingRecord",
    {
        "parameters": int,  # that are trained
        "processes": int,
        "seconds": float,  # of the last start, training alone
        "epochs": NotRequired[int],
        "steps": NotRequired[int],
        "stopped_early": NotRequired[bool],
        "train/loss": NotRequired[float],
        "val/loss": NotRequired[float],  # with validation clips, as the next
        "best": NotRequired[BestRecord],
    },
)


class Report(TypedDict):
    """What was measured, and of a whole training also how that went.

    Attributes
    ----------
    metrics : dict of str to dict of str to float
        By representation, then by name; empty where there was nothing to compare.
    split, protocol, baselines, skipped, actions, clips
        See `measure`.
    verdict, checkpoint, epoch, seconds
        What `lac.evaluate` adds.
    training, left_out, next, note
        What `lac.train` adds: how it went, files and why they were left out, the command to type
        next, and what else is to be known.
    """

    metrics: Metrics
    split: NotRequired[str]
    protocol: NotRequired[ProtocolRecord]
    baselines: NotRequired[dict[str, str]]
    skipped: NotRequired[dict[str, str]]
    actions: NotRequired[dict[str, Metrics]]
    clips: NotRequired[dict[str, Clips]]
    verdict: NotRequired[VerdictRecord]
    checkpoint: NotRequired[Literal["last", "best"]]
    epoch: NotRequired[int]
    seconds: NotRequired[float]
    training: NotRequired[TrainingRecord]
    left_out: NotRequired[dict[str, str]]
    next: NotRequired[str]
    note: NotRequired[str]
