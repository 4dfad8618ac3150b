"""Validation of user input, once, into a frozen Problem; kernels assume it holds."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any, NamedTuple, Protocol

import numpy as np

from fastsw._types import MODES

FLOATS = ("float16", "bfloat16", "float32", "float64")

GAP_FORMS = (
    "a scalar, or an array of shape (B,), (N, M) or (B, N, M), or a tuple (for columns, for rows) "
    "of scalars or arrays of shape (B,), (B, M) resp. (B, N), or (B, N, M)"
)
SINGLE_GAP_FORMS = (
    "a scalar, or an array of shape (N, M), or a tuple (for columns, for rows) of scalars or "
    "arrays of shape (M,) resp. (N,), or (N, M)"
)


class GapSignWarning(UserWarning):
    """Both penalties are negative, as where gap scores are meant, which are added.

    Examples
    --------
    >>> import warnings, fastsw
    >>> warnings.filterwarnings("ignore", category=fastsw.GapSignWarning)
    """


class Kind(Protocol):
    """What validation needs to know of one kind of array."""

    def is_array(self, value: Any) -> bool:
        """Tell whether the value is an array of this kind."""

    def dtype_name(self, array: Any) -> str:
        """Name of the array's dtype, as NumPy spells it."""

    def floating(self, array: Any) -> Any:
        """Floating array of an array of integers."""

    def negative(self, array: Any) -> bool:
        """Tell whether all values are negative; False where that cannot be read here."""

    def convert(self, name: str, value: Any, like: Any) -> Any:
        """Floating array of the value, on the device of `like`."""

    def integers(self, name: str, value: Any, like: Any) -> Any:
        """int64 array of the value, on the device of `like`."""

    def full_lengths(self, pairs: int, rows: int, columns: int, like: Any) -> Any:
        """(B, 2) lengths of whole matrices, on the device of `like`."""

    def stack(self, first: Any, second: Any) -> Any:
        """(B, 2) array of two (B,) arrays."""


class Problem(NamedTuple):
    """A valid batch of pairs to align."""

    similarity: Any  # [B, N, M]
    penalties: tuple[Any, Any, Any, Any]  # open_x, extend_x, open_y, extend_y; [B|1, N|1, M|1]
    temperature: Any  # ()
    mode: str
    lengths: Any  # [B, 2] int64
    single: bool  # the user gave one (N, M) matrix
    by_direction: tuple[bool, bool]  # gap_open, gap_extend were given as (for columns, for rows)
    shapes: tuple[Any, Any]  # the shapes they were given in

    def unbatched(self, array: Any) -> Any:
        """Drop the batch axis again where the user gave none."""
        return array[0] if self.single else array


def build(
    kind: Kind,
    similarity: Any,
    *,
    gap_open: Any,
    gap_extend: Any,
    temperature: float,
    mode: Any,
    lengths: Any,
) -> Problem:
    """Check everything that shapes and dtypes tell, and bring the input into one form."""
    batch, single = as_batch(kind, "similarity", similarity)
    check_mode(mode)
    open_xy, open_by_direction, open_shape = _gap(kind, "gap_open", gap_open, batch, single)
    extend_xy, extend_by_direction, extend_shape = _gap(
        kind, "gap_extend", gap_extend, batch, single
    )
    if kind.negative(open_xy[0]) and all(map(kind.negative, (open_xy[1], *extend_xy))):
        _warn_of_sign(open_xy, extend_xy)
    return Problem(
        similarity=batch,
        penalties=(open_xy[0], extend_xy[0], open_xy[1], extend_xy[1]),
        temperature=build_temperature(kind, temperature, batch),
        mode=mode,
        lengths=build_lengths(kind, lengths, batch, single),
        single=single,
        by_direction=(open_by_direction, extend_by_direction),
        shapes=(open_shape, extend_shape),
    )


