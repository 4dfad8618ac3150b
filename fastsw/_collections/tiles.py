"""Tiles: pairs of sequences of like lengths, about as many cells in each.

The order of tiles depends on lengths and pairs alone, so that a run that goes on finds the tiles of
the run before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

#: Cells of a tile: 16 MiB of float32, some milliseconds of work. A larger pair is a tile alone.
TILE_CELLS = 2**22

#: To be raised when other tiles are made of the same pairs: files of a run count them.
VERSION = 1

#: Sequences of a block of rows at most, and what their number is a multiple of: each lane of a
#: vector takes a pair.
_ROWS, _LANES = 32, 16

#: The shortest sequence of a tile beside its longest.
_ALIKE = 0.8

#: Pairs of a tile at most where they are listed.
_LISTED = 4096


class Tile(NamedTuple):
    """Some pairs: all of some rows and some columns, or those that are listed."""

    rows: np.ndarray  # [A], sequences
    columns: np.ndarray  # [B], others; [A] where listed
    places: np.ndarray | None  # [A] where listed: which pairs of the list


def of_all(rows: np.ndarray, columns: np.ndarray, cells: int) -> Iterator[Tile]:
    """Tiles of every sequence and every other, of these lengths."""
    row_order, column_order = _longest_first(rows), _longest_first(columns)
    descending = -columns[column_order]
    for block in _blocks(row_order, rows, cells):
        yield from _right_of(block, rows, column_order, descending, 0, cells)


def of_unordered(lengths: np.ndarray, cells: int) -> Iterator[Tile]:
    """Tiles of every unordered pair of sequences of these lengths, each with itself among them."""
    order, begin = _longest_first(lengths), 0
    descending = -lengths[order]
    for block in _blocks(order, lengths, cells):
        upper, lower = np.triu_indices(len(block))
        pairs = np.stack([block[upper], block[lower]], axis=1)
        yield from of_listed(pairs, lengths, lengths, cells)
        begin += len(block)
        yield from _right_of(block, lengths, order, descending, begin, cells)


def of_listed(
    pairs: np.ndarray, rows: np.ndarray, columns: np.ndarray, cells: int
) -> Iterator[Tile]:
    """Tiles of pairs (i, j) of sequences of these lengths."""
    n, m = rows[pairs[:, 0]], columns[pairs[:, 1]]
    coarse = np.floor(np.log(n) / np.log(_ALIKE))  # the lower, the longer
    order = np.lexsort((-m, coarse))
    begin = 0
    while begin < len(order):
        window = order[begin : begin + _LISTED]
        window = window[
            (coarse[window] == coarse[window[0]]) & (m[window] >= _ALIKE * m[window[0]])
        ]
        largest = np.maximum.accumulate(n[window]) * m[window[0]]
        count = _in_lanes(int((np.arange(1, len(window) + 1) * largest <= cells).sum()))
        chosen = window[:count]
        yield Tile(pairs[chosen, 0], pairs[chosen, 1], chosen)
        begin += count


def _longest_first(lengths: np.ndarray) -> np.ndarray:
    """Sequences by their lengths."""
    return np.argsort(-lengths, kind="stable")


def _in_lanes(count: int) -> int:
    """So many or somewhat fewer pairs, at least one, that fill lanes."""
    return count // _LANES * _LANES if count > _LANES else max(count, 1)


def _blocks(order: np.ndarray, lengths: np.ndarray, cells: int) -> Iterator[np.ndarray]:
    """Sequences of like lengths in blocks, so that a block and one more fit a tile."""
    begin = 0
    while begin < len(order):
        longest = int(lengths[order[begin]])
        window = order[begin : begin + min(_ROWS, max(1, cells // longest**2))]
        count = _in_lanes(int((lengths[window] >= _ALIKE * longest).sum()))
        yield window[:count]
        begin += count


def _right_of(
    block: np.ndarray,
    rows: np.ndarray,
    order: np.ndarray,
    descending: np.ndarray,
    begin: int,
    cells: int,
) -> Iterator[Tile]:
    """Tiles of a block of rows and all columns from a place of their order on.

    `descending` are the columns' lengths in this order, negated, so that they can be searched.
    """
    height = len(block) * int(rows[block].max())
    while begin < len(order):
        longest = -int(descending[begin])
        end = begin + max(1, cells // (height * longest))
        alike = np.searchsorted(descending, -_ALIKE * longest, side="right")
        end = min(end, int(alike))
        if height * longest > cells and len(block) > 1:  # others far longer than the rows
            for row in block:
                yield Tile(np.array([row]), order[begin:end], None)
        else:
            yield Tile(block, order[begin:end], None)
        begin = end
