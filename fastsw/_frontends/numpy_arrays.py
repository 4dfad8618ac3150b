"""The public functions on NumPy arrays, and on arrays that other libraries export by DLPack."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from fastsw import _validation
from fastsw._alignment import Alignment
from fastsw._frontends.kinds import NumpyKind, foreign_to_numpy, namespace_of, refuse_special
from fastsw._types import Gradients

KIND = NumpyKind()


@functools.cache
def _backend() -> Any:
    """The CPU backend, which imports Numba."""
    from fastsw import _cpu

    return _cpu


class _Call(NamedTuple):
    """A validated call: the problem, the backend's inputs, and the way back to the user's kind."""

    problem: _validation.Problem
    inputs: Any
    scores: np.dtype  # dtype of scores
    namespace: Any  # None for NumPy
    foreign_dtype: Any  # dtype of gradients in the namespace

    def wrap(self, array: Any) -> Any:
        """An answer as the kind of array the question came in."""
        if self.namespace is None:
            return array[()] if array.ndim == 0 else array
        return self.namespace.from_dlpack(np.asarray(array, order="C"))

    def of_similarity(self, gradient: np.ndarray) -> Any:
        """Gradients of the similarity, in its dtype."""
        if self.namespace is None:
            dtype = self.problem.similarity.dtype.newbyteorder("=")
            gradient = self.problem.unbatched(gradient)
            return gradient if gradient.dtype == dtype else gradient.astype(dtype)
        wrapped = self.wrap(self.problem.unbatched(gradient))
        return self.namespace.astype(wrapped, self.foreign_dtype)

    def of_gap(self, kind: int, x: np.ndarray, y: np.ndarray) -> Any:
        """Gradient of gap_open (0) or gap_extend (1), in the form it was given in."""
        found = in_given_form(self.problem, kind, x, y, self.scores)
        return tuple(map(self.wrap, found)) if isinstance(found, tuple) else self.wrap(found)

    def per_pair(self, values: np.ndarray) -> Any:
        """Per-pair values as scores."""
        return self.wrap(self.problem.unbatched(values.astype(self.scores)))


def in_given_form(
    problem: _validation.Problem, kind: int, x: np.ndarray, y: np.ndarray, dtype: np.dtype
) -> Any:
    """Gradients of gap_open (0) or gap_extend (1) for columns and for rows, as it was given."""
    shapes = problem.shapes[kind]
    if problem.by_direction[kind]:
        parts = zip((x, y), shapes, strict=True)
        return tuple(gradient.reshape(shape).astype(dtype) for gradient, shape in parts)
    return (x + y).reshape(shapes).astype(dtype)


def plain(name: str, array: Any) -> tuple[np.ndarray, Any, Any]:
    """A NumPy view of an array, its namespace (None for NumPy) and its dtype there."""
    if type(array) is np.ndarray:
        return array, None, None
    refuse_special(name, array)
    if isinstance(array, np.ndarray):
        return array, None, None
    if not hasattr(array, "__dlpack__"):
        raise TypeError(
            f"`{name}` must be a NumPy array, a torch tensor or another DLPack exporter, got "
            f"{type(array).__name__}"
        )
    namespace = namespace_of(name, array)
    if namespace.isdtype(array.dtype, "integral"):
        array = namespace.astype(array, namespace.asarray(0.0).dtype)
    return foreign_to_numpy(name, array), namespace, array.dtype


def call(
    similarity: Any, *, gap_open: Any, gap_extend: Any, temperature: Any, mode: Any, lengths: Any
) -> _Call:
    """Validate a call and prepare the backend's inputs."""
    similarity, namespace, foreign_dtype = plain("similarity", similarity)
    problem = _validation.build(
        KIND,
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )
    inputs = _backend().prepare(
        problem.similarity, problem.penalties, problem.temperature, problem.mode, problem.lengths
    )
    return _Call(problem, inputs, inputs.similarity.dtype, namespace, foreign_dtype)


def score(similarity: Any, **options: Any) -> Any:
    """See `fastsw.score`."""
    asked = call(similarity, **options)
    return asked.per_pair(_backend().score(asked.inputs))


def entropy(similarity: Any, **options: Any) -> Any:
    """See `fastsw.entropy`."""
    asked = call(similarity, **options)
    return asked.per_pair(_backend().gradients(asked.inputs).temperature)


def posterior(similarity: Any, **options: Any) -> Any:
    """See `fastsw.posterior`."""
    asked = call(similarity, **options)
    return asked.of_similarity(_backend().gradients(asked.inputs).similarity)


def value_and_grad(similarity: Any, **options: Any) -> tuple[Any, Gradients[Any, Any]]:
    """See `fastsw.value_and_grad`."""
    asked = call(similarity, **options)
    found, penalties, slope = _backend().gradients_in_all(asked.inputs)
    open_x, extend_x, open_y, extend_y = penalties
    return asked.per_pair(found.score), Gradients(
        asked.of_similarity(found.similarity),
        asked.of_gap(0, open_x, open_y),
        asked.of_gap(1, extend_x, extend_y),
        asked.wrap(np.array(slope, asked.scores)),
    )


