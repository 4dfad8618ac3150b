"""Similarities by a function of the user's, on torch tensors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fastsw._frontends.torch_operators import as_numpy


class Function:
    """Similarities of a batch, a function of strips of rows and of all columns."""

    def __init__(
        self,
        function: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        y: Tensor,
        lengths: np.ndarray,
        scale: float,
        offset: float,
    ) -> None:
        self._function, self._lengths = function, lengths
        self._x, self._y, self._scale, self._offset = x, y, scale, offset

    def fill(self, b: int, start: int, stop: int, out: np.ndarray) -> None:
        """Set similarities of some rows of a pair."""
        x, y = self._embeddings(b)
        with torch.no_grad():
            out[...] = as_numpy(self._of(x[start:stop], y))
        out *= self._scale
        out += self._offset

    def collector(self, b: int) -> _Gradients:
        """A collector of a pair's gradients."""
        x, y = self._embeddings(b)
        with torch.enable_grad():
            learned = self._of(x[:1].detach(), y.detach()).requires_grad
        if learned:
            raise ValueError(
                "`kind` must depend on nothing that learns but its two arguments, got a function "
                "whose values require a gradient by themselves"
            )
        return _Gradients(self._of, *self._embeddings(b), self._scale)

    def gradients(
        self, b: int, collector: _Gradients
    ) -> tuple[np.ndarray, np.ndarray, float, float]:
        """What it has collected, in a pair's x, y, scale and offset."""
        return as_numpy(collector.x), as_numpy(collector.y), collector.scale, collector.offset

    def _embeddings(self, b: int) -> tuple[Tensor, Tensor]:
        n, m = self._lengths[b]
        return self._x[b, :n], self._y[b, :m]

    def _of(self, x: Tensor, y: Tensor) -> Tensor:
        """What the function gives, checked."""
        found = self._function(x, y)
        shape = len(x), len(y)
        if not isinstance(found, Tensor) or tuple(found.shape) != shape:
            got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ValueError(f"`kind` must give a tensor of shape {shape}, got {got}")
        return found


class _Gradients:
    """Gradients of the score in the embeddings of a pair, strip by strip."""

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, scale: float
    ) -> None:
        self._function, self._x, self._y, self._scale = function, x, y, scale
        self.x, self.y = torch.zeros_like(x), torch.zeros_like(y, dtype=torch.float64)
        self.scale = self.offset = 0.0

    def take(self, start: int, stop: int, similarities: np.ndarray, posteriors: np.ndarray) -> None:
        """Take a panel."""
        x, y = self._x[start:stop].requires_grad_(), self._y.detach().requires_grad_()
        upstream = torch.from_numpy(posteriors).to(x.dtype)
        with torch.enable_grad():
            found = self._function(x, y)
        of_x, of_y = torch.autograd.grad(
            found, (x, y), upstream * self._scale, allow_unused=True, materialize_grads=True
        )
        self.x[start:stop] = of_x
        self.y += of_y
        self.scale += float((found.detach() * upstream).sum(dtype=torch.float64))
        self.offset += float(posteriors.sum(dtype=np.float64))
