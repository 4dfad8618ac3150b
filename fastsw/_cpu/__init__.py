"""CPU backend."""

from fastsw._cpu.backend import (
    Derivatives,
    Inputs,
    gradients,
    gradients_in_all,
    paths,
    prepare,
    samples,
    score,
    tangents,
)
from fastsw._cpu.warping import soft_dtw, soft_dtw_tangents

__all__ = [
    "Derivatives",
    "Inputs",
    "gradients",
    "gradients_in_all",
    "paths",
    "prepare",
    "samples",
    "score",
    "soft_dtw",
    "soft_dtw_tangents",
    "tangents",
]
