"""Similarities of a named kind: products of features, and gradients through them."""

from __future__ import annotations

import numpy as np

from fastsw._embeddings.collected import FeatureGradients
from fastsw._embeddings.similarity import Similarity


class Products:
    """Similarities of a batch, whose features are made of one pair at a time."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, lengths: np.ndarray, measured: Similarity
    ) -> None:
        self._x, self._y, self._lengths, self._measured = x, y, lengths, measured
        self._pair = -1
        self._rows = self._columns = np.zeros((0, 0))

    def fill(self, b: int, start: int, stop: int, out: np.ndarray) -> None:
        """Set similarities of some rows of a pair."""
        rows, columns = self._features(b)
        with np.errstate(invalid="ignore", over="ignore"):
            np.matmul(rows[start:stop], columns.T, out=out)
            self._measured.of_products(out)

    def collector(self, b: int) -> FeatureGradients:
        """A collector of a pair's gradients."""
        return FeatureGradients(self._measured, *self._features(b))

    def gradients(
        self, b: int, collector: FeatureGradients
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        """What it has collected, in a pair's x, y, scale and offset."""
        x, y = self._embeddings(b)
        of_x, of_y, scale = self._measured.of_features(x, y, collector.rows, collector.columns)
        return of_x, of_y, scale + collector.scale, collector.offset

    def _embeddings(self, b: int) -> tuple[np.ndarray, np.ndarray]:
        n, m = self._lengths[b]
        return self._x[b, :n], self._y[b, :m]

    def _features(self, b: int) -> tuple[np.ndarray, np.ndarray]:
        if b != self._pair:
            x, y = self._embeddings(b)
            with np.errstate(invalid="ignore", over="ignore"):  # what is not finite stays so
                self._rows = self._measured.of_rows(x[None])[0]
                self._columns = self._measured.of_columns(y[None])[0]
            self._pair = b
        return self._rows, self._columns
