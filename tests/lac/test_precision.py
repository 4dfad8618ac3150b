"""The loss computes in single precision, whatever the encoder computes in."""

import torch

from lac._module import EmbeddingModule
from lac.losses import Loss


class Probe(Loss):
    """Tell how it was called."""

    def forward(self, embeddings, times, mask):
        assert embeddings.dtype == torch.float32
        return {"loss": embeddings[:, 0] @ embeddings[:, 1].transpose(1, 2)}


class Low(torch.nn.Module):
    """An encoder in half precision."""

    def forward(self, content, times, mask):
        return (content @ torch.eye(3)).to(torch.bfloat16)


def test_the_loss_is_outside_of_autocast():
    module = EmbeddingModule(encoder=Low(), loss=Probe())
    batch = {
        "features": torch.rand(2, 2, 5, 3),
        "times": torch.rand(2, 2, 5),
        "mask": torch.ones(2, 2, 5, dtype=torch.bool),
        "clip": torch.arange(2),
    }
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module._terms(batch)["loss"].dtype == torch.float32
