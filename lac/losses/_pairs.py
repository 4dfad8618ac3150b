"""Which two sequences a loss compares: two views of a clip, or views of two clips."""

from typing import Literal, NamedTuple

import torch

Pairs = Literal["clips", "views"]


class Sequences(NamedTuple):
    """One side of the pairs of a batch."""

    embeddings: torch.Tensor  # (B, T, D)
    times: torch.Tensor  # (B, T), in frames
    mask: torch.Tensor  # (B, T) bool


def choose_pairs(
    embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor, pairs: Pairs
) -> tuple[Sequences, Sequences]:
    """Pair each clip's first view with a second view: its own, or that of the next in the batch.

    `"clips"` is for losses that know no true matching and suppose that all clips show one
    procedure; a batch of one clip pairs its own two views.
    """
    sides = [Sequences(*(x[:, view] for x in (embeddings, times, mask))) for view in (0, 1)]
    if pairs == "clips":
        sides[1] = Sequences(*(x.roll(-1, 0) for x in sides[1]))
    return sides[0], sides[1]


def squared_distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return squared Euclidean distances, (B, N, M), of (B, N, D) and (B, M, D)."""
    inner = x @ y.transpose(1, 2)
    squares = x.square().sum(-1)[:, :, None] + y.square().sum(-1)[:, None, :]
    return (squares - 2 * inner).clamp(min=0)
