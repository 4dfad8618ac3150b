"""Soft sequence alignment on NumPy arrays and PyTorch tensors, with exact gradients."""

from fastsw._alignment import Alignment
from fastsw._api import entropy, posterior, sample, score, traceback, value_and_grad
from fastsw._numpy import Gradients

__version__ = "0.1.0"

__all__ = [
    "Alignment",
    "Gradients",
    "entropy",
    "posterior",
    "sample",
    "score",
    "traceback",
    "value_and_grad",
]
