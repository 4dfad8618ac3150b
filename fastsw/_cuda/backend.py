"""Entry points of the CUDA backend: the operators of alignment on CUDA tensors.

A call is prepared by `inputs`, laid out in memory by `layouts`, and answered by one kernel, or by
one more where only the device knows whether the temperature is 0. Nothing is read back.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import torch

from fastsw._alignment import Alignment
from fastsw._cuda import layouts
from fastsw._cuda.inputs import Inputs, arguments_of, compute_dtype, matrices, prepare
from fastsw._cuda.kernels import intra_pair, viterbi
from fastsw._cuda.runtime.compile import Kernel, blocks_of
from fastsw._cuda.runtime.memory import memory_of
from fastsw._types import GRADIENT, LOCAL, MODES, SCORE, TANGENT, Derivatives


class Paths(NamedTuple):
    """One optimal path a pair."""

    score: Any  # [B], float64
    pairs: Any  # [B, K, 2], int64, the last counts[b] are set
    counts: Any  # [B], int64


def score(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    """``fastsw::score``."""
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = prepare(similarity, penalties, temperature, lengths, mode)
        return run(inputs, memory, SCORE).score


def align(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode, slope):
    """``fastsw::align``; the slope in T costs nothing here, so it is always refined."""
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = prepare(similarity, penalties, temperature, lengths, mode)
        found = run(inputs, memory, GRADIENT)
        return found.score, *_in_dtypes(found, similarity, penalties, temperature)


def align_tangent(
    similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode, slope, *tangents
):
    """``fastsw::align_tangent``; a direction in T is traded for one in S and the penalties.

    The score is homogeneous of degree 1 in all of them, so its Hessian annihilates their vector.
    """
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = prepare(similarity, penalties, temperature, lengths, mode)
        of_similarity, *of_penalties, of_temperature = tangents
        warmth = inputs.temperature
        if isinstance(warmth, float):
            warmth = warmth or 1.0
        else:
            warmth = torch.where(warmth == 0, 1.0, warmth)
        shrink = (of_temperature.to(torch.float64) / warmth)[:, None, None]
        finite = inputs.similarity.masked_fill(~inputs.similarity.isfinite(), 0)
        direction = Derivatives(
            None,
            matrices(of_similarity) - shrink.to(finite.dtype) * finite,
            tuple(
                (d.to(torch.float64) - shrink * p).contiguous()
                for d, p in zip(of_penalties, inputs.penalties, strict=True)
            ),
            None,
        )
        found = run(inputs, memory, TANGENT, direction)
        return _in_dtypes(found, similarity, penalties, temperature)


def traceback(similarity, open_x, extend_x, open_y, extend_y, temperature, lengths, mode):
    """Give one best path a pair, found on the device; NaN scores and no path where S has NaN."""
    penalties = open_x, extend_x, open_y, extend_y
    memory = memory_of(similarity.device)
    with memory.current():
        inputs = prepare(similarity, penalties, temperature, lengths, mode)
        cold = inputs._replace(temperature=0.0)
        out = _outputs(cold, memory, GRADIENT)
        found = _best_paths(_Job(cold, memory, GRADIENT, None, out))
        scores, pairs, counts = (a.cpu().numpy() for a in found)
    return [
        Alignment(float(scores[b]), pairs[b, pairs.shape[1] - counts[b] :].copy())
        for b in range(len(scores))
    ]


def _in_dtypes(found, similarity, penalties, temperature):
    """Answers in the dtypes that derivatives in these arguments have."""
    return (
        found.similarity.to(compute_dtype(similarity.dtype)),
        *(g.to(compute_dtype(p.dtype)) for g, p in zip(found.penalties, penalties, strict=True)),
        found.temperature.to(compute_dtype(temperature.dtype)),
    )


class _Job(NamedTuple):
    """What the kernels of one call share."""

    inputs: Inputs
    memory: Any
    want: int
    direction: Derivatives[Any] | None
    out: Derivatives[Any]  # float64, but for the score and the gradient in S, of the input's dtype


def run(
    inputs: Inputs, memory, want: int, direction: Derivatives[Any] | None = None
) -> Derivatives[Any]:
    """Give scores, with gradients or with tangents along a direction without temperature."""
    temperature = inputs.temperature
    known = isinstance(temperature, float)
    out = _outputs(inputs, memory, want)
    if inputs.similarity.shape[0] == 0:
        return out
    job = _Job(inputs, memory, want, direction, out)
    if want != TANGENT and not (known and temperature > 0):
        _best_paths(job)
    if not known or temperature > 0:
        _soft(job)
    return out


def _outputs(inputs, memory, want) -> Derivatives[Any]:
    """Arrays for the answers, which kernels write; tangents at temperature 0 are zero."""
    shape, given = inputs.similarity.shape, memory.dtype(inputs.similarity)
    pairs, temperature = shape[0], inputs.temperature
    score = memory.empty((pairs,), given)
    if want == SCORE:
        return Derivatives(score, None, (None,) * 4, None)
    allocate = memory.empty
    if want == TANGENT and not (isinstance(temperature, float) and temperature > 0):
        allocate, score = memory.zeros, memory.zeros((pairs,), given)
    return Derivatives(
        score,
        allocate(shape, given),
        tuple(allocate(_own_shape(pairs, p), np.float64) for p in inputs.penalties),
        allocate((pairs,), np.float64),
    )


def _own_shape(pairs: int, penalty) -> tuple[int, int, int]:
    """Shape of a penalty's gradient, which each pair has of its own."""
    return (pairs, 1, 1) if isinstance(penalty, float) else (pairs, *penalty.shape[1:])


