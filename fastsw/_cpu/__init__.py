"""CPU backend."""

from fastsw._cpu._dispatch import (
    Derivatives,
    Inputs,
    gradients,
    gradients_in_all,
    paths,
    prepare,
    samples,
    score,
    soft_dtw,
    tangents,
)

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
    "tangents",
]
