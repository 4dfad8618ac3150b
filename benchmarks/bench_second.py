"""Second derivatives through torch."""

import fastsw

from .common import OPTIONS, SHAPES, THREADS, need_torch, similarity, use_threads


class SecondDerivative:
    """Hessian-vector products of the score, float32."""

    params = [SHAPES, THREADS]
    param_names = ["shape", "threads"]

    def setup(self, shape, threads):
        self.torch = need_torch()
        use_threads(threads)
        self.similarity = self.torch.from_numpy(similarity(shape)).requires_grad_()
        self.direction = self.torch.from_numpy(similarity(shape)[:, ::-1].copy())
        self.gradient = self.first()
        self.time_hessian_vector_product(shape, threads)

    def first(self):
        score = fastsw.score(self.similarity, **OPTIONS).sum()
        return self.torch.autograd.grad(score, self.similarity, create_graph=True)[0]

    def time_hessian_vector_product(self, shape, threads):
        """The second derivative alone, after a recorded first one."""
        self.torch.autograd.grad(self.gradient, self.similarity, self.direction, retain_graph=True)

    def time_double_backward(self, shape, threads):
        """Score, gradient, and the gradient of a function of the gradient."""
        self.torch.autograd.grad(self.first(), self.similarity, self.direction)
