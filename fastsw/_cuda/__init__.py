"""CUDA backend: the operators on CUDA tensors."""

from fastsw._cuda.backend import align, align_tangent, score, traceback
from fastsw._cuda.warping import soft_dtw, soft_dtw_gradient

__all__ = [
    "align",
    "align_tangent",
    "score",
    "soft_dtw",
    "soft_dtw_gradient",
    "traceback",
]
