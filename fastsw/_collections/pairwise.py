"""The public function for all pairs of sequences: what it takes and gives."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fastsw._collections import cluster, record
from fastsw._collections.aligner import Aligner, build
from fastsw._collections.progress import followed
from fastsw._collections.sequences import read
from fastsw._collections.work import Work, read_pairs
from fastsw._embeddings.similarity import SimilarityKind
from fastsw._types import Mode


def all_pairs(
    sequences: Any,
    others: Any = None,
    *,
    kind: SimilarityKind = "dot",
    scale: float = 1.0,
    offset: float = 0.0,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    outputs: Literal["score"] = "score",
    pairs: Any = None,
    progress: bool = False,
    out: str | os.PathLike[str] | None = None,
    client: Any = None,
) -> np.ndarray:
    """Score the soft alignment of every pair of sequences of embeddings.

    Parameters
    ----------
    sequences : list of (T, D) arrays, or a tuple (packed, offsets)
        NumPy arrays, float32 or float64, of any lengths T of at least 1. Packed: one
        (sum of T, D) array, a memmap for instance, of which sequence k is
        ``packed[offsets[k]:offsets[k + 1]]``; offsets begin with 0 and end with the sum of T.
    others : as `sequences`, optional
        The sequences that stand for columns; `sequences` stand for rows. Default: `sequences`
        themselves.
    kind : {"dot", "cosine", "neg_sqeuclidean", "inverse_sqeuclidean"}
        What makes a similarity of embeddings x and y: the product <x, y>; that over both lengths,
        0 where one of them is 0; -||x - y||^2; 1 / (1 + ||x - y||^2).
    scale, offset : float
        The similarity is scale * kind(x, y) + offset. Local alignments need similarities below 0 of
        what does not belong together.
    gap_open, gap_extend : float, or a tuple (for columns, for rows) of floats
        As in `fastsw.score`, the same for all pairs.
    temperature, mode
        As in `fastsw.score`.
    outputs : {"score"}
        What is computed of each pair.
    pairs : (P, 2) int array, optional
        Only these pairs: sequence ``pairs[p, 0]`` and other ``pairs[p, 1]``. Default: all.
    progress : bool
        Whether to tell on stderr how far the work is: a bar by rich on a terminal, else a line
        every few seconds.
    out : path, optional
        A .npy file that scores are written to while they are computed. Which tiles are finished is
        recorded beside it, in a file with ".tiles" added to its name: after a kill the same call
        goes on where it was, and after the end it gives the finished scores.
    client : dask.distributed.Client, optional
        Computes on the workers of its cluster, a tile a task; extra ``dask``. Default: here.

    Returns
    -------
    (N, N), (N, M) or (P,) array
        Scores as `fastsw.score` gives them for the pairs' similarities, of the dtype of
        `sequences`; a read-only memmap of `out` where that is given. Rows are `sequences`, columns
        `others`. A pair with NaN or infinite embeddings has its own answer and changes no other.

    Raises
    ------
    TypeError
        If an argument is not of a fitting type or dtype.
    ValueError
        If a shape, an option or an index is out of its range, or a sequence empty; if `out` is of
        other arguments or other data, or it or its record is damaged.
    OSError
        If `out` cannot be written, or exists without a record; ConnectionError if `client` has no
        cluster, or loses it.

    Notes
    -----
    Without `others` a pair is computed once and its score stands at [i, j] and [j, i], unless the
    order matters: in mode "fitting", and where penalties differ by direction.

    Pairs are sorted by length into tiles of some 4 million cells, whose similarities are matrix
    products and whose scores one batch. As many threads as Numba is set to work on a tile each; for
    as long, BLAS is held to a thread a product where threadpoolctl is installed. Memory beyond the
    arguments and the answer is that of a tile a thread, 16 MiB for float32, and of its sequences.
    Where a pair may be larger than a tile, threads share one tile, and memory is that of the
    largest pair. A packed memmap is read a tile at a time; with `out` it is also read once for a
    hash, by which other data is noticed.

    With `client`, the sequences are sent to every worker once and stay there until the end. Each
    thread of a worker takes a tile at a time, on one core. What a worker that dies was at is given
    to another; scores are the same, bit for bit, on processors of one kind.

    Distances are computed by products around the mean of the data, and so right to the rounding of
    the squared distances from it.

    Files of `out` survive a kill of the process, not a power failure; a tile that a thread was at,
    and one more, are computed again. Only one process may write to a file at a time.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> a, b, c = np.eye(4), np.eye(4)[1:], np.eye(4)[:1]
    >>> options = {"offset": -0.5, "gap_open": 1.0, "gap_extend": 0.5, "temperature": 0.0}
    >>> fastsw.all_pairs([a, b, c], **options)
    array([[ 2. ,  1.5,  0.5],
           [ 1.5,  1.5, -0.5],
           [ 0.5, -0.5,  0.5]])
    """
    if outputs != "score":
        raise ValueError(f"`outputs` must be 'score', got {outputs!r}")
    if not (out is None or isinstance(out, str | os.PathLike)):
        raise TypeError(f"`out` must be a path, got {out!r}")
    if client is not None:
        cluster.check(client)
    rows = read("sequences", sequences)
    columns = rows if others is None else read("others", others, rows)
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
    listed = None if pairs is None else read_pairs(pairs, len(rows.arrays), len(columns.arrays))
    unordered = others is None and aligner.turns()
    work = Work(rows.lengths, columns.lengths, listed, unordered)
    if out is None:
        return _in_memory(work, aligner, progress, client)
    run = {
        **aligner.description(),
        **work.description(),
        "sequences": rows.digest(),
        "others": None if others is None else columns.digest(),
    }
    return _on_disk(Path(out), run, work, aligner, progress, client)


def _in_memory(work: Work, aligner: Aligner, progress: bool, client: Any) -> np.ndarray:
    """All scores as an array."""
    scores = np.empty(work.shape, aligner.dtype)
    found = aligner.all_scores(work, work.tiles(), client)
    for tile, values in followed(found, work.tile_count, progress):
        work.write(scores, tile, values)
    return scores


def _on_disk(
    out: Path, run: dict[str, Any], work: Work, aligner: Aligner, progress: bool, client: Any
) -> np.ndarray:
    """All scores as a file, of which some tiles may be finished."""
    stored = record.store(out, work.shape, aligner.dtype, run, work.tile_count())
    numbers = np.flatnonzero(stored.finished == 0)
    left = itertools.compress(work.tiles(), stored.finished == 0)
    found = aligner.all_scores(work, left, client)
    for k, (tile, values) in zip(
        numbers, followed(found, lambda: len(numbers), progress), strict=True
    ):
        work.write(stored.scores, tile, values)
        stored.finished[k] = 1  # after the scores: a kill in between repeats this tile
    stored.scores.flush()
    scores: np.ndarray = np.load(out, mmap_mode="r")
    return scores
