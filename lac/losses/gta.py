"""The GTA loss: smooth DTW on contrastive costs, with global cycle-consistency."""

from typing import get_args

import torch
from torch.nn import functional as F

from lac.losses._loss import Loss
from lac.losses._pairs import Pairs, Sequences, choose_pairs
from lac.losses._settings import require_not_negative, require_one_of, require_positive

_FAR = 1e6  # cost of paths that leave the table: finite, so that 0 times it is 0


class GtaLoss(Loss):
    """Global temporal alignment with cycle-consistency [1]_.

    Parameters
    ----------
    temperature : float
        Of the softmax that makes costs of similarities, > 0.
    smoothness : float
        gamma of the smooth minimum, > 0.
    alignment_weight : float
        Of the two alignment costs, per frame, >= 0.
    label_smoothing : float
        Of the cycle's cross-entropy, in [0, 1).
    pairs : {"clips", "views"}
        `"clips"`, the paper's: a clip and the next of the batch. `"views"`: two views of a clip.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    smoothDTW, contrastive cost (equation 8) and global cycle-consistency of [1]_. Frames i of X
    and j of Y cost d_ij = -log softmax_i(<x_i, y_j> / temperature), and paths to (i, j)::

        R_ij = d_ij + smin(R_i-1,j-1, R_i-1,j, R_i,j-1)
        smin(a) = sum_k a_k exp(-a_k / gamma) / sum_k exp(-a_k / gamma)

    The cost of the whole alignment is the last R. A = softmax_i(-R(X, Y)) and
    B = softmax_j(-R(Y, X)) lead from X to Y and back; the loss is the cross-entropy of softmax
    over rows of A B to the identity, plus `alignment_weight` times both costs per frame.
    Departures: costs are divided by the frames of the clip that the softmax runs over; the
    authors take 0.1 of them whole at 20 frames, so 2 is theirs. That A B, whose columns are
    probabilities already, goes through another softmax is the authors' code.

    References
    ----------
    .. [1] Hadji, Derpanis, Jepson, "Representation Learning via Global Temporal Alignment and
       Cycle-Consistency", CVPR 2021.
    """

    def __init__(
        self,
        *,
        temperature: float = 0.1,
        smoothness: float = 0.1,
        alignment_weight: float = 2.0,
        label_smoothing: float = 0.1,
        pairs: Pairs = "clips",
    ):
        """Check and keep the settings."""
        super().__init__()
        require_positive(temperature=temperature, smoothness=smoothness)
        require_not_negative(alignment_weight=alignment_weight)
        require_one_of(get_args(Pairs), pairs=pairs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must be in [0, 1), got {label_smoothing}")
        self.temperature = temperature
        self.smoothness = smoothness
        self.alignment_weight = alignment_weight
        self.label_smoothing = label_smoothing
        self.pairs: Pairs = pairs

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss` and its terms `alignment` and `cycle`."""
        first, second = choose_pairs(embeddings, times, mask, self.pairs)
        # Both directions in one batch: the diagonals of the tables are walked once.
        here, there = (
            Sequences(*(torch.cat(sides) for sides in zip(*pair, strict=True)))
            for pair in ((first, second), (second, first))
        )
        cost, leads = self._align(here, there)
        forth, back = leads.chunk(2)
        alignment = 2 * cost.mean()
        cycle = self._cycle(forth @ back, first.mask)
        return {
            "loss": cycle + self.alignment_weight * alignment,
            "alignment": alignment.detach(),
            "cycle": cycle.detach(),
        }

    def _align(self, x: Sequences, y: Sequences) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cost per frame of x, (B,), and softmax over rows of -R, (B, N, M)."""
        similarity = x.embeddings @ y.embeddings.transpose(1, 2) / self.temperature
        lowest = torch.finfo(similarity.dtype).min
        rows = x.mask[:, :, None]
        cost = -similarity.masked_fill(~rows, lowest).log_softmax(1)
        table = smooth_dtw(cost.masked_fill(~(rows & y.mask[:, None]), 0.0), self.smoothness)
        n, m = x.mask.sum(1), y.mask.sum(1)
        last = table[torch.arange(len(table), device=table.device), n - 1, m - 1]
        leads = (-table).masked_fill(~rows, lowest).softmax(1)
        return last / n, leads.masked_fill(~(rows & y.mask[:, None]), 0.0)

    def _cycle(self, returned: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of returning to the own frame, averaged over frames."""
        logits = returned.transpose(1, 2)  # a row of each frame that set out
        logits = logits.masked_fill(~mask[:, None], torch.finfo(logits.dtype).min)
        log_p = F.log_softmax(logits, -1)
        own = log_p.diagonal(dim1=1, dim2=2)
        every = log_p.masked_fill(~mask[:, None], 0.0).sum(2) / mask.sum(1, keepdim=True)
        share = self.label_smoothing
        return -((1 - share) * own + share * every)[mask].mean()


def smooth_dtw(cost: torch.Tensor, smoothness: float) -> torch.Tensor:
    """Return the accumulated costs R of smooth DTW, a diagonal at a time.

    Parameters
    ----------
    cost : Tensor, shape (B, N, M)
        Finite, much below 1e6 along any path.
    smoothness : float
        gamma, > 0.

    Returns
    -------
    Tensor, shape (B, N, M)
        Differentiable in `cost`.
    """
    batch, n, m = cost.shape
    row = torch.arange(n, device=cost.device)
    diagonals: list[torch.Tensor] = []
    far = cost.new_full((batch, n), _FAR)
    for k in range(n + m - 1):  # cells (i, k - i), at place i
        column = k - row
        inside = (column >= 0) & (column < m)
        here = cost[:, row, column.clamp(0, m - 1)]
        if k == 0:
            value = here
        else:
            left = diagonals[-1]
            up = F.pad(left[:, :-1], (1, 0), value=_FAR)
            before = diagonals[-2] if k > 1 else far
            corner = F.pad(before[:, :-1], (1, 0), value=_FAR)
            previous = torch.stack([corner, up, left])
            value = here + ((-previous / smoothness).softmax(0) * previous).sum(0)
        diagonals.append(torch.where(inside, value, _FAR))
    column = torch.arange(m, device=cost.device)
    return torch.stack(diagonals, 1)[:, row[:, None] + column, row[:, None]]
