"""Embeddings of two views, as a loss is given them, drawn at random."""

import torch


def two_views(seed=0, clips=2, frames=6, features=4):
    """Random unit embeddings, increasing times, and all frames valid."""
    rng = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(clips, 2, frames, features, generator=rng, dtype=torch.float64)
    embeddings = torch.nn.functional.normalize(embeddings, dim=-1).requires_grad_()
    times = torch.rand(clips, 2, frames, generator=rng, dtype=torch.float64).cumsum(-1) * 3
    return embeddings, times, torch.ones(clips, 2, frames, dtype=torch.bool)
