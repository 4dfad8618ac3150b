"""The SCL loss of CARL: sequence contrast against a Gaussian on time."""

import torch

from lac.losses._contrastive import contrastive_loss
from lac.losses._loss import Loss
from lac.losses._settings import require_positive


class SclLoss(Loss):
    """Sequence contrastive loss between two views of a clip [1]_.

    Parameters
    ----------
    temperature : float
        Of the similarity, > 0.
    variance : float
        Of the Gaussian on the difference of frame times, in squared frames, > 0.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    Notes
    -----
    Equation 3 of [1]_: the cross-entropy of the softmax of cosine similarities to the
    normalised Gaussian of time differences, both directions, averaged over frames. Departures:
    less the Gaussian's entropy (a constant), so that it is a divergence and can reach 0; no
    projection head, so that what is trained is what is evaluated.

    References
    ----------
    .. [1] Chen, Wei, Li, Cai, "Frame-wise Action Representations for Long Videos via Sequence
       Contrastive Learning", CVPR 2022.
    """

    def __init__(self, *, temperature: float = 0.1, variance: float = 10.0):
        """Check and keep the settings."""
        super().__init__()
        require_positive(temperature=temperature, variance=variance)
        self.temperature = temperature
        self.variance = variance

    def forward(
        self, embeddings: torch.Tensor, times: torch.Tensor, mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return `loss`."""
        settings = {"temperature": self.temperature, "sigma": self.variance**0.5}
        return {"loss": contrastive_loss(embeddings, times, mask, **settings)}
