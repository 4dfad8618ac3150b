"""Soft sequence alignment on NumPy arrays and PyTorch tensors, with exact gradients."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastsw._alignment import Alignment
from fastsw._api import (
    entropy,
    hits,
    mea,
    posterior,
    sample,
    score,
    soft_dtw,
    traceback,
    value_and_grad,
)
from fastsw._collections import Ranking, all_pairs, search
from fastsw._embeddings import EmbeddingGradients, Matches, SparsePosterior, align_embeddings
from fastsw._types import Gradients
from fastsw._validation import GapSignWarning
from fastsw._warmup import warmup

if TYPE_CHECKING:
    from fastsw import nn as nn
    from fastsw import plot as plot

__version__ = "0.1.0"

__all__ = [
    "Alignment",
    "EmbeddingGradients",
    "GapSignWarning",
    "Gradients",
    "Matches",
    "Ranking",
    "SparsePosterior",
    "align_embeddings",
    "all_pairs",
    "entropy",
    "hits",
    "mea",
    "posterior",
    "sample",
    "score",
    "search",
    "soft_dtw",
    "traceback",
    "value_and_grad",
    "warmup",
]


def __getattr__(name: str) -> Any:
    """Import `fastsw.nn` (torch) and `fastsw.plot` (matplotlib) when they are first used."""
    if name in ("nn", "plot"):
        return import_module(f"fastsw.{name}")
    raise AttributeError(f"module 'fastsw' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, those that are imported when first used among them."""
    return sorted([*__all__, "__version__", "nn", "plot"])
