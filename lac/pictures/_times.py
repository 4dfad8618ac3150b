"""Which spans of two videos match, and when the second shows what the first shows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # with it comes PyTorch, which times do not need
    from lac._matching import Matching

_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)  # seconds between ticks
_MINUTES = 120  # seconds from which clocks show minutes


def matched_parts(matching: "Matching") -> list[np.ndarray]:
    """Return the parts of a matching; none if nothing matches."""
    return matching.parts if len(matching.alignment) else []


def matched_spans(matching: "Matching", side: int) -> list[tuple[int, int]]:
    """Return the first and last frame of each matched part of a video: 0 the first, 1 the second.

    Parts that touch are one span.
    """
    spans: list[tuple[int, int]] = []
    for part in matched_parts(matching):
        first, last = int(part[0, side]), int(part[-1, side])
        if spans and first == spans[-1][1] + 1:
            spans[-1] = spans[-1][0], last
        else:
            spans.append((first, last))
    return spans


def unmatched_spans(spans: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Return the first and last frame of what lies before, between and after spans."""
    edges = [-1, *(frame for span in spans for frame in span), length]
    return [
        (before + 1, after - 1)
        for before, after in zip(edges[::2], edges[1::2], strict=True)
        if after - before > 1
    ]


def partner_times(
    matching: "Matching", times: np.ndarray, other: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each frame of the first video a time (T,) in the second, and whether they match.

    In matched parts it is the time of the partner, between pairs interpolated. Outside them the
    second video runs at its own pace: up to the next part where nothing matched before, else on
    from the last part, and it waits where it would reach the next part or its end too early.
    """
    parts = matched_parts(matching)
    matched = np.zeros(len(times), bool)
    if not parts:
        return np.minimum(other[0] + times - times[0], other[-1]), matched
    first, begin = parts[0][0]
    seconds = np.maximum(other[begin] + times - times[first], other[0])
    ends = [*(other[part[0, 1]] for part in parts[1:]), other[-1]]
    for part, end in zip(parts, ends, strict=True):
        rows = np.arange(part[0, 0], part[-1, 0] + 1)
        columns = np.interp(rows, *part.T)
        seconds[rows] = np.interp(columns, np.arange(len(other)), other)
        matched[rows] = True
        last, partner = part[-1]
        seconds[last + 1 :] = np.minimum(other[partner] + times[last + 1 :] - times[last], end)
    return seconds, matched


def in_minutes(longest: float) -> bool:
    """Return whether times up to that many seconds are written with minutes."""
    return longest >= _MINUTES


def clock(seconds: float, *, longest: float) -> str:
    """Return a running time: 1.25 s, or 2:05.3 and 1:02:05.3 where the longest time has minutes."""
    if not in_minutes(longest):
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{_hours_and_minutes(int(minutes))}:{rest:04.1f}"


def tick(seconds: float, *, longest: float) -> str:
    """Return a round time: 2.5, or 2:30 and 1:02:30 where the longest time has minutes."""
    if not in_minutes(longest):
        return f"{seconds:g}"
    minutes, rest = divmod(round(seconds), 60)
    return f"{_hours_and_minutes(minutes)}:{rest:02d}"


def _hours_and_minutes(minutes: int) -> str:
    """Return 2, or 1:02 from an hour on."""
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}" if hours else str(minutes)


def round_times(first: float, last: float, *, most: int) -> list[float]:
    """Return round times within a span, at most so many."""
    steps = [step * 10.0**power for power in (-4, -3, -2, -1) for step in (1, 2, 5)]
    steps += [*map(float, _STEPS), *(3600.0 * 2**power for power in range(1, 20))]
    for step in steps:
        times = np.arange(np.ceil(first / step - 1e-9), np.floor(last / step + 1e-9) + 1) * step
        if len(times) <= most:
            break
    return [float(time) + 0.0 for time in times]  # no -0
