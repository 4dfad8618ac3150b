"""Scores and first derivatives, time and memory."""

import fastsw

from .common import OPTIONS, SHAPES, THREADS, need_torch, similarity, use_threads


class Align:
    """The public functions on NumPy arrays, float32."""

    params = [SHAPES, THREADS]
    param_names = ["shape", "threads"]

    def setup(self, shape, threads):
        use_threads(threads)
        self.similarity = similarity(shape)
        self.time_forward(shape, threads)
        self.time_forward_gradient(shape, threads)

    def time_forward(self, shape, threads):
        fastsw.score(self.similarity, **OPTIONS)

    def time_forward_gradient(self, shape, threads):
        fastsw.value_and_grad(self.similarity, **OPTIONS)


class AlignTorch:
    """Forward and backward through torch, one thread, float32."""

    params = [SHAPES]
    param_names = ["shape"]

    def setup(self, shape):
        torch = need_torch()
        use_threads(1)
        self.similarity = torch.from_numpy(similarity(shape)).requires_grad_()
        self.time_forward_backward(shape)

    def time_forward_backward(self, shape):
        self.similarity.grad = None
        fastsw.score(self.similarity, **OPTIONS).sum().backward()


class Modes:
    """Forward and gradient in each mode, hard, nearly hard and soft."""

    params = [["local", "global", "fitting"], [0.0, 0.01, 1.0]]
    param_names = ["mode", "temperature"]

    def setup(self, mode, temperature):
        use_threads(1)
        self.similarity = similarity("16x256x256")
        self.time_forward_gradient(mode, temperature)

    def time_forward_gradient(self, mode, temperature):
        options = OPTIONS | {"temperature": temperature}
        fastsw.value_and_grad(self.similarity, mode=mode, **options)


class PenaltyForms:
    """Forward and gradient with penalties that vary over cells, rows or columns."""

    params = [["scalar", "sides", "vectors", "cells"]]
    param_names = ["penalties"]

    def setup(self, penalties):
        use_threads(1)
        shape = "16x256x256"
        self.similarity = similarity(shape)
        spread = 1 + 0.1 * abs(similarity(shape))
        self.gap_open = {
            "scalar": 1.0,
            "sides": (1.0, 1.2),
            "vectors": (spread[:, 0].copy(), spread[:, :, 0].copy()),
            "cells": spread,
        }[penalties]
        self.time_forward_gradient(penalties)

    def time_forward_gradient(self, penalties):
        fastsw.value_and_grad(
            self.similarity, gap_open=self.gap_open, gap_extend=0.1, temperature=1.0
        )
