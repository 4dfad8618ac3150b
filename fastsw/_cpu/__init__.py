"""CPU backend: what frontends call."""

from fastsw._cpu.backend import gradients, gradients_in_all, paths, samples, score, tangents
from fastsw._cpu.inputs import Inputs, prepare
from fastsw._cpu.warping import soft_dtw, soft_dtw_tangents
from fastsw._types import Derivatives

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
