"""Embeddings in NumPy arrays: checks, and the answers of all pairs put together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastsw import _validation
from fastsw._embeddings import pairs, similarity
from fastsw._embeddings.collected import Collector, LargePosteriors, RowMatches
from fastsw._embeddings.products import Products
from fastsw._embeddings.records import EmbeddingGradients, Matches, SparsePosterior
from fastsw._frontends.kinds import refuse_special
from fastsw._frontends.numpy_arrays import KIND, in_given_form


class PairGradients(NamedTuple):
    """Gradients of each pair's own score."""

    x: np.ndarray  # [B, N, D]
    y: np.ndarray  # [B, M, D]
    penalties: tuple[np.ndarray, ...]  # 4 x [B, N|1, M|1]
    temperature: np.ndarray  # [B]
    scale: np.ndarray  # [B]
    offset: np.ndarray  # [B]

    def weighted(self, weights: np.ndarray) -> PairGradients:
        """The same, each pair's times a weight, [B]."""

        def weigh(own: np.ndarray) -> np.ndarray:
            return own * weights.reshape(-1, *[1] * (own.ndim - 1)).astype(own.dtype)

        penalties = tuple(map(weigh, self.penalties))
        x, y, _, *rest = self
        return PairGradients(weigh(x), weigh(y), penalties, *map(weigh, rest))


class Source(Protocol):
    """Where similarities come from, and their gradients go to."""

    def fill(self, b: int, start: int, stop: int, out: np.ndarray) -> None:
        """Set similarities of some rows of a pair."""

    def collector(self, b: int) -> Any:
        """A collector of a pair's gradients."""

    def gradients(self, b: int, collector: Any) -> tuple[np.ndarray, np.ndarray, float, float]:
        """What it has collected, in a pair's x, y, scale and offset."""


class Call(NamedTuple):
    """A validated call."""

    x: np.ndarray  # [B, N, D]
    y: np.ndarray  # [B, M, D]
    problem: _validation.Problem  # its similarities are all one zero
    strip_rows: int | None
    threshold: float

    def batch(self, fill: Any) -> pairs.Batch:
        """The pairs, whose similarities `fill` sets."""
        problem = self.problem
        return pairs.Batch(
            self.x.dtype,
            fill,
            tuple(np.ascontiguousarray(p, dtype=np.float64) for p in problem.penalties),
            float(problem.temperature),
            problem.mode,
            problem.lengths,
            self.strip_rows,
        )

    def gradients(self, own: PairGradients, dtype: np.dtype[Any]) -> EmbeddingGradients:
        """Gradients of the sum of scores, each in the form of its argument."""
        sums = own.temperature.sum(), own.scale.sum(), own.offset.sum()
        return EmbeddingGradients(
            self.problem.unbatched(own.x.astype(dtype, copy=False)),
            self.problem.unbatched(own.y.astype(dtype, copy=False)),
            self._of_gap(0, own.penalties),
            self._of_gap(1, own.penalties),
            *map(self.x.dtype.type, sums),
        )

    def _of_gap(self, kind: int, gradients: Sequence[np.ndarray]) -> Any:
        """Gradient of gap_open (0) or gap_extend (1)."""
        problem = self.problem
        x, y = (
            g.sum(axis=0, keepdims=True) if len(p) == 1 else g
            for g, p in zip(gradients[kind::2], problem.penalties[kind::2], strict=True)
        )
        found = in_given_form(problem, kind, x, y, self.x.dtype)
        return tuple(g[()] for g in found) if isinstance(found, tuple) else found[()]


def align(x: Any, y: Any, wanted: Sequence[str], *, kind: Any, **options: Any) -> dict[str, Any]:
    """See `fastsw.align_embeddings`; the answers by name."""
    scale, offset = (number(name, options.pop(name)) for name in ("scale", "offset"))
    x, y = _embeddings("x", x), _embeddings("y", y)
    call = check(x, y, **options)
    if callable(kind):
        raise TypeError("`kind` must be a name for NumPy arrays, got a function; use tensors")
    source = products(call, kind, scale, offset, wanted)
    answers, own = align_pairs(call, source, wanted)
    if own is not None:
        answers["gradients"] = call.gradients(own, x.dtype.newbyteorder("="))
    return answers


def products(call: Call, kind: Any, scale: Any, offset: Any, wanted: Sequence[str]) -> Products:
    """Similarities of a named kind, whose parameters are checked."""
    measured = similarity.build(kind, scale, offset, list(call.x), list(call.y))
    if kind == "inverse_sqeuclidean" and scale == 0 and "gradients" in wanted:
        raise ValueError("`scale` must not be 0 for gradients of 'inverse_sqeuclidean', got 0.0")
    return Products(call.x, call.y, call.problem.lengths, measured)


