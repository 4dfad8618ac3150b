"""The record of one alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Alignment:
    """Pairs of indices that an alignment matches, and its score.

    Attributes
    ----------
    score : float
        Score of the alignment; NaN for a pair with NaN or +inf in a cell, -inf where a pair has no
        alignment.
    pairs : (K, 2) int64 array
        Matched (row, column) indices, strictly increasing in both columns.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> fastsw.Alignment(2.0, np.array([[0, 1], [1, 3]])).warp([0, 0.5, 1])
    array([1., 2., 3.])
    """

    score: float
    pairs: np.ndarray

    @property
    def rows(self) -> slice:
        """Rows from the first to the last matched one; slice(0, 0) for the empty alignment."""
        return self._span(0)

    @property
    def columns(self) -> slice:
        """Columns from the first to the last matched one; slice(0, 0) for the empty alignment."""
        return self._span(1)

    def _span(self, axis: int) -> slice:
        if not len(self.pairs):
            return slice(0, 0)
        return slice(int(self.pairs[0, axis]), int(self.pairs[-1, axis]) + 1)

    def warp(self, indices: Any, *, axis: Literal["rows", "columns"] = "rows") -> np.ndarray:
        """Map positions along one side to the other, linearly between matched pairs.

        Parameters
        ----------
        indices : array_like of float
            Positions along `axis`, in indices; fractions are allowed.
        axis : {"rows", "columns"}
            The side the positions are on.

        Returns
        -------
        float64 array
            Positions on the other side; NaN before the first and after the last pair.

        Raises
        ------
        ValueError
            If `axis` is neither "rows" nor "columns".
        """
        if axis not in ("rows", "columns"):
            raise ValueError(f"`axis` must be 'rows' or 'columns', got {axis!r}")
        indices = np.asarray(indices, dtype=np.float64)
        if not len(self.pairs):
            return np.full(indices.shape, np.nan)
        here = 0 if axis == "rows" else 1
        there: np.ndarray = np.interp(
            indices, self.pairs[:, here], self.pairs[:, 1 - here], left=np.nan, right=np.nan
        )
        return there

    def __len__(self) -> int:
        """Return the number of matched pairs."""
        return len(self.pairs)

    def __repr__(self) -> str:
        """Return score, number of pairs and span."""
        if not len(self.pairs):
            return f"Alignment(score={self.score:.6g}, empty)"
        return (
            f"Alignment(score={self.score:.6g}, {len(self.pairs)} pairs, "
            f"rows {self.rows.start}:{self.rows.stop}, "
            f"columns {self.columns.start}:{self.columns.stop})"
        )

    def __str__(self) -> str:
        """Return score, span and runs of consecutive pairs, one a line."""
        lines = [repr(self)]
        if not len(self.pairs):
            return lines[0]
        breaks = np.flatnonzero((np.diff(self.pairs, axis=0) != 1).any(axis=1)) + 1
        for run in np.split(self.pairs, breaks):
            (row, column), length = run[0], len(run)
            lines.append(f"  rows {row}:{row + length} = columns {column}:{column + length}")
        return "\n".join(lines)
