"""What a check found, in words, as a table, and as plain data that the page draws."""

import csv
from pathlib import Path
from typing import TypedDict

from lac._atomic import written_whole
from lac._checking import Checked, Step
from lac.pictures._shown import Shown
from lac.pictures._times import clock
from lac.pictures._words import printable, span_in_words

_DIGITS = 4


class StepView(TypedDict):
    """A step that departs: first and last frames in both videos, and what is said of it."""

    kind: str
    reference: tuple[int, int]
    query: tuple[int, int]
    words: str


class CheckView(TypedDict):
    """What the screen of a check shows besides the alignment; lists of two are as there.

    Attributes
    ----------
    heading, limit_words : str
        What was found, and where the limit comes from.
    nearest : int
        Which of the references is shown.
    limit : float
        Distance from which on moments depart.
    distance, surprise : list of list of float
        Of the frames of the reference and of the query.
    steps : list of StepView
        In the order of the query.
    """

    heading: str
    limit_words: str
    nearest: int
    limit: float
    distance: list[list[float]]
    surprise: list[list[float]]
    steps: list[StepView]


def check_view(checked: Checked, reference: Shown, query: Shown) -> CheckView:
    """Return what JSON can hold of a check."""
    return {
        "heading": check_heading(checked, reference, query),
        "limit_words": str(checked.limit),
        "nearest": checked.nearest,
        "limit": round(checked.limit.distance, _DIGITS),
        "distance": [side.distance.round(_DIGITS).tolist() for side in checked.moments],
        "surprise": [side.surprise.round(_DIGITS).tolist() for side in checked.moments],
        "steps": [
            {
                "kind": step.kind,
                "reference": step.reference,
                "query": step.query,
                "words": step_in_words(step, reference, query),
            }
            for step in checked.steps
        ],
    }


def check_heading(checked: Checked, reference: Shown, query: Shown) -> str:
    """Say how much departs."""
    count = len(checked.steps)
    steps = {0: "No step", 1: "One step"}.get(count, f"{count} steps")
    departs = "depart" if count > 1 else "departs"
    return f"{steps} of {printable(query.name)} {departs} from {printable(reference.name)}"


def step_in_words(step: Step, reference: Shown, query: Shown) -> str:
    """Say what departs, and when."""
    own, other = span_in_words(reference, *step.reference), span_in_words(query, *step.query)
    if step.kind == "missing":
        return f"missing: {own} of the reference, at {_place(query, step.query)}"
    if step.kind == "extra":
        return f"extra: {other}, at {_place(reference, step.reference)} of the reference"
    return f"changed: {other}, {own} in the reference"


def _place(video: Shown, between: tuple[int, int]) -> str:
    """Return the time between two frames."""
    time = float(video.times[list(between)].mean())
    if video.source is None:
        return f"frame {time:g}"
    return clock(time, longest=float(video.times[-1]))


def write_steps(file: Path, checked: Checked, reference: Shown, query: Shown) -> None:
    """Write one line for each step that departs: its kind, times, and largest distance.

    Parameters
    ----------
    file : Path
        A CSV file. Its folder is made if it is not there.
    checked : Checked
        Of `query` and `reference`.
    reference, query : Shown
        The videos. Where one lacks the step, its times are those between which it would stand.
    """
    with written_whole(file) as unfinished, unfinished.open("w", newline="") as stream:
        writer = csv.writer(stream)
        sides = ("reference", "query")
        times = [f"{side}_{edge}" for side in sides for edge in ("from", "to")]
        writer.writerow(["step", *times, "distance"])
        for step in checked.steps:
            spans = step.reference, step.query
            edges = [
                f"{video.times[frame]:.4f}"
                for video, span in zip((reference, query), spans, strict=True)
                for frame in span
            ]
            side = 0 if step.kind == "missing" else 1
            first, last = spans[side]
            farthest = checked.moments[side].distance[first : last + 1].max()
            writer.writerow([step.kind, *edges, f"{farthest:.4f}"])
