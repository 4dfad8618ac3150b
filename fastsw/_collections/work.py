"""Which pairs are asked for, in which tiles, and where their scores stand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastsw._collections import tiles
from fastsw._collections.tiles import Tile


class Work(NamedTuple):
    """The pairs of a call."""

    rows: np.ndarray  # [N], lengths
    columns: np.ndarray  # [M]
    pairs: np.ndarray | None  # [P, 2], those that are asked for if not all are
    unordered: bool  # rows are columns too, and may change places with them

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the scores."""
        if self.pairs is not None:
            return (len(self.pairs),)
        return len(self.rows), len(self.columns)

    def tiles(self) -> Iterator[Tile]:
        """All pairs, always in the same tiles and the same order."""
        if self.pairs is not None:
            return tiles.of_listed(self.pairs, self.rows, self.columns, tiles.TILE_CELLS)
        if self.unordered:
            return tiles.of_unordered(self.rows, tiles.TILE_CELLS)
        return tiles.of_all(self.rows, self.columns, tiles.TILE_CELLS)

    def write(self, answer: np.ndarray, tile: Tile, scores: np.ndarray) -> None:
        """Put the scores of a tile where they belong."""
        if self.pairs is not None:
            answer[tile.places] = scores
            return
        rows, columns = tile.rows, tile.columns
        if tile.places is None:
            rows, columns = rows[:, None], columns[None]
        answer[rows, columns] = scores
        if self.unordered:
            answer[columns, rows] = scores

    def cells(self) -> int:
        """Cells of all pairs, or up to twice as many where these are unordered."""
        if self.pairs is not None:
            return int((self.rows[self.pairs[:, 0]] * self.columns[self.pairs[:, 1]]).sum())
        return int(self.rows.sum()) * int(self.columns.sum())

    def largest(self) -> int:
        """Cells that no pair exceeds."""
        return int(self.rows.max()) * int(self.columns.max())

    def tile_count(self) -> int:
        """The number of tiles."""
        return sum(1 for _ in self.tiles())

    def description(self) -> dict[str, Any]:
        """What tells these tiles from others, beside the lengths."""
        return {"pairs": self._digest(), "tile_cells": tiles.TILE_CELLS, "tiling": tiles.VERSION}

    def _digest(self) -> str | None:
        """A hash of the pairs that are asked for."""
        if self.pairs is None:
            return None
        return hashlib.blake2b(self.pairs.tobytes(), digest_size=16).hexdigest()


def read_pairs(pairs: Any, rows: int, columns: int) -> np.ndarray:
    """Check pairs of so many sequences and so many others."""
    listed = np.asarray(pairs)
    if listed.dtype.kind not in "iu":
        raise TypeError(f"`pairs` must be integers, got {listed.dtype}")
    if listed.ndim != 2 or listed.shape[1] != 2:
        raise ValueError(f"`pairs` must have shape (P, 2), got {listed.shape}")
    outside = (listed < 0) | (listed >= [rows, columns])
    if outside.any():
        place, side = np.argwhere(outside)[0]
        raise ValueError(
            f"`pairs` must lie between 0 and {(rows, columns)[side] - 1} in column {side}, got "
            f"{listed[place, side]} for pair {place}"
        )
    return listed.astype(np.int64)
