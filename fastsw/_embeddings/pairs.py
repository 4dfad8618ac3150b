"""The pairs of a call: small ones in dense batches, long ones in panels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastsw import _cpu
from fastsw._cpu import panels
from fastsw._embeddings.collected import Collector

#: Cells, with padding, up to which pairs are aligned as dense matrices, in batches of as many.
DENSE_CELLS = 2**20


class Batch(NamedTuple):
    """Valid pairs, and where their similarities come from."""

    dtype: np.dtype[Any]  # of similarities
    #: Sets the similarities of a pair, of rows from one to before another.
    fill: Callable[[int, int, int, np.ndarray], None]
    penalties: tuple[np.ndarray, ...]  # 4 x [B|1, N|1, M|1], float64
    temperature: float
    mode: str
    lengths: np.ndarray  # [B, 2]
    strip_rows: int | None


class Totals(NamedTuple):
    """Scores and per-pair gradients but for those in embeddings."""

    score: np.ndarray  # [B]
    penalties: tuple[np.ndarray, ...]  # 4 x [B, N|1, M|1]
    temperature: np.ndarray  # [B]


def align(batch: Batch, collect: Callable[[int], Sequence[Collector]] | None) -> Totals:
    """Align all pairs; with `collect`, what it gives for a pair takes that pair's posteriors."""
    pairs = len(batch.lengths)
    found = Totals(
        np.zeros(pairs),
        tuple(np.zeros((pairs, *p.shape[1:])) for p in batch.penalties),
        np.zeros(pairs),
    )
    for chosen in _chunks(batch):
        if len(chosen) == 1 and _is_long(batch, chosen[0]):
            b = chosen[0]
            pair = _long(batch, b)
            survey = panels.survey(pair)
            if panels.takes(survey):
                _align_long(pair, survey, collect and collect(b), found, b)
                continue
        _align_dense(batch, chosen, collect, found)
    return found


def _is_long(batch: Batch, b: int) -> bool:
    """Tell whether a pair goes in panels."""
    n, m = batch.lengths[b]
    return bool(n and m and (batch.strip_rows is not None or n * m > DENSE_CELLS))


def _chunks(batch: Batch) -> Iterator[list[int]]:
    """Pairs that are aligned in one go, in order."""
    chunk: list[int] = []
    rows = columns = 0
    for b, (n, m) in enumerate(batch.lengths.tolist()):
        if _is_long(batch, b):
            yield from [chunk] * bool(chunk)
            yield [b]
            chunk, rows, columns = [], 0, 0
            continue
        grown = max(rows, n), max(columns, m)
        if chunk and (len(chunk) + 1) * grown[0] * grown[1] > DENSE_CELLS:
            yield chunk
            chunk, grown = [], (n, m)
        chunk.append(b)
        rows, columns = grown
    yield from [chunk] * bool(chunk)


def _long(batch: Batch, b: int) -> panels.Pair:
    """A pair that goes in panels."""
    n, m = map(int, batch.lengths[b])
    return panels.Pair(
        n,
        m,
        batch.dtype,
        lambda start, stop, out: batch.fill(b, start, stop, out),
        tuple(_cut(p[b % len(p) :][:1], n, m) for p in batch.penalties),
        batch.temperature,
        batch.mode,
        batch.strip_rows,
    )


def _cut(penalty: np.ndarray, n: int, m: int) -> np.ndarray:
    """The valid part of a penalty, whose axes may have length 1."""
    return penalty[
        :, : max(1, n) if penalty.shape[1] > 1 else 1, : m if penalty.shape[2] > 1 else 1
    ]


def _align_long(
    pair: panels.Pair,
    survey: panels.Survey,
    collectors: Sequence[Collector] | None,
    found: Totals,
    b: int,
) -> None:
    """Align one pair in panels."""
    if collectors is None:
        found.score[b] = panels.score(pair, survey)
        return

    def take(start: int, stop: int, similarities: np.ndarray, posteriors: np.ndarray) -> None:
        for collector in collectors:
            collector.take(start, stop, similarities, posteriors)

    answer = panels.gradients(pair, survey, take, slope=True)
    found.score[b], found.temperature[b] = answer.score, answer.temperature
    for kept, own in zip(found.penalties, answer.penalties, strict=True):
        kept[b, : own.shape[1], : own.shape[2]] = own[0]


def _align_dense(
    batch: Batch,
    chosen: list[int],
    collect: Callable[[int], Sequence[Collector]] | None,
    found: Totals,
) -> None:
    """Align some pairs as a batch of matrices."""
    lengths = batch.lengths[chosen]
    n, m = map(int, lengths.max(axis=0))
    cells = np.zeros((len(chosen), n, m), batch.dtype)
    for one, b, (rows, columns) in zip(cells, chosen, lengths, strict=True):
        if rows and columns:
            if columns == m:
                batch.fill(b, 0, int(rows), one[:rows])
            else:
                own = np.empty((rows, columns), batch.dtype)
                batch.fill(b, 0, int(rows), own)
                one[:rows, :columns] = own
    penalties = tuple(_cut(p if len(p) == 1 else p[chosen], n, m) for p in batch.penalties)
    inputs = _cpu.prepare(cells, penalties, batch.temperature, batch.mode, lengths)
    if collect is None:
        found.score[chosen] = _cpu.score(inputs)
        return
    answer = _cpu.gradients(inputs)
    found.score[chosen], found.temperature[chosen] = answer.score, answer.temperature
    for kept, own in zip(found.penalties, answer.penalties, strict=True):
        kept[chosen, : own.shape[1], : own.shape[2]] = own
    for k, (b, (rows, columns)) in enumerate(zip(chosen, lengths, strict=True)):
        for collector in collect(b):
            collector.take(
                0, int(rows), cells[k, :rows, :columns], answer.similarity[k, :rows, :columns]
            )
