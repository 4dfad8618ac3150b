"""The contrastive term of LAC: each frame of a view against all frames of the other."""

import torch
from torch.nn import functional as F


def gaussian_targets(
    times: torch.Tensor, mask: torch.Tensor, *, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-weights -(t1 - t2)^2 / (2 sigma^2), (B, T, T), and which cells are valid."""
    distance = times[:, 0, :, None] - times[:, 1, None, :]
    return -distance.square() / (2 * sigma**2), mask[:, 0, :, None] & mask[:, 1, None, :]


def contrastive_loss(
    embeddings: torch.Tensor,
    times: torch.Tensor,
    mask: torch.Tensor,
    *,
    temperature: float,
    sigma: float,
) -> torch.Tensor:
    """Return the mean divergence of matching from the Gaussian on time, over both directions.

    For every frame i of a view, KL(p_i || q_i) over the frames j of the other view of its clip,
    with p_i the softmax of -(t_i - t_j)^2 / (2 sigma^2) and q_i that of <z_i, z_j> / temperature
    [1]_.

    Parameters
    ----------
    embeddings : Tensor, shape (B, 2, T, D)
    times : Tensor, shape (B, 2, T)
        In frames.
    mask : Tensor of bool, shape (B, 2, T)
    temperature : float
        > 0.
    sigma : float
        In frames, > 0.

    Returns
    -------
    Tensor, scalar
        In nats, >= 0.

    References
    ----------
    .. [1] Chen et al., "Frame-wise Action Representations for Long Videos via Sequence
       Contrastive Learning", CVPR 2022, equation 3.
    """
    logits = embeddings[:, 0] @ embeddings[:, 1].transpose(1, 2) / temperature
    weights, valid = gaussian_targets(times, mask, sigma=sigma)
    rows = _divergence(weights, logits, valid)
    columns = _divergence(*(x.transpose(1, 2) for x in (weights, logits, valid)))
    frames = torch.cat([rows[mask[:, 0]], columns[mask[:, 1]]])
    return frames.mean()


def _divergence(weights: torch.Tensor, logits: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """KL of every row, (B, T), over its valid cells; a row without any is 0."""
    lowest = torch.finfo(logits.dtype).min
    log_p = F.log_softmax(weights.masked_fill(~valid, lowest), -1)
    log_q = F.log_softmax(logits.masked_fill(~valid, lowest), -1)
    return (log_p.exp() * (log_p - log_q)).masked_fill(~valid, 0.0).sum(-1)
