"""Self-supervised frame-wise video embeddings by local-alignment contrastive learning."""

from typing import TYPE_CHECKING

from lac._lazy import lazy_attributes

if TYPE_CHECKING:
    from lac import data, encoder, evaluation, losses
    from lac._embedder import Embedder, load
else:
    __getattr__, __dir__ = lazy_attributes(
        __name__,
        {
            "_embedder": ("Embedder", "load"),
            "data": (),
            "encoder": (),
            "evaluation": (),
            "losses": (),
        },
    )

__all__ = ["Embedder", "data", "encoder", "evaluation", "load", "losses"]
