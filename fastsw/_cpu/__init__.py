"""CPU backend."""

from fastsw._cpu._dispatch import (
    Derivatives,
    Inputs,
    gradients,
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
    "paths",
    "prepare",
    "samples",
    "score",
    "soft_dtw",
    "tangents",
]