def _is_one_a_pair(penalty) -> bool:
    """Whether a penalty is the same for all cells of a pair."""
    return isinstance(penalty, float) or tuple(penalty.shape[1:]) == (1, 1)


def _gradients(job, layout) -> tuple:
    """Where gradients go: of T, S and four penalties."""
    if job.want == SCORE:
        return layout.unread
    return job.out.temperature, job.out.similarity, *job.out.penalties


@functools.cache
def soft_kernel(bits: int, *, general: bool, with_tangents: bool) -> Kernel:
    """The launchable kernel of one variant of the soft alignment."""
    name = "tangent" if with_tangents else "align"
    variant = f"{name}_{bits}_{'general' if general else 'uniform'}"
    function = intra_pair.align_kernel(bits, general=general, with_tangents=with_tangents)
    # Registers a thread: 168 with linear space, 128 without, into which the passes fit.
    resident = 2 if bits == 64 else 4 if general else 3
    return Kernel(function, variant, intra_pair.warps(bits), resident)


def _soft(job) -> None:
    """Launch the soft alignment."""
    similarity, mode = job.inputs.similarity, MODES[job.inputs.mode]
    memory, want, out = job.memory, job.want, job.out
    pairs, rows, columns = shape = tuple(similarity.shape)
    given = memory.dtype(similarity)
    single = want != TANGENT and given == np.float32
    bits = 32 if single else 64
    first = 1 if mode == LOCAL else 0
    with_linear = single and mode == LOCAL and all(map(_is_one_a_pair, job.inputs.penalties))
    layout = layouts.soft(shape, given, first, want, bits, with_linear)
    asked = arguments_of(job.inputs, layout.blank)
    together = columns % 4 == 0 and memory.begins_at_multiple(similarity, 16)
    directions = similarity, *[layout.blank] * 4
    if want == TANGENT:
        directions = job.direction.similarity, *job.direction.penalties
    kernel = soft_kernel(bits, general=not single or asked.general, with_tangents=want == TANGENT)
    items = pairs * layouts.strips_of(rows, first) * (1 if want == SCORE else 2)
    kernel.launch(
        memory,
        blocks_of(memory, items, kernel.warps),
        (
            similarity,
            *asked.values,
            pairs,
            rows,
            columns,
            mode,
            want,
            int(with_linear),
            int(together),
            *directions,
            *layout.parts,
            out.score,
            *_gradients(job, layout),
        ),
        memory.allocated(layout.workspace),
    )


@functools.cache
def viterbi_kernel() -> Kernel:
    """The launchable kernel of temperature 0."""
    return Kernel(viterbi.viterbi_kernel(), "viterbi", viterbi.WARPS)


def _best_paths(job) -> Paths:
    """Launch the kernel of temperature 0."""
    similarity, memory = job.inputs.similarity, job.memory
    pairs, rows, columns = shape = tuple(similarity.shape)
    found = Paths(
        memory.empty((pairs,), np.float64),
        memory.empty((pairs, min(rows, columns), 2), np.int64),
        memory.empty((pairs,), np.int64),
    )
    if pairs == 0:
        return found
    layout = layouts.viterbi(shape, memory.dtype(similarity), job.want)
    viterbi_kernel().launch(
        memory,
        blocks_of(memory, pairs, viterbi.WARPS),
        (
            similarity,
            *arguments_of(job.inputs, layout.blank).values,
            pairs,
            rows,
            columns,
            MODES[job.inputs.mode],
            job.want,
            *layout.parts,
            job.out.score,
            *_gradients(job, layout),
            *found,
        ),
        memory.allocated(layout.workspace),
    )
    return found
