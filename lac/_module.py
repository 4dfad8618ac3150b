"""The Lightning module: training step, optimiser, schedule and logging."""

import math
from typing import Any

import lightning
import torch
from jsonargparse import lazy_instance
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from lac.encoder import Encoder
from lac.losses import AcrossLoss, Loss


class EmbeddingModule(lightning.LightningModule):
    """Train an encoder by a loss on two views.

    AdamW with a linear warm-up and a cosine to zero. Weight decay is for matrices and kernels of
    the encoder alone. What is drawn for a batch at random (dropout) depends on the trainer's seed,
    the batch's number and the process alone, so a resumed run goes on as it would have. The loss
    is computed in float32 whatever the precision of the encoder.

    Parameters
    ----------
    encoder : Encoder
        From frames to embeddings.
    loss : Loss
        On the embeddings of two views. Its parameters, if any, are learned with the encoder.
    learning_rate : float
        At the end of the warm-up, > 0.
    loss_learning_rate : float
        The same for the parameters of the loss, > 0.
    backbone_learning_rate : float, optional
        The same for the encoder's backbone, > 0, for one that comes trained; null: as the rest.
    weight_decay : float
        >= 0.
    warmup : float
        Share of all steps, in [0, 1).

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """

    def __init__(
        self,
        *,
        encoder: Encoder = lazy_instance(Encoder),  # noqa: B008
        loss: Loss = lazy_instance(AcrossLoss),  # noqa: B008
        learning_rate: float = 1e-3,
        loss_learning_rate: float = 1e-2,
        backbone_learning_rate: float | None = None,
        weight_decay: float = 1e-2,
        warmup: float = 0.05,
    ):
        """Check and keep the settings."""
        super().__init__()
        for name, value in (
            ("learning_rate", learning_rate),
            ("loss_learning_rate", loss_learning_rate),
            ("backbone_learning_rate", backbone_learning_rate),
        ):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise ValueError(f"`{name}` must be > 0 and finite, got {value}")
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise ValueError(f"`weight_decay` must be >= 0 and finite, got {weight_decay}")
        if not 0 <= warmup < 1:
            raise ValueError(f"`warmup` must be in [0, 1), got {warmup}")
        self.encoder = encoder
        self.loss = loss
        self.learning_rate = learning_rate
        self.loss_learning_rate = loss_learning_rate
        self.backbone_learning_rate = backbone_learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self._seed = 0
        self._steps = 0  # of the whole training, once it is known

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return embeddings (B, 2, T, D) of a batch of two views."""
        content = batch["features"] if "features" in batch else batch["frames"]
        flat = (content, batch["times"], batch["mask"])
        embeddings = self.encoder(*(x.flatten(0, 1) for x in flat))
        by_view: torch.Tensor = embeddings.unflatten(0, (-1, 2))
        return by_view

    def _terms(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the loss and its terms, in single precision even if the encoder has less."""
        embeddings = self(batch)
        progress = min(self.global_step / self._steps, 1.0) if self._steps else 1.0
        self.loss.prepare(progress=progress, actions=batch.get("action"))
        with torch.autocast(embeddings.device.type, enabled=False):
            terms: dict[str, torch.Tensor] = self.loss(
                embeddings.float(), batch["times"], batch["mask"]
            )
        return terms

    def on_fit_start(self) -> None:
        """Remember the seed that was set for the run."""
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed random numbers by the run's seed, the batch's number and the process."""
        number = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        drawn = self._seed * 1_000_003 + number + self.global_rank * 998_244_353
        torch.manual_seed(drawn % 2**63)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch and log its terms."""
        terms = self._terms(batch)
        self._log_terms("train", terms, batch)
        return terms["loss"]

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Log the terms of the loss on plain views of validation clips."""
        terms = self._terms(batch)
        shown = {name: value for name, value in terms.items() if not name.startswith("gap")}
        self._log_terms("val", shown, batch)

    def _log_terms(
        self, stage: str, terms: dict[str, torch.Tensor], batch: dict[str, torch.Tensor]
    ) -> None:
        """Log terms, their means over processes if there are several."""
        for name, value in terms.items():
            self.log(
                f"{stage}/{name}",
                value,
                prog_bar=name == "loss",
                batch_size=len(batch["clip"]),
                sync_dist=self.trainer.world_size > 1,
            )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW in groups, and the schedule by step."""
        named = [(n, p) for n, p in self.encoder.named_parameters() if p.requires_grad]
        own_rate = self.backbone_learning_rate
        parts = [(named, self.learning_rate)]
        if own_rate is not None:
            parts = [
                ([(n, p) for n, p in named if not n.startswith("backbone.")], self.learning_rate),
                ([(n, p) for n, p in named if n.startswith("backbone.")], own_rate),
            ]
        groups: list[dict[str, Any]] = []
        for part, rate in parts:
            matrices = [p for _, p in part if p.ndim > 1]
            vectors = [p for _, p in part if p.ndim <= 1]
            groups += [
                {"params": matrices, "weight_decay": self.weight_decay, "lr": rate},
                {"params": vectors, "weight_decay": 0.0, "lr": rate},
            ]
        learned = [p for p in self.loss.parameters() if p.requires_grad]
        if learned:
            groups.append({"params": learned, "weight_decay": 0.0, "lr": self.loss_learning_rate})
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        total = int(self.trainer.estimated_stepping_batches)
        self._steps = total
        rising = max(1, round(self.warmup * total))
        # Of torch's own, a SequentialLR of LinearLR and CosineAnnealingLR has the same rates but
        # keeps another state, with which runs begun earlier could not go on.
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_factor(step, rising=rising, total=total)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def rate_factor(step: int, *, rising: int, total: int) -> float:
    """Return the share of the learning rate at a step: a line up to `rising`, then a cosine."""
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))
