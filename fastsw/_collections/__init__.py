"""Collections of sequences of embeddings: many pairs aligned by one call."""

from fastsw._collections.pairwise import all_pairs

__all__ = ["all_pairs"]
