"""The times of frames from the stamps in a file, which may be missing or wrong."""

import warnings
from bisect import bisect_left
from fractions import Fraction
from os import PathLike

import numpy as np

from lac.data.video.files import VideoError


def increasing_times(
    path: str | PathLike[str], seconds: list[float | None], rate: Fraction | None, displayed: bool
) -> np.ndarray:
    """Return times from 0: the file's own where they increase, mended where few do not.

    Stamps that are not `displayed` may tell the order of decoding; then none of them is right.
    """
    times = np.array([np.nan if time is None else time for time in seconds])
    there = np.flatnonzero(np.isfinite(times))
    good = there[_increasing(times[there])]
    if len(good) == len(times):
        from_start: np.ndarray = times - times[0]
        return from_start
    wrong = len(there) - len(good)
    if displayed and len(good) > 1 and wrong <= len(there) / 4:
        if wrong:
            warnings.warn(
                f"{path}: {wrong} of {len(times)} time stamps do not increase; their frames are"
                " placed between their neighbours",
                stacklevel=3,
            )
        return _fill(times[good], good, len(times))
    if not rate:
        raise VideoError(f"{path}: frames have neither increasing times nor a frame rate")
    if displayed and wrong:
        warnings.warn(
            f"{path}: {wrong} of {len(times)} time stamps do not increase; time is frame number"
            f" over frame rate, {float(rate):g}",
            stacklevel=3,
        )
    return np.arange(len(times)) / float(rate)


def _increasing(values: np.ndarray) -> list[int]:
    """Return the places of a longest strictly increasing choice of values, of ties the first."""
    first: list[float] = []  # minus the largest first value of a choice of each length
    after = []
    for value in (-values[::-1]).tolist():
        length = bisect_left(first, value)
        first[length : length + 1] = [value]
        after.append(length)
    after.reverse()  # how many can follow each value
    chosen: list[int] = []
    for place, length in enumerate(after):
        greater = not chosen or values[place] > values[chosen[-1]]
        if greater and length == len(first) - len(chosen) - 1:
            chosen.append(place)
    return chosen


def _fill(times: np.ndarray, frames: np.ndarray, count: int) -> np.ndarray:
    """Return times from 0 of all frames, from those of some: even steps between and beyond them."""
    step = np.median(np.diff(times) / np.diff(frames))
    number = np.arange(count)
    beyond = np.minimum(number - frames[0], 0) + np.maximum(number - frames[-1], 0)
    filled = np.interp(number, frames, times) + step * beyond
    from_start: np.ndarray = filled - filled[0]
    return from_start
