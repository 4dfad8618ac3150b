"""What is made of the posteriors of a pair, panel by panel."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from fastsw._embeddings.similarity import Similarity


class Collector(Protocol):
    """Takes the similarities and posteriors of rows `start` to `stop`."""

    def take(self, start: int, stop: int, similarities: np.ndarray, posteriors: np.ndarray) -> None:
        """Take a panel; each row comes once."""


class FeatureGradients:
    """Gradients of the score in the features of both sides, in the offset, and in the scale.

    In the scale, what comes to it elsewhere than through features.
    """

    def __init__(self, similarity: Similarity, rows: np.ndarray, columns: np.ndarray) -> None:
        self._similarity, self._rows, self._columns = similarity, rows, columns
        self.rows = np.zeros(rows.shape, rows.dtype)
        self.columns = np.zeros(columns.shape)  # many panels are added up
        self.scale, self.offset = 0.0, 0.0

    def take(self, start: int, stop: int, similarities: np.ndarray, posteriors: np.ndarray) -> None:
        """Take a panel."""
        weights = self._similarity.weights(similarities, posteriors)
        weights = weights.astype(self._rows.dtype, copy=False)
        np.matmul(weights, self._columns, out=self.rows[start:stop])
        self.columns += weights.T @ self._rows[start:stop]
        self.scale += self._similarity.slope(similarities, posteriors)
        self.offset += float(posteriors.sum(dtype=np.float64))


class RowMatches:
    """How surely each row is paired, and with which column in the mean."""

    def __init__(self, rows: int, columns: int) -> None:
        self._places = np.arange(columns, dtype=np.float64)
        self.mass, self.column = np.zeros(rows), np.full(rows, np.nan)

    def take(self, start: int, stop: int, similarities: np.ndarray, posteriors: np.ndarray) -> None:
        """Take a panel."""
        mass = posteriors.sum(axis=1, dtype=np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            self.column[start:stop] = posteriors @ self._places / mass
        self.mass[start:stop] = mass


class LargePosteriors:
    """The posteriors of at least a threshold."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def take(self, start: int, stop: int, similarities: np.ndarray, posteriors: np.ndarray) -> None:
        """Take a panel."""
        rows, columns = np.nonzero(posteriors >= self._threshold)
        self._found.append((rows + start, columns, posteriors[rows, columns]))

    def together(self, dtype: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows, columns and values, by row and then by column."""
        if not self._found:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, dtype)
        rows, columns, values = (np.concatenate(part) for part in zip(*self._found, strict=True))
        order = np.lexsort((columns, rows))
        return rows[order], columns[order], values[order].astype(dtype)