def as_batch(kind: Kind, name: str, matrices: Any) -> tuple[Any, bool]:
    """The matrices as (B, N, M), and whether the user gave one without a batch axis."""
    dtype = kind.dtype_name(matrices)
    if dtype not in FLOATS:
        if not dtype.startswith(("int", "uint")):
            raise TypeError(
                f"`{name}` must have a floating dtype ({', '.join(FLOATS)}) or integers, got "
                f"{dtype}"
            )
        matrices = kind.floating(matrices)
    shape = tuple(matrices.shape)
    if len(shape) not in (2, 3):
        raise ValueError(
            f"`{name}` must have shape (N, M) or (B, N, M), got {len(shape)} axes: {shape}"
        )
    single = len(shape) == 2
    return (matrices.reshape((1, *shape)) if single else matrices), single


def _warn_of_sign(opened: Any, extended: Any) -> None:
    """Tell the caller of the public function that penalties are not gap scores."""
    got = " and ".join(
        f"{low:g}" if low == top else f"{low:g} to {top:g}"
        for low, top in (
            (min(p.min().item() for p in sides), max(p.max().item() for p in sides))
            for sides in (opened, extended)
        )
    )
    level, frame = 1, sys._getframe()
    while frame.f_back and frame.f_globals["__name__"].partition(".")[0] in ("fastsw", "torch"):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        "`gap_open` and `gap_extend` are costs, which are subtracted: negative ones reward gaps, "
        f"got {got}. Gap scores of -11 and -1, as Biopython takes them, are costs of 11 and 1 here",
        GapSignWarning,
        stacklevel=level,
    )


def check_mode(mode: Any) -> None:
    """Refuse an unknown mode."""
    if mode not in tuple(MODES):  # whatever it is, even if it has no hash
        raise ValueError(f"`mode` must be one of {', '.join(map(repr, MODES))}, got {mode!r}")


def _gap(
    kind: Kind, name: str, value: Any, batch: Any, single: bool
) -> tuple[tuple[Any, Any], bool, Any]:
    """Both directions of a penalty as [B|1, N|1, M|1] arrays, and the form it came in."""
    forms = SINGLE_GAP_FORMS if single else GAP_FORMS
    if isinstance(value, tuple):
        if len(value) != 2:
            raise ValueError(f"`{name}` must be {forms}; got a tuple of {len(value)} values")
        columns = kind.convert(f"{name}[0]", value[0], batch)
        rows = kind.convert(f"{name}[1]", value[1], batch)
        shapes = tuple(columns.shape), tuple(rows.shape)
        return (
            (
                _broadcast(f"{name}[0]", columns, batch, single, forms, 2),
                _broadcast(f"{name}[1]", rows, batch, single, forms, 1),
            ),
            True,
            shapes,
        )
    both = kind.convert(name, value, batch)
    filled = _broadcast(name, both, batch, single, forms, None)
    return (filled, filled), False, tuple(both.shape)


def _broadcast(
    name: str, penalty: Any, batch: Any, single: bool, forms: str, axis: int | None
) -> Any:
    """One penalty array as [B|1, N|1, M|1]; `axis` is the axis a vector runs along."""
    shape = tuple(penalty.shape)
    if shape == ():
        return penalty.reshape((1, 1, 1))
    pairs, rows, columns = batch.shape
    vectors = {1: (pairs, rows, 1), 2: (pairs, 1, columns)}
    accepted: dict[tuple[int, ...], tuple[int, ...]] = {
        (pairs, rows, columns): (pairs, rows, columns)
    }
    if single:
        accepted = {(rows, columns): (1, rows, columns)}
        if axis is not None:
            accepted[(vectors[axis][axis],)] = vectors[axis]
    else:
        if axis is None:
            accepted[rows, columns] = (1, rows, columns)
        else:
            accepted[pairs, vectors[axis][axis]] = vectors[axis]
        accepted[(pairs,)] = (pairs, 1, 1)
    if shape not in accepted:
        raise ValueError(
            f"`{name}` must be {forms}, with (B, N, M) = {tuple(batch.shape)}; got shape {shape}"
        )
    return penalty.reshape(accepted[shape])


