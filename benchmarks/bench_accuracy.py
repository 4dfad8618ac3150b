"""Largest errors of the kernels."""

import numpy as np

import fastsw
from fastsw._reference import soft_align

from .common import OPTIONS, SHAPES, similarity

TEMPERATURES = [0.1, 1.0]


def error(one, other):
    """Largest absolute difference."""
    return float(np.abs(np.asarray(one, np.float64) - other).max())


class Float32:
    """float32 against the float64 kernel on the same float32 input."""

    params = [SHAPES, TEMPERATURES]
    param_names = ["shape", "temperature"]

    def setup(self, shape, temperature):
        self.options = OPTIONS | {"temperature": temperature}

    def answers(self, shape):
        for dtype in (np.float32, np.float64):
            yield fastsw.value_and_grad(similarity(shape, dtype), **self.options)

    def track_posterior_error(self, shape, temperature):
        (_, single), (_, double) = self.answers(shape)
        return error(single.similarity, double.similarity)

    def track_relative_score_error(self, shape, temperature):
        (single, _), (double, _) = self.answers(shape)
        return float((np.abs(single - double) / np.maximum(np.abs(double), temperature)).max())


class Reference:
    """Each dtype against the float64 reference, posteriors of one pair."""

    params = [["float32", "float64"], TEMPERATURES]
    param_names = ["dtype", "temperature"]

    def track_posterior_error(self, dtype, temperature):
        matrix = similarity("1x256x256", dtype)[0]
        options = OPTIONS | {"temperature": temperature}
        penalties = (options["gap_open"], options["gap_extend"]) * 2
        wanted = soft_align(matrix, penalties, temperature=temperature, mode="local")
        return error(fastsw.posterior(matrix, **options), wanted.posterior)