def check(
    x: np.ndarray,
    y: np.ndarray,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any,
    mode: Any,
    lengths: Any,
    threshold: float,
    strip_rows: int | None,
) -> Call:
    """Check embeddings and options, and bring them into one form."""
    for name, array in (("x", x), ("y", y)):
        if array.ndim not in (2, 3):
            raise ValueError(
                f"`{name}` must have shape (B, T, D) or (T, D), got {array.ndim} axes: "
                f"{array.shape}"
            )
    fit = x.ndim == y.ndim and x.shape[-1] == y.shape[-1] and x.shape[:-2] == y.shape[:-2]
    if not fit or x.dtype != y.dtype:
        raise ValueError(
            "`x` and `y` must be of as many pairs, of one number of features and of one dtype, got "
            f"{x.shape} {x.dtype} and {y.shape} {y.dtype}"
        )
    dtype = np.dtype(np.float64 if x.dtype == np.float64 else np.float32)
    shape = *x.shape[:-1], y.shape[-2]
    problem = _validation.build(
        KIND,
        np.broadcast_to(np.zeros((), dtype), shape),
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )
    open_x, extend_x, open_y, extend_y = problem.penalties
    for name, own, axis in (
        ("gap_open", open_x, 1),
        ("gap_extend", extend_x, 1),
        ("gap_open", open_y, 2),
        ("gap_extend", extend_y, 2),
    ):
        if own.shape[axis] > 1:
            raise ValueError(
                f"`{name}` must not vary from cell to cell: give a tuple (for columns, for rows), "
                f"got shape {own.shape}"
            )
    _validation.check_values(problem.penalties, float(problem.temperature))
    if float(problem.temperature) == 0:
        raise ValueError("`temperature` must be above 0, got 0.0")
    _validation.check_lengths(problem.lengths, problem.similarity.shape, "x and y")
    if problem.single:
        x, y = x[None], y[None]
    return Call(
        x.astype(dtype, copy=False), y.astype(dtype, copy=False), problem, strip_rows, threshold
    )


def align_pairs(
    call: Call, source: Source, wanted: Sequence[str]
) -> tuple[dict[str, Any], PairGradients | None]:
    """Align all pairs: the answers by name, but gradients, which are each pair's."""
    problem, found = call.problem, Posteriors(call)
    if set(wanted) == {"score"}:
        return found.answers(pairs.align(call.batch(source.fill), None).score, wanted), None
    count = len(problem.lengths)
    of_x, of_y = np.zeros_like(call.x), np.zeros_like(call.y)
    of_scale, of_offset = np.zeros(count), np.zeros(count)
    unfinished: dict[int, Any] = {}

    def finish() -> None:
        """Keep the gradients of the pair whose posteriors have all come."""
        for b, collector in unfinished.items():
            n, m = problem.lengths[b]
            own = source.gradients(b, collector)
            of_x[b, :n], of_y[b, :m], of_scale[b], of_offset[b] = own
        unfinished.clear()

    def collect(b: int) -> list[Collector]:
        collectors = found.collectors(b, wanted)
        if "gradients" in wanted:
            finish()
            unfinished[b] = source.collector(b)
            collectors.append(unfinished[b])
        return collectors

    totals = pairs.align(call.batch(source.fill), collect)
    finish()
    answers = found.answers(totals.score, wanted)
    if "gradients" not in wanted:
        return answers, None
    rest = totals.penalties, totals.temperature, of_scale, of_offset
    return answers, PairGradients(of_x, of_y, *rest)


class Posteriors:
    """What is made of the posteriors of all pairs, but gradients."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._matches: dict[int, RowMatches] = {}
        self._large: dict[int, LargePosteriors] = {}

    def collectors(self, b: int, wanted: Sequence[str]) -> list[Collector]:
        """Collectors of a pair."""
        n, m = map(int, self._call.problem.lengths[b])
        chosen: list[Collector] = []
        if "matches" in wanted:
            self._matches[b] = RowMatches(n, m)
            chosen.append(self._matches[b])
        if "posterior" in wanted:
            self._large[b] = LargePosteriors(self._call.threshold)
            chosen.append(self._large[b])
        return chosen

    def answers(self, scores: np.ndarray, wanted: Sequence[str]) -> dict[str, Any]:
        """Scores, and what the collectors hold."""
        problem, dtype = self._call.problem, self._call.x.dtype
        score = scores.astype(dtype)
        answers: dict[str, Any] = {"score": problem.unbatched(score)}
        if "matches" in wanted:
            shape = problem.similarity.shape[:2]
            column, mass = np.full(shape, np.nan, dtype), np.zeros(shape, dtype)
            for b, own in self._matches.items():
                column[b, : len(own.column)], mass[b, : len(own.mass)] = own.column, own.mass
            answers["matches"] = Matches(problem.unbatched(column), problem.unbatched(mass))
        if "posterior" in wanted:
            sparse = [SparsePosterior(*self._large[b].together(dtype)) for b in range(len(scores))]
            answers["posterior"] = problem.unbatched(sparse)
        return answers


def _embeddings(name: str, given: Any) -> np.ndarray:
    """Embeddings as a floating array."""
    refuse_special(name, given)
    if not isinstance(given, np.ndarray):
        with contextlib.suppress(TypeError, AttributeError, BufferError, RuntimeError):
            given = np.from_dlpack(given)
    if not isinstance(given, np.ndarray):
        raise TypeError(
            f"`{name}` must be a NumPy array, a torch tensor or another DLPack exporter on the "
            f"CPU, got {type(given).__name__}"
        )
    if given.dtype.kind not in "fiu":
        raise TypeError(f"`{name}` must have a floating dtype or integers, got {given.dtype}")
    return given if given.dtype.kind == "f" else given.astype(np.float64)


def number(name: str, value: Any) -> Any:
    """A parameter of the similarity: of an array, its one value."""
    if isinstance(value, np.ndarray):
        if value.shape != ():
            raise ValueError(f"`{name}` must be a scalar, got shape {value.shape}")
        return value.item()
    return value.item() if isinstance(value, np.generic) else value
