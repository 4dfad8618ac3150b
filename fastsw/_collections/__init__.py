"""Collections of sequences of embeddings: many pairs aligned by one call."""

from fastsw._collections.pairwise import all_pairs
from fastsw._collections.searching import Ranking, search

__all__ = ["Ranking", "all_pairs", "search"]
