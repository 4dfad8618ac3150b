"""The Lightning module: one step of training, optimiser, schedule, log."""

import math
from typing import Any

import lightning
import torch
from jsonargparse import lazy_instance
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig

from lac.encoder import Encoder
from lac.losses import LacLoss, Loss


class EmbeddingModule(lightning.LightningModule):
    """Train an encoder by a loss on two views.

    AdamW with a linear warm-up and a cosine to zero. Weight decay is for matrices and kernels of
    the encoder alone. What a step draws at random (dropout) depends on the trainer's seed and the
    step's number alone, so a resumed run goes on as it would have.

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
        loss: Loss = lazy_instance(LacLoss),  # noqa: B008
        learning_rate: float = 1e-3,
        loss_learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        warmup: float = 0.05,
    ):
        """Check and keep the settings."""
        super().__init__()
        for name, value in (
            ("learning_rate", learning_rate),
            ("loss_learning_rate", loss_learning_rate),
        ):
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"`{name}` must be > 0 and finite, got {value}")
        if not (weight_decay >= 0 and math.isfinite(weight_decay)):
            raise ValueError(f"`weight_decay` must be >= 0 and finite, got {weight_decay}")
        if not 0 <= warmup < 1:
            raise ValueError(f"`warmup` must be in [0, 1), got {warmup}")
        self.encoder = encoder
        self.loss = loss
        self.learning_rate = learning_rate
        self.loss_learning_rate = loss_learning_rate
        self.weight_decay = weight_decay
        self.warmup = warmup
        self._seed = 0

    def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return embeddings (B, 2, T, D) of a batch of two views."""
        content = batch["features"] if "features" in batch else batch["frames"]
        flat = (content, batch["times"], batch["mask"])
        return self.encoder(*(x.flatten(0, 1) for x in flat)).unflatten(0, (-1, 2))

    def _terms(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the loss and its terms, in single precision even where the encoder has less."""
        embeddings = self(batch)
        with torch.autocast(embeddings.device.type, enabled=False):
            return self.loss(embeddings.float(), batch["times"], batch["mask"])

    def on_fit_start(self) -> None:
        """Remember the seed that was set for the run."""
        self._seed = torch.initial_seed()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Make what the step draws a function of the run's seed and the step's number."""
        torch.manual_seed((self._seed * 1_000_003 + self.global_step) % 2**63)

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch and log its terms."""
        terms = self._terms(batch)
        size = len(batch["clip"])
        self.log("train/loss", terms["loss"], prog_bar=True, batch_size=size)
        self.log_dict(
            {f"train/{name}": value for name, value in terms.items() if name != "loss"},
            batch_size=size,
        )
        return terms["loss"]

    def validation_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        """Log the terms of the loss on plain views of validation clips."""
        terms = self._terms(batch)
        self.log("val/loss", terms["loss"], prog_bar=True, batch_size=len(batch["clip"]))
        self.log_dict(
            {
                f"val/{name}": value
                for name, value in terms.items()
                if not name.startswith("gap") and name != "loss"
            },
            batch_size=len(batch["clip"]),
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Return AdamW in three groups, and the schedule by step."""
        named = [p for p in self.encoder.parameters() if p.requires_grad]
        groups: list[dict[str, Any]] = [
            {"params": [p for p in named if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in named if p.ndim <= 1], "weight_decay": 0.0},
        ]
        learned = list(self.loss.parameters())
        if learned:
            groups.append({"params": learned, "weight_decay": 0.0, "lr": self.loss_learning_rate})
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        total = int(self.trainer.estimated_stepping_batches)
        rising = max(1, round(self.warmup * total))

        def factor(step: int) -> float:
            if step < rising:
                return (step + 1) / rising
            return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, total - rising)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }
