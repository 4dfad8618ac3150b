"""How the memory that a launch works on is laid out, kernel by kernel."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from fastsw._cuda.device import LANES
from fastsw._cuda.kernels import linear_memory as linear
from fastsw._cuda.kernels.records import COUNTERS
from fastsw._cuda.kernels.strip import RECORD, STEPS, SUMS
from fastsw._cuda.runtime.memory import Part, Workspace
from fastsw._types import SCORE, TANGENT


class Layout(NamedTuple):
    """What a launch works on, by shape."""

    workspace: Workspace
    blank: Part  # stands for what a kernel does not read
    unread: tuple  # stands for gradients that are not asked for: of T, S and four penalties
    parts: tuple  # in the order of the kernel's parameters


@functools.lru_cache(maxsize=1024)
def soft(shape, given, first: int, want: int, bits: int, with_linear: bool = False) -> Layout:
    """Memory of the soft alignment, with or without a linear attempt."""
    pairs, rows, columns = shape
    strips = strips_of(rows, first)
    tiles = -(-(columns + 2 + LANES - 1) // STEPS)
    with_tangents, with_gradients = want == TANGENT, want != SCORE
    workspace = Workspace()
    counted = COUNTERS, pairs * strips, pairs * strips
    parts = [workspace.part(count, np.int32) for count in counted]
    linear_strips = pairs * linear.strips_of(rows) if with_linear else 0
    flags = [workspace.part(max(linear_strips * linear.SPACING, 1), np.int32) for _ in range(2)]
    workspace.clear_so_far()
    parts += [workspace.part(count, np.int32) for count in (pairs, pairs * strips)]
    parts += [workspace.part(count, np.float64) for count in (3 * pairs, pairs * strips * SUMS)]
    boundary = pairs * strips * (columns + 2) * RECORD
    for count, used in (
        (boundary, True),
        (boundary, with_gradients),
        (pairs * strips * tiles * 4 * LANES, with_gradients),
        (pairs * strips * LANES, with_gradients),
    ):
        size = count if used else 1
        real, whole = (np.float32, np.int32) if bits == 32 else (np.float64, np.float64)
        parts += [workspace.part(size, real), workspace.part(size, whole)]
        parts.append(workspace.part(size if with_tangents else 1, real))
        parts.append(workspace.part(size if bits == 32 else 1, np.float64))
    parts += flags
    parts += [
        workspace.part(max(linear_strips * count, 1), np.float64)
        for count in (linear.MARKS, linear.SUMS if with_gradients else 0)
    ]
    blocks = linear_strips * linear.blocks_of_row(columns)
    for count, used in (
        (linear.RECORD, True),
        (linear.RECORD, with_gradients),
        (LANES * linear.ENTRY, with_gradients),
    ):
        parts.append(workspace.part(max(blocks * count, 1) if used else 1, np.float32))
    blank = workspace.part(1, np.float64)
    return Layout(workspace, blank, _unread(workspace, pairs, given, want, blank), tuple(parts))


def strips_of(rows: int, first: int) -> int:
    """Strips of a whole matrix, the first row of the grid given."""
    return max(-(-(rows + 1 - first) // LANES), 1)


@functools.lru_cache(maxsize=1024)
def viterbi(shape, given, want: int) -> Layout:
    """Memory of the alignment at temperature 0."""
    pairs, rows, columns = shape
    workspace = Workspace()
    control = workspace.part(1, np.int32)
    workspace.clear_so_far()
    blank = workspace.part(1, np.float64)
    cells = pairs * (rows + 1) * (columns + 1)
    parts = (
        control,
        workspace.part(pairs * (columns + 1) * 3, np.float64),
        workspace.part(pairs * (rows + 1), np.float64),
        workspace.part(cells if want != SCORE else 1, np.uint8),
    )
    return Layout(workspace, blank, _unread(workspace, pairs, given, want, blank), parts)


def _unread(workspace: Workspace, pairs: int, given, want: int, blank: Part) -> tuple:
    """Places for gradients that are not asked for; the slope in T is written all the same."""
    slope = workspace.part(pairs if want == SCORE else 1, np.float64)
    return slope, workspace.part(1, given), *[blank] * 4


@functools.lru_cache(maxsize=1024)
def dtw(shape, with_gradients: bool) -> Layout:
    """Memory of soft-DTW."""
    pairs, rows, columns = shape
    workspace = Workspace()
    control = workspace.part(1, np.int32)
    workspace.clear_so_far()
    blank = workspace.part(1, np.float64)
    boundary = workspace.part(2 * pairs * columns, np.float64)
    cells = workspace.part(2 * pairs * rows * columns if with_gradients else 1, np.float64)
    return Layout(workspace, blank, (), (control, boundary, cells))
