"""Random calls of the public functions on torch tensors."""

import numpy as np
import torch

import fastsw
from tests.support.oracle import FORMS, draw_penalty

EVERY_FORM = [(form, form) for form in FORMS] + [
    ("cell", "sides-vector"),
    ("scalar", "sides-mixed"),
]


class Call:
    """A random call whose floating arguments are the leaves of a graph."""

    def __init__(
        self, shape=(2, 3, 4), forms=("scalar", "scalar"), dtype=torch.float64, seed=0, **options
    ):
        rng = np.random.default_rng([seed, *shape])
        self.forms = []
        temperature = options.pop("temperature", 0.8)
        values = [
            rng.standard_normal(shape),
            draw_penalty(rng, forms[0], shape),
            draw_penalty(rng, forms[1], shape),
            temperature,
        ]
        self.leaves = []
        for value in values:
            sides = value if isinstance(value, tuple) else (value,)
            self.forms.append(isinstance(value, tuple))
            for side in sides:
                leaf = torch.tensor(np.asarray(side), dtype=dtype).requires_grad_()
                self.leaves.append(leaf)
        self.options = options

    def arguments(self, leaves=None):
        """Similarity, and the keyword arguments."""
        left = list(self.leaves if leaves is None else leaves)
        grouped = [(left.pop(0), left.pop(0)) if paired else left.pop(0) for paired in self.forms]
        similarity, gap_open, gap_extend, temperature = grouped
        named = dict(gap_open=gap_open, gap_extend=gap_extend, temperature=temperature)
        return similarity, named | self.options

    def __call__(self, function, *leaves):
        similarity, options = self.arguments(leaves or None)
        return function(similarity, **options)

    def of_leaves(self, function):
        """The function of the leaves alone."""
        return lambda *leaves: self(function, *leaves)

    def detached(self):
        """The leaves without their graph."""
        return tuple(leaf.detach() for leaf in self.leaves)

    def numpy(self):
        """The same arguments as NumPy arrays."""
        similarity, options = self.arguments([leaf.detach().numpy() for leaf in self.leaves])
        return similarity, options


def directions(leaves, seed=1):
    """A random tangent for each leaf."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        torch.randn(leaf.shape, generator=generator, dtype=torch.float64).to(leaf.dtype)
        for leaf in leaves
    )


def hessian_product(call, direction, function=fastsw.score):
    """Hessian of the summed score times a direction, one tensor a leaf."""
    gradients = torch.autograd.grad(call(function).sum(), call.leaves, create_graph=True)
    along = sum((g * d).sum() for g, d in zip(gradients, direction, strict=True))
    return torch.autograd.grad(along, call.leaves)
