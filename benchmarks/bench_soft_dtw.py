"""Soft dynamic time warping."""

import fastsw

from .common import SHAPES, THREADS, need_torch, similarity, use_threads


class SoftDTW:
    """Value alone on NumPy arrays, and forward and backward through torch, float32."""

    params = [SHAPES, THREADS]
    param_names = ["shape", "threads"]

    def setup(self, shape, threads):
        if not hasattr(fastsw, "soft_dtw"):
            raise NotImplementedError("fastsw has no soft_dtw")
        torch = need_torch()
        use_threads(threads)
        self.cost = similarity(shape) ** 2
        self.tensor = torch.from_numpy(self.cost).requires_grad_()
        self.time_forward(shape, threads)
        self.time_forward_backward(shape, threads)

    def time_forward(self, shape, threads):
        fastsw.soft_dtw(self.cost, temperature=1.0)

    def time_forward_backward(self, shape, threads):
        self.tensor.grad = None
        fastsw.soft_dtw(self.tensor, temperature=1.0).sum().backward()
