"""Scores in a file, and beside it a record of the tiles that are finished.

The record is a line of JSON that describes the run, and a byte a tile. A tile's byte is set after
its scores: both lie in mapped files, whose pages outlive the process, so that a killed run has lost
at most the tiles that it was at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Stored(NamedTuple):
    """Scores on the disk, and which tiles of them are finished."""

    scores: np.memmap[Any, Any]
    finished: np.memmap[Any, Any]  # [tiles], uint8


def store(
    out: Path, shape: tuple[int, ...], dtype: np.dtype[Any], run: Mapping[str, Any], tiles: int
) -> Stored:
    """Begin a run in a file, or go on with the same run."""
    beside = out.with_name(out.name + ".tiles")
    with _writable(out):
        if not beside.exists():
            if out.exists():
                raise FileExistsError(
                    f"`out` must not exist, or be the file of a run that is to go on, got {out} "
                    f"without {beside.name}"
                )
            with beside.open("xb") as file:  # in one piece: a kill leaves all of it or nothing
                file.write(json.dumps(run).encode() + b"\n" + bytes(tiles))
        finished = _finished(out, beside, run, tiles)
        if not finished.any():
            return Stored(_begun(out, shape, dtype), finished)
        return Stored(_scores(out, shape, dtype), finished)


def _begun(out: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.memmap[Any, Any]:
    """The scores of a run that begins."""
    scores = np.lib.format.open_memmap(out, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):  # a full disk is an error here, a dead process later
        with out.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, out.stat().st_size)
    return scores


@contextmanager
def _writable(out: Path) -> Iterator[None]:
    """Say whose fault it is that a file cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(
            error.errno, f"`out` cannot be written: {os.strerror(error.errno)}", str(out)
        ) from error


def _finished(out: Path, beside: Path, run: Mapping[str, Any], tiles: int) -> np.memmap[Any, Any]:
    """The bytes of a record, if it is whole and of this run."""
    with beside.open("rb") as file:
        line = file.readline()
    try:
        before = json.loads(line)
    except ValueError:
        before = None
    if not isinstance(before, dict) or not line.endswith(b"\n"):
        raise ValueError(_damaged(out, beside, "does not begin with the description of a run"))
    for name, value in run.items():
        if before.get(name) != value:
            shown = (
                ""
                if name in ("sequences", "others", "pairs")
                else (f": {before.get(name)!r} there, got {value!r}")
            )
            raise ValueError(
                f"`out` must be of a run with the same arguments, got {out}, which was begun with "
                f"other `{name}`{shown}"
            )
    size, expected = beside.stat().st_size, len(line) + tiles
    if size != expected:
        raise ValueError(_damaged(out, beside, f"has {size} bytes instead of {expected}"))
    return np.memmap(beside, np.uint8, "r+", len(line), (tiles,))


def _scores(out: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.memmap[Any, Any]:
    """The scores of a run that goes on."""
    if not out.exists():
        raise ValueError(_damaged(out, out, "is gone"))
    try:
        scores = np.lib.format.open_memmap(out, "r")  # "r+" would lengthen a file cut short
    except ValueError as error:
        raise ValueError(_damaged(out, out, f"cannot be read ({error})")) from error
    if scores.shape != shape or scores.dtype != dtype:
        raise ValueError(_damaged(out, out, f"holds {scores.dtype} {scores.shape}"))
    return np.lib.format.open_memmap(out, "r+")


def _damaged(out: Path, file: Path, what: str) -> str:
    """What is wrong with the files of a run, and what helps."""
    return (
        f"`out` must be whole where a run is to go on: {file} {what}. Remove {out.name} and "
        f"{out.name}.tiles from {out.parent} to begin anew"
    )
