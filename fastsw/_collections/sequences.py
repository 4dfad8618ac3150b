"""Sequences of embeddings as users give them, checked once."""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np

from fastsw._frontends.kinds import refuse_special

_FORM = "a list of (T, D) arrays, or a tuple of one (sum of T, D) array and its offsets"


class Sequences(NamedTuple):
    """Valid sequences, of one dtype and one number of features."""

    name: str  # of the argument
    arrays: list[np.ndarray]  # each [T, D]; of a packed array, views of it
    lengths: np.ndarray  # [N], int64

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of all."""
        return self.arrays[0].dtype

    @property
    def features(self) -> int:
        """The number of features, D."""
        return int(self.arrays[0].shape[1])

    def padded(self, chosen: np.ndarray) -> np.ndarray:
        """Some of the sequences as one array, [B, the longest T, D], filled up with zeros."""
        lengths = self.lengths[chosen]
        block = np.zeros((len(chosen), lengths.max(), self.features), self.dtype)
        for row, index, length in zip(block, chosen, lengths, strict=True):
            row[:length] = self.arrays[index]
        return block

    def digest(self) -> str:
        """A hash of all values, the same whether they are packed or not."""
        found = hashlib.blake2b(digest_size=16)
        found.update(f"{self.dtype.str} {self.features} ".encode() + self.lengths.tobytes())
        for array in self.arrays:
            found.update(np.ascontiguousarray(array).data)
        return found.hexdigest()


def read(name: str, given: Any, like: Sequences | None = None) -> Sequences:
    """Check sequences, which must fit those of `like`."""
    if isinstance(given, tuple) and len(given) == 2 and np.ndim(given[1]) == 1:
        arrays = _unpacked(name, *given)
    elif isinstance(given, list | tuple):
        arrays = [_frames(f"{name}[{k}]", array) for k, array in enumerate(given)]
    else:
        raise TypeError(f"`{name}` must be {_FORM}, got {type(given).__name__}")
    if not arrays:
        raise ValueError(f"`{name}` must hold at least one sequence, got none")
    first, whose = (arrays[0], f"{name}[0]") if like is None else (like.arrays[0], like.name)
    for k, array in enumerate(arrays):
        if array.shape[0] == 0:
            raise ValueError(f"`{name}[{k}]` must hold at least one embedding, got an empty one")
        if array.shape[1] != first.shape[1]:
            raise ValueError(
                f"`{name}[{k}]` must have the {first.shape[1]} features of `{whose}`, got "
                f"{array.shape[1]}"
            )
        if array.dtype != first.dtype:
            raise TypeError(
                f"`{name}[{k}]` must have the dtype of `{whose}`, {first.dtype}, got {array.dtype}"
            )
    return Sequences(name, arrays, np.array([len(array) for array in arrays], np.int64))


def _frames(name: str, array: Any) -> np.ndarray:
    """One array of embeddings, as a plain view."""
    refuse_special(name, array)
    if not isinstance(array, np.ndarray):
        raise TypeError(f"`{name}` must be a NumPy array, got {type(array).__name__}")
    if array.dtype not in (np.float32, np.float64):
        raise TypeError(f"`{name}` must have dtype float32 or float64, got {array.dtype}")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"`{name}` must have shape (T, D), D at least 1, got {array.shape}")
    return np.asarray(array)


def _unpacked(name: str, packed: Any, offsets: Any) -> list[np.ndarray]:
    """The sequences of a packed array: number k from offsets[k] to offsets[k + 1]."""
    packed, offsets = _frames(f"{name}[0]", packed), np.asarray(offsets)
    if offsets.dtype.kind not in "iu":
        raise TypeError(f"`{name}[1]`, the offsets, must be integers, got {offsets.dtype}")
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(packed):
        ends = f"{offsets[0]} and {offsets[-1]}" if len(offsets) else "none"
        raise ValueError(
            f"`{name}[1]`, the offsets, must begin with 0 and end with the {len(packed)} "
            f"embeddings of `{name}[0]`, got {ends}"
        )
    steps = np.diff(offsets.astype(np.int64))
    if (steps < 0).any():
        raise ValueError(
            f"`{name}[1]`, the offsets, must not fall, got {offsets[steps.argmin() + 1]} after "
            f"{offsets[steps.argmin()]}"
        )
    return [packed[a:b] for a, b in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
