"""Alignment of embeddings, whose similarities are never held whole."""

from fastsw._embeddings.api import align_embeddings
from fastsw._embeddings.records import EmbeddingGradients, Matches, SparsePosterior

__all__ = ["EmbeddingGradients", "Matches", "SparsePosterior", "align_embeddings"]