def traceback(similarity: Any, **options: Any) -> list[Alignment] | Alignment:
    """See `fastsw.traceback`."""
    asked = call(similarity, temperature=0.0, **options)
    found = _backend().paths(asked.inputs)
    alignments = [
        Alignment(float(found.score[b]), found.pairs[b, : found.counts[b]].copy())
        for b in range(len(found.score))
    ]
    return alignments[0] if asked.problem.single else alignments


def hits(
    similarity: Any, *, k: int, min_score: float, margin: int, **options: Any
) -> list[list[Alignment]] | list[Alignment]:
    """See `fastsw.hits`."""
    asked = call(similarity, temperature=0.0, mode="local", **options)
    left = asked.inputs.similarity.copy()
    found: list[list[Alignment]] = [[] for _ in left]
    searched = np.arange(len(left))
    for _ in range(k):
        paths = _backend().paths(asked.inputs._replace(similarity=left).of(searched))
        going_on = []
        for b, score, pairs, count in zip(searched, *paths, strict=True):
            if score <= min_score:
                continue
            found[b].append(Alignment(float(score), pairs[:count].copy()))
            if not np.isnan(score):
                going_on.append(b)
                _forbid(left[b], pairs[:count], margin)
        searched = np.array(going_on, np.int64)
        if not going_on:
            break
    return found[0] if asked.problem.single else found


def _forbid(cells: np.ndarray, pairs: np.ndarray, margin: int) -> None:
    """Forbid the cells of an alignment, and those as near in a row or a column of them."""
    near = np.arange(-margin, margin + 1)
    for axis, last in enumerate(np.array(cells.shape) - 1):
        moved = np.repeat(pairs[:, None], len(near), axis=1)
        moved[..., axis] = (moved[..., axis] + near).clip(0, last)
        cells[moved[..., 0], moved[..., 1]] = -np.inf


#: A posterior may exceed 1 by its rounding in single precision, see `fastsw.posterior`.
_ABOVE_ONE = 1e-4


def mea(
    posterior: Any, *, threshold: float, min_paired: float, lengths: Any
) -> list[Alignment] | Alignment:
    """See `fastsw.mea`."""
    posterior, _, _ = plain("posterior", posterior)
    batch, single = _validation.as_batch(KIND, "posterior", posterior)
    lengths = _validation.build_lengths(KIND, lengths, batch, single)
    _validation.check_lengths(lengths, batch.shape, "posterior")
    inner = [np.arange(size) < lengths[:, [axis]] for axis, size in enumerate(batch.shape[1:])]
    dtype = np.promote_types(batch.dtype, np.float32)
    share = np.where(inner[0][:, :, None] & inner[1][:, None], batch, 0).astype(dtype, copy=False)
    outside = (share < 0) | (share > 1 + _ABOVE_ONE)
    if outside.any():
        raise ValueError(f"`posterior` must lie between 0 and 1, got {share[outside][0]}")
    left_out = share <= threshold  # a NaN stays in
    left_out |= share.sum(axis=2, keepdims=True, dtype=np.float64) <= min_paired
    left_out |= share.sum(axis=1, keepdims=True, dtype=np.float64) <= min_paired
    gain = np.where(left_out, -np.inf, share - dtype.type(threshold))
    paths = traceback(gain, gap_open=0.0, gap_extend=0.0, mode="global", lengths=lengths)
    assert isinstance(paths, list)  # a batch in, a list out
    alignments = [
        Alignment(float(share[(b, *path.pairs.T)].sum(dtype=np.float64)), path.pairs)
        if path.score >= 0
        else path
        for b, path in enumerate(paths)
    ]
    return alignments[0] if single else alignments


def soft_dtw(cost: Any, *, temperature: Any, lengths: Any, bandwidth: Any) -> Any:
    """See `fastsw.soft_dtw`."""
    cost, namespace, _ = plain("cost", cost)
    batch, single = _validation.as_batch(KIND, "cost", cost)
    found = (
        _backend()
        .soft_dtw(
            batch,
            _validation.build_temperature(KIND, temperature, batch),
            _validation.build_lengths(KIND, lengths, batch, single),
            _validation.as_bandwidth(bandwidth),
            with_gradients=False,
        )
        .score.astype(np.float64 if batch.dtype.itemsize == 8 else np.float32)
    )
    value = found[0] if single else found
    return value if namespace is None else namespace.from_dlpack(np.asarray(value, order="C"))


def sample(
    similarity: Any, *, size: int, seed: int, **options: Any
) -> list[list[Alignment]] | list[Alignment]:
    """See `fastsw.sample`."""
    asked = call(similarity, **options)
    found = _backend().samples(asked.inputs, size=size, seed=seed)
    alignments = [
        [Alignment(float(value), pairs) for value, pairs in zip(*drawn, strict=True)]
        for drawn in found
    ]
    return alignments[0] if asked.problem.single else alignments
