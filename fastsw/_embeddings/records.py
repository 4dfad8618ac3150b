"""What alignments of embeddings give."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class EmbeddingGradients(NamedTuple):
    """Gradients of the summed score, each in the form of its argument.

    Attributes
    ----------
    x, y : array, shape of `x` and `y`
        In the embeddings; 0 beyond the lengths.
    gap_open, gap_extend : array, or a tuple (for columns, for rows) where one was given
        Minus the expected number of times the penalty is paid.
    temperature : array ()
        The summed entropy of the alignment distributions, in nats.
    scale, offset : array ()
        In the parameters of the similarity.
    """

    x: np.ndarray
    y: np.ndarray
    gap_open: Any
    gap_extend: Any
    temperature: Any
    scale: Any
    offset: Any


class Matches(NamedTuple):
    """Where each row has its partner in the mean, and how surely it has one.

    Attributes
    ----------
    column : (B, N) array, or (N,) for one pair
        The mean of the columns that the row is paired with, each as probable as its posterior;
        NaN where there is none, and beyond the lengths.
    mass : (B, N) array, or (N,) for one pair
        The probability that the row is paired with any column; 0 beyond the lengths.
    """

    column: np.ndarray
    mass: np.ndarray


class SparsePosterior(NamedTuple):
    """The posteriors of a pair from a threshold on.

    Attributes
    ----------
    rows, columns : (K,) int64 arrays
        Where they are, by row and then by column.
    values : (K,) array
        Posterior probabilities.
    """

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
