"""Modes, what a call may ask for, and the records of answers, each defined once."""

from __future__ import annotations

import contextlib
from typing import Any, Generic, Literal, NamedTuple, TypeVar

Mode = Literal["local", "global", "fitting"]

#: The modes as kernels know them.
LOCAL, GLOBAL, FITTING = 0, 1, 2
MODES = {"local": LOCAL, "global": GLOBAL, "fitting": FITTING}

#: What a call asks of a backend: scores alone, gradients too, or tangents of both.
SCORE, GRADIENT, TANGENT = range(3)

#: A kind of array.
Array = TypeVar("Array")


class Derivatives(NamedTuple, Generic[Array]):
    """Scores and per-pair gradients, or the tangents of both, of a backend's own arrays."""

    score: Array  # [B]
    similarity: Array  # [B, N, M]
    penalties: tuple[Array, ...]  # open_x, extend_x, open_y, extend_y; 4 x [B, N|1, M|1]
    temperature: Array  # [B]


#: Values by cell: an array, or a list of them.
Cells = TypeVar("Cells")


class Gradients(NamedTuple, Generic[Cells, Array]):
    """Gradients of the summed score, each in the form of its argument.

    Attributes
    ----------
    similarity : array, shape of `similarity`
        The posterior: the probability that row i and column j are paired.
    gap_open, gap_extend : array, or a tuple (for columns, for rows) where one was given
        Minus the expected number of times the penalty is paid.
    temperature : array ()
        The summed entropy of the alignment distributions, in nats.
    """

    similarity: Cells
    gap_open: Array | list[Array] | tuple[Array | list[Array], Array | list[Array]]
    gap_extend: Array | list[Array] | tuple[Array | list[Array], Array | list[Array]]
    temperature: Array

    def __repr__(self) -> str:
        """Return numbers, and of arrays the dtype and shape."""
        fields = (f"{name}={_brief(value)}" for name, value in zip(self._fields, self, strict=True))
        return f"Gradients({', '.join(fields)})"


def _brief(value: Any) -> str:
    """A value in short."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_brief, value))})"
    if isinstance(value, list):
        return f"[{', '.join(map(_brief, value[:3]))}{', ...' if len(value) > 3 else ''}]"
    if value.shape == ():
        with contextlib.suppress(TypeError, RuntimeError):  # a value that torch only traces
            return f"{float(value) + 0.0:.6g}"  # 0 for -0
    dtype = str(value.dtype).removeprefix("torch.")
    return f"{dtype} {tuple(value.shape)}"
