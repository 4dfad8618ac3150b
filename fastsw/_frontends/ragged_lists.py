"""The public functions on lists of matrices of different sizes.

The matrices are padded to a batch whose lengths are their shapes; answers by cell are cut back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastsw._frontends import numpy_arrays
from fastsw._frontends.kinds import is_torch
from fastsw._types import Gradients

_GAP_FORMS = (
    "a scalar, an array of shape (B,) or a list of B arrays (N, M), or a tuple (for columns, for "
    "rows) of scalars, arrays of shape (B,) or lists of B arrays (M,) resp. (N,), or (N, M), where "
    "`similarity` is a list of matrices"
)


def _form(name: str, array: Any) -> str:
    """What an array must have in common with the others of its list."""
    if is_torch(array):
        return f"{array.dtype} on {array.device}"
    view, namespace, dtype = numpy_arrays.plain(name, array)
    return f"{(namespace or np).__name__}.{dtype or view.dtype}"


def _check_alike(name: str, arrays: Sequence[Any]) -> None:
    """Refuse arrays of different kinds, dtypes or devices."""
    forms = [_form(f"{name}[{k}]", array) for k, array in enumerate(arrays)]
    for k, form in enumerate(forms):
        if form != forms[0]:
            raise TypeError(f"`{name}[{k}]` must be like `{name}[0]`, {forms[0]}, got {form}")


def _pad(name: str, arrays: Sequence[Any]) -> Any:
    """A batch of arrays of the same rank; zeros fill what the smaller ones lack."""
    most = [max(sizes) for sizes in zip(*(a.shape for a in arrays), strict=True)]
    if is_torch(arrays[0]):
        import torch

        padded = []
        for array in arrays:
            lacks = [(0, top - size) for size, top in zip(array.shape, most, strict=True)]
            padded.append(torch.nn.functional.pad(array, [n for two in lacks[::-1] for n in two]))
        return torch.stack(padded)
    views, spaces, dtypes = zip(*(numpy_arrays.plain(name, array) for array in arrays), strict=True)
    batch = np.zeros((len(views), *most), views[0].dtype)
    for b, view in enumerate(views):
        batch[b][tuple(map(slice, view.shape))] = view
    return batch if spaces[0] is None else spaces[0].astype(spaces[0].from_dlpack(batch), dtypes[0])


def _cut(batch: Any, shapes: Any) -> Any:
    """The arrays of a batch without what they were padded with; a batch of none as it is."""
    if isinstance(batch, tuple):
        return tuple(_cut(*side) for side in zip(batch, shapes, strict=True))
    if shapes is None:
        return batch
    return [batch[(b, *map(slice, shape))] for b, shape in enumerate(shapes)]


def _batched(name: str, matrices: Sequence[Any]) -> tuple[Any, list[tuple[int, ...]]]:
    """Matrices as a batch, and their shapes."""
    if not matrices:
        raise ValueError(
            f"`{name}` must hold at least one matrix, got an empty {type(matrices).__name__}"
        )
    _check_alike(name, matrices)
    for k, matrix in enumerate(matrices):
        if len(matrix.shape) != 2:
            raise ValueError(
                f"`{name}[{k}]` must have shape (N, M) in a list of matrices, got "
                f"{tuple(matrix.shape)}"
            )
    return _pad(name, matrices), [tuple(matrix.shape) for matrix in matrices]


def _gap(name: str, value: Any, shapes: Any, axis: int | None = None) -> tuple[Any, Any]:
    """A penalty for the batch, and the shapes that its gradient is cut to, if any.

    A vector runs along `axis` of a matrix.
    """
    if isinstance(value, tuple) and len(value) == 2:
        sides = [_gap(f"{name}[{k}]", value[k], shapes, 1 - k) for k in range(2)]
        return tuple(side[0] for side in sides), tuple(side[1] for side in sides)
    if isinstance(value, (int, float)):  # Dynamo asks numbers for no attributes
        return value, None
    arrays = isinstance(value, list) and any(
        isinstance(v, list) or getattr(v, "ndim", 0) > 0 for v in value
    )
    if not arrays:
        if len(getattr(value, "shape", ())) > 1:
            raise ValueError(f"`{name}` must be {_GAP_FORMS}; got shape {tuple(value.shape)}")
        return value, None
    _check_alike(name, value)
    if len(value) != len(shapes):
        raise ValueError(
            f"`{name}` must hold an array for each of the {len(shapes)} matrices, got {len(value)}"
        )
    found = [tuple(array.shape) for array in value]
    vectors = axis is not None and len(found[0]) == 1
    for k, shape in enumerate(shapes):
        if found[k] != ((shape[axis],) if vectors else shape):
            raise ValueError(
                f"`{name}` must be {_GAP_FORMS}; got shape {found[k]} for matrix {k} of shape "
                f"{shape}"
            )
    return _pad(name, value), found


def _through_batch(
    name: str, argument: str = "similarity", *, cut: bool = False
) -> Callable[..., Any]:
    """One public function."""

    def call(matrices: Sequence[Any], *, lengths: Any, **options: Any) -> Any:
        if lengths is not None:
            raise ValueError(
                f"`lengths` must be absent where `{argument}` is a list of matrices, whose shapes "
                f"they are, got {lengths!r}"
            )
        batch, shapes = _batched(argument, matrices)
        sizes: Any = np.array(shapes, np.int64)
        functions: Any = numpy_arrays
        if is_torch(batch):
            import torch

            from fastsw._frontends import torch_tensors

            functions, sizes = torch_tensors, torch.tensor(shapes, device="cpu")
        cuts: list[Any] = []
        for gap in ("gap_open", "gap_extend"):
            if gap in options:
                options[gap], shape = _gap(gap, options[gap], shapes)
                cuts.append(shape)
        answer = getattr(functions, name)(batch, lengths=sizes, **options)
        if name == "value_and_grad":
            value, gradients = answer
            of_open, of_extend = map(_cut, gradients[1:3], cuts)
            matrices = _cut(gradients.similarity, shapes)
            return value, Gradients(matrices, of_open, of_extend, gradients.temperature)
        return _cut(answer, shapes) if cut else answer

    call.__doc__ = f"See `fastsw.{name}`."
    return call


score = _through_batch("score")
posterior = _through_batch("posterior", cut=True)
value_and_grad = _through_batch("value_and_grad")
entropy = _through_batch("entropy")
traceback = _through_batch("traceback")
hits = _through_batch("hits")
sample = _through_batch("sample")
soft_dtw = _through_batch("soft_dtw", "cost")
mea = _through_batch("mea", "posterior")
