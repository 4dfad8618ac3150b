"""The public function for the best of a database: what it takes and gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastsw._collections import cluster
from fastsw._collections.aligner import build
from fastsw._collections.progress import followed
from fastsw._collections.sequences import read
from fastsw._collections.work import Work
from fastsw._embeddings.similarity import SimilarityKind
from fastsw._types import Mode


class Ranking(NamedTuple):
    """The best of a database for each query, the best first.

    Attributes
    ----------
    scores : (Q, K) array
        Their scores, of the dtype of the queries; -inf where there are no more.
    indices : (Q, K) int64 array
        Which sequences of the database they are; -1 where there are no more.
    """

    scores: np.ndarray
    indices: np.ndarray


def search(
    queries: Any,
    database: Any,
    k: int,
    *,
    kind: SimilarityKind = "dot",
    scale: float = 1.0,
    offset: float = 0.0,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    progress: bool = False,
    client: Any = None,
) -> Ranking:
    """Find the sequences of a database with the best scores of soft alignment for each query.

    Parameters
    ----------
    queries, database : list of (T, D) arrays, or a tuple (packed, offsets)
        Sequences of embeddings, as in `fastsw.all_pairs`. Queries stand for rows.
    k : int
        How many are found for each query, at least 1 and at most those of the database.
    kind, scale, offset, gap_open, gap_extend, temperature, mode, progress, client
        As in `fastsw.all_pairs`.

    Returns
    -------
    Ranking
        Named tuple (scores, indices), each (Q, K); of equal scores the smaller index goes first.
        What has no alignment, or the score NaN, is never found.

    Raises
    ------
    TypeError, ValueError
        As `fastsw.all_pairs`, or if `k` is out of its range.

    Notes
    -----
    Every query is aligned with every sequence, and only the best scores are kept: beyond the
    arguments memory is that of a tile (see `fastsw.all_pairs`) and of the answer. Scores of local
    alignments grow with the lengths of both sequences; an `offset` that makes similarities of what
    does not belong together negative keeps long sequences from winning by their length.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> database = [np.eye(4), np.eye(4)[1:], np.eye(4)[:1]]
    >>> options = {"offset": -0.5, "gap_open": 1.0, "gap_extend": 0.5, "temperature": 0.0}
    >>> fastsw.search([np.eye(4)[2:]], database, 2, **options)
    Ranking(scores=array([[1., 1.]]), indices=array([[0, 1]]))
    """
    if client is not None:
        cluster.check(client)
    rows = read("queries", queries)
    columns = read("database", database, rows)
    k = _count(k, len(columns.arrays))
    aligner = build(
        rows,
        columns,
        kind=kind,
        scale=scale,
        offset=offset,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
    )
    work = Work(rows.lengths, columns.lengths, pairs=None, unordered=False)
    shape = len(rows.arrays), k
    best = Ranking(np.full(shape, -np.inf, aligner.dtype), np.full(shape, -1, np.int64))
    found = aligner.all_scores(work, work.tiles(), client)
    for tile, values in followed(found, work.tile_count, progress):
        _update(best, tile.rows, tile.columns, values)
    return best


def _count(k: Any, most: int) -> int:
    """How many are to be found, of so many."""
    if isinstance(k, bool) or not hasattr(k, "__index__"):
        raise TypeError(f"`k` must be an integer, got {k!r}")
    if not 1 <= k <= most:
        raise ValueError(f"`k` must lie between 1 and the {most} sequences of `database`, got {k}")
    return int(k)


def _update(best: Ranking, rows: np.ndarray, columns: np.ndarray, scores: np.ndarray) -> None:
    """Put the scores of some queries and sequences, [A, B], where they belong among the best."""
    scores = np.concatenate([best.scores[rows], scores.astype(best.scores.dtype)], axis=1)
    found = scores > -np.inf  # nor is NaN
    indices = np.concatenate([best.indices[rows], np.tile(columns, (len(rows), 1))], axis=1)
    scores, indices = np.where(found, scores, -np.inf), np.where(found, indices, -1)
    order = np.lexsort((indices, -scores))[:, : best.scores.shape[1]]
    best.scores[rows] = np.take_along_axis(scores, order, axis=1)
    best.indices[rows] = np.take_along_axis(indices, order, axis=1)
