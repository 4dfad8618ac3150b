"""Similarities of embeddings by matrix products alone.

What shifts a similarity, and the squares of a distance, stand as further features beside those of
the embeddings: |x - y|^2 is the product of (-2 x, |x|^2, 1) and (y, 1, |y|^2). No pass over the
cells of a matrix is needed but for the inverse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

SimilarityKind = Literal["dot", "cosine", "neg_sqeuclidean", "inverse_sqeuclidean"]
KINDS = get_args(SimilarityKind)

#: Distances are computed around the mean of at most so many sequences of a collection.
_CENTRED = 1000


class Similarity(NamedTuple):
    """How similar two embeddings are."""

    kind: str
    scale: float
    offset: float
    centre: np.ndarray | None  # [D], which distances are computed around

    def of_rows(self, block: np.ndarray) -> np.ndarray:
        """Features of embeddings that stand for rows, [B, N, K] of [B, N, D]."""
        x = self._prepared(block)
        if self.centre is None:
            return _beside(self.scale * x, *[self.offset] * bool(self.offset))
        square = np.einsum("btd,btd->bt", x, x, dtype=np.float64)
        if self.kind == "neg_sqeuclidean":
            return _beside(2 * self.scale * x, self.offset - self.scale * square, 1.0)
        return _beside(-2.0 * x, 1.0 + square, 1.0)

    def of_columns(self, block: np.ndarray) -> np.ndarray:
        """Features of embeddings that stand for columns, [B, M, K] of [B, M, D]."""
        y = self._prepared(block)
        if self.centre is None:
            return _beside(y, *[1.0] * bool(self.offset))
        square = np.einsum("btd,btd->bt", y, y, dtype=np.float64)
        return _beside(y, 1.0, -self.scale * square if self.kind == "neg_sqeuclidean" else square)

    def of_products(self, products: np.ndarray) -> np.ndarray:
        """Similarities of what the products of both features are, in their place."""
        if self.kind == "inverse_sqeuclidean":
            np.maximum(products, 1.0, out=products)  # no distance is negative, but by rounding
            np.divide(self.scale, products, out=products)
            if self.offset:
                products += products.dtype.type(self.offset)
        return products

    def weights(self, similarities: np.ndarray, posteriors: np.ndarray) -> np.ndarray:
        """Gradients in the products of features, by those in the similarities."""
        if self.kind != "inverse_sqeuclidean":
            return posteriors
        shares = self._shares(similarities)
        return posteriors * (shares * shares * -self.scale)

    def slope(self, similarities: np.ndarray, posteriors: np.ndarray) -> float:
        """What a panel adds to the gradient in the scale, where no feature holds that."""
        if self.kind != "inverse_sqeuclidean":
            return 0.0
        shares = self._shares(similarities)
        return float(np.einsum("ij,ij->", posteriors, shares, dtype=np.float64))

    def _shares(self, similarities: np.ndarray) -> np.ndarray:
        """1 / (1 + |x - y|^2), of similarities by the inverse."""
        return (similarities - self.offset) / self.scale

    def of_features(
        self, x: np.ndarray, y: np.ndarray, rows: np.ndarray, columns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Gradients in x, y and the scale by those in the features of both, [T, ...] each."""
        size, wide = x.shape[-1], np.float64
        of_rows, of_columns = rows[:, :size].astype(wide), columns[:, :size].astype(wide)
        if self.centre is None:
            scale = float((self._prepared(x[None])[0].astype(wide) * of_rows).sum())
            of_rows *= self.scale
            if self.kind == "cosine":
                return _of_directions(x, of_rows), _of_directions(y, of_columns), scale
            return of_rows, of_columns, scale
        x, y = self._prepared(x[None])[0].astype(wide), self._prepared(y[None])[0].astype(wide)
        of_x, of_y = rows[:, size : size + 1].astype(wide), columns[:, size + 1 :].astype(wide)
        if self.kind == "inverse_sqeuclidean":
            return 2 * (x * of_x - of_rows), of_columns + 2 * y * of_y, 0.0
        scale = (x * (2 * of_rows - x * of_x)).sum() - (y * y * of_y).sum()
        of_y = of_columns - 2 * self.scale * y * of_y
        return 2 * self.scale * (of_rows - x * of_x), of_y, float(scale)

    def description(self) -> dict[str, Any]:
        """What the user chose."""
        return {"kind": self.kind, "scale": self.scale, "offset": self.offset}

    def _prepared(self, block: np.ndarray) -> np.ndarray:
        """Embeddings of length 1, or around the centre, where the kind asks for it."""
        if self.kind == "cosine":
            largest = np.abs(block).max(axis=-1, keepdims=True)
            block = block / np.where(largest == 0, 1, largest)  # squares stay in range
            norm = np.sqrt(np.einsum("btd,btd->bt", block, block))[..., None]
            return block / np.where(norm == 0, 1, norm)
        return block if self.centre is None else block - self.centre


def build(
    kind: Any,
    scale: Any,
    offset: Any,
    rows: Sequence[np.ndarray],
    columns: Sequence[np.ndarray],
) -> Similarity:
    """Check the kind of a similarity of sequences, [T, D] each, and its parameters."""
    if kind not in KINDS:
        raise ValueError(f"`kind` must be one of {', '.join(map(repr, KINDS))}, got {kind!r}")
    for name, value in (("scale", scale), ("offset", offset)):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a number, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"`{name}` must be finite, got {value}")
    centre = _centre(rows, columns) if kind in KINDS[2:] else None
    return Similarity(kind, float(scale), float(offset), centre)


def _centre(*collections: Sequence[np.ndarray]) -> np.ndarray:
    """About the mean of all embeddings: the farther from 0, the less of a distance is left."""
    with np.errstate(invalid="ignore", over="ignore"):
        means = [
            array.mean(axis=0, dtype=np.float64)
            for one in collections
            for array in one[:: max(1, -(-len(one) // _CENTRED))]
            if len(array)
        ]
    first = collections[0][0]
    finite = [mean for mean in means if np.isfinite(mean).all()]
    centre: np.ndarray = np.mean(finite or np.zeros((1, first.shape[1])), axis=0)
    return centre.astype(first.dtype)


def _of_directions(x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """Gradient in embeddings by that in their directions, [T, D]; 0 where they have none."""
    norm = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    norm[norm == 0] = np.inf
    direction = x / norm
    across: np.ndarray = gradient - direction * (direction * gradient).sum(1, keepdims=True)
    return across / norm


def _beside(block: np.ndarray, *columns: Any) -> np.ndarray:
    """The features of a block and further ones, each a value or [B, T]."""
    if not columns:
        return block
    wide = np.empty((*block.shape[:-1], block.shape[-1] + len(columns)), block.dtype)
    wide[..., : block.shape[-1]] = block
    for k, column in enumerate(columns, block.shape[-1]):
        wide[..., k] = column
    return wide