def build_temperature(kind: Kind, value: Any, batch: Any) -> Any:
    """The temperature as a 0-d array."""
    array = kind.convert("temperature", value, batch)
    if tuple(array.shape) != ():
        raise ValueError(f"`temperature` must be a scalar, got shape {tuple(array.shape)}")
    if not kind.is_array(value):
        check_temperature(value)
    return array


def check_temperature(value: Any) -> None:
    """Refuse a temperature that is negative or not finite."""
    number = float(value)
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"`temperature` must be finite and at least 0, got {number}")


def build_lengths(kind: Kind, lengths: Any, batch: Any, single: bool) -> Any:
    """The lengths as (B, 2) int64; all of the matrix where none are given."""
    pairs, rows, columns = batch.shape
    if lengths is None:
        return kind.full_lengths(pairs, rows, columns, batch)
    if isinstance(lengths, tuple):
        if len(lengths) != 2:
            raise ValueError(
                "`lengths` must be a (B, 2) array or a tuple (rows, columns) of (B,) arrays, got "
                f"a tuple of {len(lengths)}"
            )
        first = kind.integers("lengths[0]", lengths[0], batch)
        second = kind.integers("lengths[1]", lengths[1], batch)
        if single:
            first, second = first.reshape(-1), second.reshape(-1)
        if tuple(first.shape) != (pairs,) or tuple(second.shape) != (pairs,):
            raise ValueError(
                f"`lengths` must be a tuple of two arrays of shape ({pairs},), got shapes "
                f"{tuple(first.shape)} and {tuple(second.shape)}"
            )
        return kind.stack(first, second)
    array = kind.integers("lengths", lengths, batch)
    if single and tuple(array.shape) == (2,):
        array = array.reshape(1, 2)
    if tuple(array.shape) != (pairs, 2):
        raise ValueError(f"`lengths` must have shape ({pairs}, 2), got {tuple(array.shape)}")
    return array


def check_values(penalties: tuple[np.ndarray, ...], temperature: float) -> None:
    """Refuse values (NumPy arrays) that no kernel could honour."""
    check_temperature(temperature)
    names = "gap_open", "gap_extend", "gap_open", "gap_extend"
    for name, penalty in zip(names, penalties, strict=True):
        if not (math.isfinite(penalty.item()) if penalty.size == 1 else np.isfinite(penalty).all()):
            bad = penalty[~np.isfinite(penalty)].flat[0]
            raise ValueError(f"`{name}` must be finite, got {bad}")


def as_bandwidth(bandwidth: Any) -> int | None:
    """The bandwidth as an int, or None."""
    if bandwidth is None:
        return None
    if isinstance(bandwidth, bool) or not hasattr(bandwidth, "__index__"):
        raise TypeError(f"`bandwidth` must be None or an integer, got {bandwidth!r}")
    if bandwidth < 0:
        raise ValueError(f"`bandwidth` must be at least 0, got {bandwidth}")
    return int(bandwidth)


def check_bandwidth(bandwidth: int | None, lengths: Any) -> None:
    """Refuse a band that no warping path of some pair fits into."""
    if bandwidth is None:
        return
    apart = np.abs(lengths[:, 0] - lengths[:, 1]) * (lengths > 0).all(axis=1)
    if apart.size and apart.max() > bandwidth:
        raise ValueError(
            "`bandwidth` must be at least the difference of the lengths, "
            f"{int(apart.max())} for pair {int(apart.argmax())}, got {bandwidth}"
        )


def check_lengths(lengths: Any, shape: tuple[int, ...], name: str = "similarity") -> None:
    """Refuse lengths outside of the matrix."""
    outside = (lengths < 0) | (lengths > shape[1:])
    if outside.any():
        axis = int(outside.any(axis=0).argmax())
        pair = int(outside[:, axis].argmax())
        raise ValueError(
            f"`lengths` must lie between 0 and the {shape[1 + axis]} {('rows', 'columns')[axis]} "
            f"of `{name}`, got {int(lengths[pair, axis])} for pair {pair}"
        )
