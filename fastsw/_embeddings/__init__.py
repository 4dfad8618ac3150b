"""Alignment of embeddings, whose similarities are never held whole."""

from fastsw._embeddings.api import EmbeddingGradients, Matches, SparsePosterior, align_embeddings

__all__ = ["EmbeddingGradients", "Matches", "SparsePosterior", "align_embeddings"]
