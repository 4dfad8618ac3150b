"""Self-supervised frame-wise video embeddings by local-alignment contrastive learning."""

from lac import data
from lac._embedder import Embedder, load

__all__ = ["Embedder", "data", "load"]
