"""The public function for embeddings: what it takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from fastsw._embeddings import similarity as similarities
from fastsw._frontends.kinds import is_torch
from fastsw._types import Mode

Output = Literal["score", "gradients", "matches", "posterior"]


def align_embeddings(
    x: Any,
    y: Any,
    *,
    kind: similarities.SimilarityKind | Callable[[Any, Any], Any] = "dot",
    scale: Any = 1.0,
    offset: Any = 0.0,
    gap_open: Any,
    gap_extend: Any,
    temperature: Any = 1.0,
    mode: Mode = "local",
    lengths: Any = None,
    outputs: Output | tuple[Output, ...] = "score",
    threshold: float = 0.01,
    strip_rows: int | None = None,
) -> Any:
    """Align embeddings without ever holding their similarity matrix.

    Parameters
    ----------
    x : (B, N, D) or (N, D) array
        Embeddings that stand for rows, one sequence or a batch; NumPy arrays or torch tensors on
        the CPU; float16, bfloat16, float32 or float64. Half precision computes in float32.
    y : (B, M, D) or (M, D) array
        Those that stand for columns, of the kind and dtype of `x`.
    kind : {"dot", "cosine", "neg_sqeuclidean", "inverse_sqeuclidean"}, or callable
        What makes a similarity of two embeddings: the product <x, y>; that over both lengths, 0
        where one of them is 0; -||x - y||^2; 1 / (1 + ||x - y||^2). For tensors also a function
        from a strip (R, D) of the rows and all (M, D) columns of a pair to their (R, M)
        similarities, which must depend on nothing else that learns.
    scale, offset : float or array ()
        The similarity is scale * kind(x, y) + offset. Local alignments need similarities below 0
        of what does not belong together.
    gap_open, gap_extend : float or array, or a tuple (for columns, for rows)
        As in `fastsw.score`, but for penalties by cell, which would be as large as the matrix.
    temperature : float or array ()
        T > 0.
    mode, lengths
        As in `fastsw.score`.
    outputs : {"score", "gradients", "matches", "posterior"}, or a tuple of them
        What is wanted. "gradients" are for NumPy arrays; of tensors, the score is differentiable.
    threshold : float
        From which posterior on "posterior" holds one, in (0, 1].
    strip_rows : int, optional
        How many similarities of each column are held at a time, at least 1; rounded to what the
        kernels compute together. Default: some 1.2 times the square root of N, and dense batches
        where pairs are small.

    Returns
    -------
    (B,) array, or () for one pair
        "score": as `fastsw.score` of the similarities, to the rounding of their matrix products.
    EmbeddingGradients
        "gradients": those of the summed score.
    Matches
        "matches": of every row.
    list of SparsePosterior, or SparsePosterior for one pair
        "posterior".
    tuple
        Of these, in the order of `outputs` where that is a tuple.

    Raises
    ------
    TypeError
        If an argument is not of a fitting type or dtype.
    ValueError
        If a shape, an option, a length, a penalty or the temperature is out of its range.
    NotImplementedError
        If `x` is on a GPU, or a second derivative is asked for.

    Notes
    -----
    The rows are taken in strips: the similarities of a strip are a matrix product, the forward pass
    goes over them and leaves one boundary row, and the backward pass, from the last strip to the
    first, makes each strip's similarities once more. Beside what goes in and comes out that takes
    memory for R M similarities and N / R boundary rows of M, with R rows a strip; N M numbers are
    never held. Before that, all similarities are made once to learn their range, by which the
    kernel is chosen.

    A pair whose range linear space cannot hold (docs/range.md), as at temperatures a millionth of
    its similarities, is aligned as a dense matrix.

    Tensors: the gradient is computed with the score, where one is asked for, so that a backward
    pass costs a multiplication. First derivatives only.

    Examples
    --------
    >>> import numpy as np, fastsw
    >>> x = np.eye(6)[:4]
    >>> y = np.eye(6)[[5, 1, 2, 3]]
    >>> options = {"scale": 4.0, "offset": -2.0, "gap_open": 2.0, "gap_extend": 1.0}
    >>> round(float(fastsw.align_embeddings(x, y, **options)), 3)
    6.404
    >>> found = fastsw.align_embeddings(x, y, outputs="matches", **options)
    >>> found.mass.round(2).tolist()
    [0.11, 0.88, 0.97, 0.87]
    """
    options = {
        "kind": kind,
        "scale": scale,
        "offset": offset,
        "gap_open": gap_open,
        "gap_extend": gap_extend,
        "temperature": temperature,
        "mode": mode,
        "lengths": lengths,
    }
    wanted = _wanted(outputs)
    if not isinstance(threshold, int | float) or not 0 < threshold <= 1:
        raise ValueError(f"`threshold` must be a number in (0, 1], got {threshold!r}")
    if strip_rows is not None:
        if isinstance(strip_rows, bool) or not hasattr(strip_rows, "__index__"):
            raise TypeError(f"`strip_rows` must be None or an integer, got {strip_rows!r}")
        if strip_rows < 1:
            raise ValueError(f"`strip_rows` must be at least 1, got {strip_rows}")
    how = {"threshold": float(threshold), "strip_rows": strip_rows, **options}
    if is_torch(x):
        from fastsw._embeddings import torch_tensors

        found = torch_tensors.align(x, y, wanted, **how)
    else:
        from fastsw._embeddings import numpy_arrays

        found = numpy_arrays.align(x, y, wanted, **how)
    answers = [found[name] for name in wanted]
    return tuple(answers) if isinstance(outputs, tuple) else answers[0]


def _wanted(outputs: Any) -> Sequence[str]:
    """The names of what is wanted."""
    names = outputs if isinstance(outputs, tuple) else (outputs,)
    known = "score", "gradients", "matches", "posterior"
    for name in names:
        if name not in known:
            raise ValueError(
                f"`outputs` must be of {', '.join(map(repr, known))}, or a tuple of them, got "
                f"{name!r}"
            )
    if not names:
        raise ValueError("`outputs` must name at least one output, got ()")
    return names
