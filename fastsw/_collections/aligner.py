"""Scores of tiles: similarities by matrix products, and a batch of the backend's."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from fastsw._collections import cluster, crew, tiles
from fastsw._collections.sequences import Sequences
from fastsw._collections.tiles import Tile
from fastsw._collections.work import Work
from fastsw._embeddings import similarity
from fastsw._embeddings.similarity import Similarity
from fastsw._frontends import numpy_arrays
from fastsw._validation import Problem


class _Memory(threading.local):
    """What a thread keeps from tile to tile."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.cells = np.empty(0, dtype)
        self.rows: np.ndarray | None = None  # the last ones, and their features
        self.features = self.cells

    def of(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Similarities of a tile, not set yet."""
        size = math.prod(shape)
        if size > self.cells.size:
            self.cells = np.empty(size, self.cells.dtype)
        return self.cells[:size].reshape(shape)


class Aligner:
    """What scores of tiles are made of; several threads may use it."""

    def __init__(
        self, rows: Sequences, columns: Sequences, similarity: Similarity, problem: Problem
    ) -> None:
        from fastsw import _cpu  # imports Numba, which `import fastsw` does not
        from fastsw._cpu.runtime.thread_pool import thread_count

        self._backend, self._threads = _cpu, thread_count
        self._rows, self._columns = rows, columns
        self._similarity, self._problem = similarity, problem
        self._memory = _Memory(rows.dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of embeddings and scores."""
        return self._rows.dtype

    def turns(self) -> bool:
        """Tell whether rows and columns may change places."""
        open_x, extend_x, open_y, extend_y = self._costs()
        return self._problem.mode != "fitting" and (open_x, extend_x) == (open_y, extend_y)

    def description(self) -> dict[str, Any]:
        """What tells these scores from others of the same sequences."""
        open_x, extend_x, open_y, extend_y = self._costs()
        return {
            **self._similarity.description(),
            "gap_open": [open_x, open_y],
            "gap_extend": [extend_x, extend_y],
            "temperature": float(self._problem.temperature),
            "mode": self._problem.mode,
        }

    def _costs(self) -> list[float]:
        """The penalties as numbers."""
        return [float(penalty.item()) for penalty in self._problem.penalties]

    def __reduce__(self) -> tuple[Any, ...]:
        """What another process makes the same of."""
        return Aligner, (self._rows, self._columns, self._similarity, self._problem)

    def all_scores(
        self, work: Work, left: Iterable[Tile], client: Any = None
    ) -> Iterator[tuple[Tile, np.ndarray]]:
        """Tiles of some work and their scores, on as many threads as Numba is set to, or a cluster.

        Where a pair may be a tile alone, threads share it, and memory is that of one such pair.
        """
        if client is not None:
            return cluster.answers(client, self, left)
        few = work.cells() < 2 * tiles.TILE_CELLS or work.largest() > tiles.TILE_CELLS
        return crew.answers(self.scores, left, 1 if few else self._threads())

    def scores(self, tile: Tile) -> np.ndarray:
        """Scores of the pairs of a tile: [A, B], or [A] where they are listed."""
        listed = tile.places is not None
        n, m = self._rows.lengths[tile.rows], self._columns.lengths[tile.columns]
        if not listed:
            n, m = np.tile(n, len(m)), np.repeat(m, len(n))
        cells = self._memory.of((len(n), int(n.max()), int(m.max())))
        with np.errstate(invalid="ignore", over="ignore"):  # of what is not finite from the start
            self._set(cells, tile, listed)
        problem = self._problem
        inputs = self._backend.prepare(
            cells, problem.penalties, problem.temperature, problem.mode, np.stack([n, m], axis=1)
        )
        scores: np.ndarray = self._backend.score(inputs)
        return scores if listed else scores.reshape(-1, len(tile.rows)).T

    def _set(self, cells: np.ndarray, tile: Tile, listed: bool) -> None:
        """Set the similarities of a tile.

        All rows stand one below the other in the product with a column: what comes out, column
        after column, is a batch already. Listed pairs have a product each.
        """
        x = self._features_of_rows(tile.rows)
        y = self._similarity.of_columns(self._columns.padded(tile.columns)).swapaxes(1, 2)
        if not listed:
            x = x.reshape(1, -1, x.shape[2])
        np.matmul(x, y, out=cells.reshape(len(y), x.shape[1], y.shape[2]))
        self._similarity.of_products(cells)

    def _features_of_rows(self, chosen: np.ndarray) -> np.ndarray:
        """Features of some rows; one block of rows has many tiles."""
        memory = self._memory
        if memory.rows is not chosen:
            memory.features = self._similarity.of_rows(self._rows.padded(chosen))
            memory.rows = chosen
        return memory.features


def build(
    rows: Sequences,
    columns: Sequences,
    *,
    kind: Any,
    scale: Any,
    offset: Any,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any,
    mode: Any,
) -> Aligner:
    """Check the options of a call."""
    problem = numpy_arrays.call(
        np.zeros((0, 1, 1), rows.dtype),
        gap_open=_penalty("gap_open", gap_open),
        gap_extend=_penalty("gap_extend", gap_extend),
        temperature=temperature,
        mode=mode,
        lengths=None,
    ).problem
    return Aligner(
        rows, columns, similarity.build(kind, scale, offset, rows.arrays, columns.arrays), problem
    )


def _penalty(name: str, value: Any) -> Any:
    """A penalty, if it is the same for all pairs."""
    sides = value if isinstance(value, tuple) else (value,)
    if any(np.ndim(side) for side in sides):
        raise ValueError(
            f"`{name}` must be a number or a tuple (for columns, for rows) of numbers, since pairs "
            f"are of different sizes, got {value!r}"
        )
    return value
