"""The public functions: what they take and give, and one call each.

Equations are in `fastsw._recurrence`; the forms of the penalties in `fastsw._validation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, TypeVar, Unpack, overload

import numpy as np

from fastsw._alignment import Alignment
from fastsw._frontends import numpy_arrays, ragged_lists
from fastsw._frontends.kinds import is_torch, on_cuda
from fastsw._types import Gradients, Mode

if TYPE_CHECKING:
    from torch import Tensor

#: NumPy arrays or torch tensors: what goes in comes out. A scalar of NumPy passes for an array.
Array = TypeVar("Array", np.ndarray, "Tensor")


class _HardOptions(TypedDict):
    """Options of the functions at temperature 0."""

    gap_open: Any
    gap_extend: Any
    mode: NotRequired[Mode]
    lengths: NotRequired[Any]


class _Options(_HardOptions):
    """Options of the others."""

    temperature: NotRequired[Any]


class _WarpingOptions(TypedDict, total=False):
    """Options of soft-DTW."""

    temperature: Any
    lengths: Any
    bandwidth: int | None


def _on(similarity: Any) -> Any:
    """The module that implements the functions for this kind of array."""
    if type(similarity) is np.ndarray:
        return numpy_arrays
    if isinstance(similarity, list | tuple):
        first = similarity[0] if similarity else None
        if not is_torch(first) and on_cuda(first):
            return _on(first)
        return ragged_lists
    if is_torch(similarity):
        from fastsw._frontends import torch_tensors

        return torch_tensors
    if on_cuda(similarity):
        from fastsw._frontends import cuda_arrays

        return cuda_arrays
    return numpy_arrays


@overload
def score(similarity: Array | Sequence[Array], **options: Unpack[_Options]) -> Array: ...
@overload
def score(similarity: Any, **options: Unpack[_Options]) -> Any: ...
def score(
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    lengths: Any = None,
) -> Any:
    """Score the soft alignment of each pair of sequences.

    Parameters
    ----------
    similarity : (B, N, M) or (N, M) array, or a list of (N, M) arrays of different sizes
        Similarity of row i of one sequence and column j of the other; NumPy, torch or another
        DLPack exporter; float16, bfloat16, float32 or float64. Integers are converted to the
        library's default floating dtype, NumPy's float64 (exact up to 2**53), torch's float32
        unless set otherwise (2**24). -inf forbids a pair; NaN or +inf within the lengths makes that
        pair's score and gradients NaN. A list is padded to a batch as large as its largest matrices
        and needs no `lengths`.
    gap_open, gap_extend : float or array, or a tuple (for columns, for rows)
        Cost of the first and of each further skipped row or column of a gap, any finite value;
        where all are negative, as gap scores are elsewhere, a `fastsw.GapSignWarning` says so.
        One value for both directions: scalar, (B,), (N, M) or (B, N, M). A tuple: scalars, (B,),
        (B, M) for columns and (B, N) for rows, or (B, N, M). Without the batch axis where
        `similarity` has none. Where `similarity` is a list, lists of arrays take the place of
        arrays by row, column or cell. A penalty is read at the cell that the gap enters.
    temperature : float or 0-d array
        T >= 0. 0 gives the hard score.
    mode : {"local", "global", "fitting"}
        "local" (Smith-Waterman): starts and ends at any pair. "global" (Needleman-Wunsch): leading
        and trailing gaps are charged. "fitting": rows are charged, leading and trailing columns
        are free.
    lengths : (B, 2) int array, or a tuple of two (B,) int arrays
        Valid rows and columns of each pair; cells beyond are never read. Default: all.

    Returns
    -------
    (B,) array, or () for one pair
        T log sum exp(score / T) over all alignments; float64 for float64 input, else float32.
        -inf where no alignment exists. The kind and device of `similarity`. Right to 1e-13
        (float32: 2e-6) of T or, if that is larger, of the mean sum of the magnitudes of an
        alignment's similarities and costs, to which sums are rounded where these cancel.

    Raises
    ------
    TypeError
        If an argument is not an array or number of a fitting dtype.
    ValueError
        If a shape, mode, length, penalty or temperature is out of its range.

    Warns
    -----
    GapSignWarning
        If all penalties are negative, once a call; not for penalties on a GPU, within
        `torch.compile` or under transformations of torch.func.

    Notes
    -----
    Torch tensors: differentiable twice in similarity, gap_open, gap_extend and temperature, in
    reverse mode, forward mode (dual tensors, `torch.func.jvp`, `jacfwd`) and any mixture of both,
    and mapped by `torch.vmap` over any of them and over lengths. A third derivative raises
    NotImplementedError. `torch.compile` takes calls and their backward pass; within it, forward
    mode and `torch.func.grad` raise.

    References
    ----------
    Smith and Waterman (1981); Gotoh (1982), affine gaps; Oei et al., arXiv 2409.04607, the soft
    recurrence with states D, Ix, Iy.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> s = np.array([[2.0, -1.0], [-1.0, 3.0]])
    >>> round(float(fastsw.score(s, gap_open=1.0, gap_extend=0.5, temperature=0.0)), 6)
    5.0
    """
    return _on(similarity).score(
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )


@overload
def posterior(similarity: Array, **options: Unpack[_Options]) -> Array: ...
@overload
def posterior(similarity: Sequence[Array], **options: Unpack[_Options]) -> list[Array]: ...
@overload
def posterior(similarity: Any, **options: Unpack[_Options]) -> Any: ...
def posterior(
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    lengths: Any = None,
) -> Any:
    """Give the probability that each row is paired with each column.

    Parameters
    ----------
    similarity, gap_open, gap_extend, temperature, mode, lengths
        As in `fastsw.score`. At temperature 0 the answer is the indicator of one best path.

    Returns
    -------
    (B, N, M) or (N, M) array, or a list of (N, M) arrays for a list
        d score / d similarity, in [0, 1]; rows and columns sum to at most 1. 0 outside of
        `lengths`. The dtype, kind and device of `similarity`. Right to 1e-11 (float32: 2e-5), near
        ties to 1e-32 of the mean sum of magnitudes of an alignment's terms over T.

    Raises
    ------
    TypeError, ValueError
        As `fastsw.score`.

    Notes
    -----
    Torch tensors: differentiable once in all floating arguments, in reverse and in forward mode;
    a second derivative, the third of the score, raises NotImplementedError.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> s = np.array([[2.0, -1.0], [-1.0, 3.0]])
    >>> fastsw.posterior(s, gap_open=1.0, gap_extend=0.5, temperature=0.1).round(3)
    array([[1., 0.],
           [0., 1.]])
    """
    return _on(similarity).posterior(
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )


@overload
def value_and_grad(
    similarity: Array, **options: Unpack[_Options]
) -> tuple[Array, Gradients[Array, Array]]: ...
@overload
def value_and_grad(
    similarity: Sequence[Array], **options: Unpack[_Options]
) -> tuple[Array, Gradients[list[Array], Array]]: ...
@overload
def value_and_grad(
    similarity: Any, **options: Unpack[_Options]
) -> tuple[Any, Gradients[Any, Any]]: ...
def value_and_grad(
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    lengths: Any = None,
) -> tuple[Any, Gradients[Any, Any]]:
    """Score each pair and differentiate the summed score in every argument.

    Parameters
    ----------
    similarity, gap_open, gap_extend, temperature, mode, lengths
        As in `fastsw.score`.

    Returns
    -------
    score : (B,) or () array
        As `fastsw.score` gives it.
    gradients : Gradients
        Named tuple (similarity, gap_open, gap_extend, temperature), each of the shape of its
        argument; a tuple (for columns, for rows) or a list of arrays where the argument was one.

    Raises
    ------
    TypeError, ValueError
        As `fastsw.score`.

    Notes
    -----
    With posterior P and expected numbers of paid penalties C, d score / d T is the entropy of the
    alignment distribution, (score - <P, S> + <C, penalties>) / T; at T = 0 it is reported as 0.

    Torch tensors: the score is differentiable twice and the gradients once, as those of
    `fastsw.score` and `fastsw.posterior`, in reverse and in forward mode.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> s = np.zeros((1, 3))
    >>> value, gradients = fastsw.value_and_grad(s, gap_open=1.0, gap_extend=0.5)
    >>> print(round(float(gradients.temperature), 6), gradients.similarity.round(4))
    1.098612 [[0.3333 0.3333 0.3333]]
    """
    return _on(similarity).value_and_grad(
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )


@overload
def entropy(similarity: Array | Sequence[Array], **options: Unpack[_Options]) -> Array: ...
@overload
def entropy(similarity: Any, **options: Unpack[_Options]) -> Any: ...
def entropy(
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    lengths: Any = None,
) -> Any:
    """Measure how undecided the alignment of each pair is.

    Parameters
    ----------
    similarity, gap_open, gap_extend, temperature, mode, lengths
        As in `fastsw.score`.

    Returns
    -------
    (B,) or () array
        Entropy of the distribution over alignments, in nats: d score / d temperature. 0 at
        temperature 0 and for a pair without alignments. Right to 1e-8 (float32: 2e-4) of 1 or, if
        that is larger, of itself; on CUDA devices to 1e-14 (2e-6) of the mean sum of the magnitudes
        of an alignment's terms over T, since it is a difference of such sums there.

    Raises
    ------
    TypeError, ValueError
        As `fastsw.score`.

    Notes
    -----
    Torch tensors: differentiable once in all floating arguments, in reverse and in forward mode.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> round(float(fastsw.entropy(np.zeros((1, 2)), gap_open=1.0, gap_extend=0.5)), 6)
    0.693147
    """
    return _on(similarity).entropy(
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
    )


def traceback(
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    mode: Mode = "local",
    lengths: Any = None,
) -> list[Alignment] | Alignment:
    """Find one best alignment of each pair (temperature 0).

    Parameters
    ----------
    similarity, gap_open, gap_extend, mode, lengths
        As in `fastsw.score`; tensors are not differentiated.

    Returns
    -------
    list of Alignment, or one Alignment for one pair
        Ties: the end that comes first in row-major order; walking back, a start before a pair,
        a pair before skipped columns, and these before skipped rows. Without any alignment the
        score is -inf (NaN for a pair with NaN or +inf) and there are no pairs.

    Raises
    ------
    TypeError, ValueError
        As `fastsw.score`.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> print(fastsw.traceback(np.eye(3) - 0.5, gap_open=1.0, gap_extend=0.5))
    Alignment(score=1.5, 3 pairs, rows 0:3, columns 0:3)
      rows 0:3 = columns 0:3
    """
    return _on(similarity).traceback(
        similarity, gap_open=gap_open, gap_extend=gap_extend, mode=mode, lengths=lengths
    )


def hits(
    similarity: Any,
    k: int,
    *,
    gap_open: Any,
    gap_extend: Any,
    min_score: float = 0.0,
    margin: int = 0,
    lengths: Any = None,
) -> list[list[Alignment]] | list[Alignment]:
    """Find the k best local alignments of each pair that have no cell in common (temperature 0).

    For passages that are repeated: one part of a recording in several places of another.

    Parameters
    ----------
    similarity, gap_open, gap_extend, lengths
        As in `fastsw.score`; tensors are not differentiated.
    k : int
        How many are found at most, at least 1.
    min_score : float
        Only alignments that score more are found.
    margin : int
        How near a later alignment may not come to an earlier one: it pairs no row i and column j of
        which an earlier one has (i, j') with abs(j - j') <= margin, or (i', j) with
        abs(i - i') <= margin. 0 forbids the earlier pairs alone, and lets paths run beside them;
        where similarities change slowly, choose what is still the same passage.

    Returns
    -------
    list of lists of Alignment, or a list of Alignment for one pair
        The best first. A pair with NaN or +inf has one alignment, of score NaN and without pairs.

    Raises
    ------
    TypeError, ValueError
        As `fastsw.score`, and if `k`, `min_score` or `margin` is out of its range.

    Notes
    -----
    The first is that of `fastsw.traceback`. Its cells are then forbidden, as their similarities
    were -inf, and the next is the best of what is left [1]_. Every hit costs as much as the first.

    References
    ----------
    .. [1] Waterman and Eggert, "A new algorithm for best subsequence alignments with application to
       tRNA-rRNA comparisons", Journal of Molecular Biology, 1987.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> passage, long = np.eye(3), np.eye(3)[[0, 1, 2, 0, 0, 1, 2]]
    >>> for hit in fastsw.hits(passage @ long.T - 0.5, 2, gap_open=1.0, gap_extend=0.5):
    ...     print(hit)
    Alignment(score=1.5, 3 pairs, rows 0:3, columns 0:3)
      rows 0:3 = columns 0:3
    Alignment(score=1.5, 3 pairs, rows 0:3, columns 4:7)
      rows 0:3 = columns 4:7
    """
    for name, count, least in (("k", k, 1), ("margin", margin, 0)):
        if isinstance(count, bool) or not hasattr(count, "__index__"):
            raise TypeError(f"`{name}` must be an integer, got {count!r}")
        if count < least:
            raise ValueError(f"`{name}` must be at least {least}, got {count}")
    if isinstance(min_score, bool) or not isinstance(min_score, Real):
        raise TypeError(f"`min_score` must be a number, got {min_score!r}")
    if np.isnan(min_score):
        raise ValueError(f"`min_score` must not be NaN, got {min_score}")
    return _on(similarity).hits(
        similarity,
        k=int(k),
        gap_open=gap_open,
        gap_extend=gap_extend,
        min_score=float(min_score),
        margin=int(margin),
        lengths=lengths,
    )


def mea(
    posterior: Any, *, threshold: float = 0.0, min_paired: float = 0.0, lengths: Any = None
) -> list[Alignment] | Alignment:
    """Find the alignment of the maximum expected accuracy under a posterior.

    Parameters
    ----------
    posterior : (B, N, M) or (N, M) array, or a list of (N, M) arrays of different sizes
        Probability that row i and column j are paired, as `fastsw.posterior` gives it; kinds and
        dtypes as there. Tensors are not differentiated; the work is done on the CPU.
    threshold : float
        In [0, 1]. Only pairs that are more probable are matched, and each of them counts by how
        much it is: the higher the threshold, the fewer and surer the pairs. From 0.5 on it matches
        just the pairs above it, which can never cross.
    min_paired : float
        In [0, 1]. Only rows and columns whose probabilities of all their pairs sum to more are
        matched.
    lengths : (B, 2) int array, or a tuple of two (B,) int arrays
        Valid rows and columns of each pair; cells beyond are never read. Default: all.

    Returns
    -------
    list of Alignment, or one Alignment for one pair
        The pairs (i, j), strictly increasing in i and in j, whose sum of posterior[i, j] -
        threshold is the largest; ties as in `fastsw.traceback`, and no pair that adds nothing. The
        score is the sum of posterior[i, j], the number of pairs expected to be right: NaN where the
        posterior holds one, and 0 for an empty alignment.

    Raises
    ------
    TypeError
        If an argument is not an array or number of a fitting dtype.
    ValueError
        If a shape, length, option or probability is out of its range.

    Notes
    -----
    A best path (`fastsw.traceback`) may pass where many paths score nearly alike and be far from
    most of them; this one is, of all alignments, the closest to those drawn from the distribution.
    threshold 0 maximises the expected number of right pairs [1]_ [2]_; 1 / (g + 1) is the
    g-centroid estimator, in which a right pair weighs g times as much as a wrong one costs [3]_.

    References
    ----------
    .. [1] Holmes and Durbin, "Dynamic programming alignment accuracy", Journal of Computational
       Biology, 1998.
    .. [2] Do, Mahabhashyam, Brudno and Batzoglou, "ProbCons: Probabilistic consistency-based
       multiple sequence alignment", Genome Research, 2005.
    .. [3] Hamada, Kiryu, Sato, Mituyama and Asai, "Prediction of RNA secondary structure using
       generalized centroid estimators", Bioinformatics, 2009.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> posterior = fastsw.posterior(np.eye(3) - 0.5, gap_open=1.0, gap_extend=0.5, temperature=0.2)
    >>> fastsw.mea(posterior)
    Alignment(score=2.82656, 3 pairs, rows 0:3, columns 0:3)
    """
    for name, value in (("threshold", threshold), ("min_paired", min_paired)):
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"`{name}` must be a number, got {value!r}")
        if not 0 <= value <= 1:
            raise ValueError(f"`{name}` must lie between 0 and 1, got {value}")
    return _on(posterior).mea(
        posterior, threshold=float(threshold), min_paired=float(min_paired), lengths=lengths
    )


@overload
def soft_dtw(cost: Array | Sequence[Array], **options: Unpack[_WarpingOptions]) -> Array: ...
@overload
def soft_dtw(cost: Any, **options: Unpack[_WarpingOptions]) -> Any: ...
def soft_dtw(
    cost: Any, *, temperature: Any = 1.0, lengths: Any = None, bandwidth: int | None = None
) -> Any:
    """Measure the soft dynamic time warping discrepancy of each pair of series.

    Parameters
    ----------
    cost : (B, N, M) or (N, M) array, or a list of (N, M) arrays of different sizes
        Cost of matching element i of one series with element j of the other, for example the
        squared distance; kinds, dtypes and lists as in `fastsw.score`. +inf forbids a match; NaN or
        -inf within the lengths makes the answer NaN.
    temperature : float or 0-d array
        T >= 0. 0 gives dynamic time warping.
    lengths : (B, 2) int array, or a tuple of two (B,) int arrays
        Valid rows and columns of each pair; cells beyond are never read. Default: all.
    bandwidth : int, optional
        Only cells with abs(i - j) <= bandwidth are visited (Sakoe-Chiba band). Default: no limit.

    Returns
    -------
    (B,) or () array
        -T log sum exp(-cost(path) / T) over all warping paths, float64 for float64 input, else
        float32; +inf without a path. The kind and device of `cost`.

    Raises
    ------
    TypeError
        If an argument is not an array or number of a fitting dtype.
    ValueError
        If a shape, length or temperature is out of range, or the band is narrower than the
        difference of some pair's lengths.

    Notes
    -----
    Torch tensors: differentiable in cost and temperature, in reverse and in forward mode, twice on
    the CPU and once on CUDA; a further derivative raises NotImplementedError. The gradient in cost
    is the probability that a path visits the cell. At T = 0 it is the indicator of one best path, a
    diagonal step preferred to a step down, and that to a step right.

    References
    ----------
    Cuturi and Blondel, "Soft-DTW: a Differentiable Loss Function for Time-Series", ICML 2017.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> x, y = np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 1.0, 2.0])
    >>> float(fastsw.soft_dtw((x[:, None] - y) ** 2, temperature=0.0))
    0.0
    """
    return _on(cost).soft_dtw(cost, temperature=temperature, lengths=lengths, bandwidth=bandwidth)


def sample(
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    lengths: Any = None,
    size: int,
    seed: int,
) -> list[list[Alignment]] | list[Alignment]:
    """Draw alignments of each pair with probability proportional to exp(score / T).

    Parameters
    ----------
    similarity, gap_open, gap_extend, temperature, mode, lengths
        As in `fastsw.score`; tensors are not differentiated. At temperature 0 every sample is the
        best path.
    size : int
        Number of alignments a pair, at least 0.
    seed : int
        Seed, at least 0; the same seed gives the same alignments.

    Returns
    -------
    list (pairs) of list (samples) of Alignment, or the inner list for one pair

    Raises
    ------
    TypeError, ValueError
        As `fastsw.score`.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> drawn = fastsw.sample(np.eye(2), gap_open=1.0, gap_extend=0.5, size=3, seed=0)
    >>> len(drawn)
    3
    """
    for name, value in (("size", size), ("seed", seed)):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"`{name}` must be an integer, got {value!r}")
        if value < 0:
            raise ValueError(f"`{name}` must be at least 0, got {value}")
    return _on(similarity).sample(
        similarity,
        gap_open=gap_open,
        gap_extend=gap_extend,
        temperature=temperature,
        mode=mode,
        lengths=lengths,
        size=int(size),
        seed=int(seed),
    )
