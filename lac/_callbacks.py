"""Loggers and callbacks of a run: one CSV file across restarts, plain progress lines, figures."""

import csv
import sys
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from lac._atomic import written_whole
from lac._progress import EVERY, duration
from lac.data import ClipDataModule
from lac.evaluation import evaluated_split, make_figures


class RunCSVLogger(CSVLogger):
    """Log to `csv/metrics.csv` of a run, the same file after a restart.

    Parameters
    ----------
    directory : Path
        Of the run.
    """

    def __init__(self, directory: Path):
        """Remember the place; write nothing."""
        super().__init__(directory, name="csv", version="", flush_logs_every_n_steps=10)

    @rank_zero_only
    def keep_before(self, step: int) -> None:
        """Continue the file of an earlier start, keeping its rows of steps before `step`.

        Call it before anything is logged. Later rows are of steps that will be taken again.
        """
        file = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        rows: list[dict[str, Any]] = []
        if file.exists():
            with file.open(newline="") as stream:
                rows = [row for row in csv.DictReader(stream) if _is_before(row, step)]
            file.unlink()  # the writer warns of what it finds, and deletes it
        writer = self.experiment
        writer.metrics = [{k: v for k, v in row.items() if v} for row in rows]
        writer.save()


def _is_before(row: dict[str, str], step: int) -> bool:
    """Tell whether a row is complete and of an earlier step; a kill may leave half a row."""
    return (row.get("step") or "").isdigit() and int(row["step"]) < step


class PlainProgress(ProgressBar):
    """Report progress as a line on stderr every few seconds, where there is no terminal."""

    def __init__(self) -> None:
        """Start the clock."""
        super().__init__()
        self._enabled = True
        self._batches = 0
        self._began = self._said = time.monotonic()

    def disable(self) -> None:
        """Print nothing, as on all processes but the first."""
        self._enabled = False

    def on_train_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Restart the clock."""
        self._began = self._said = time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, *_: Any
    ) -> None:
        """Print a line, if it is time."""
        self._batches += 1
        now = time.monotonic()
        if not self._enabled or now - self._said < EVERY:
            return
        self._said = now
        words = f"Training: epoch {trainer.current_epoch + 1}"
        if trainer.max_epochs and trainer.max_epochs > 0:
            words += f" of {trainer.max_epochs}"
            total = trainer.max_epochs * self.total_train_batches
            done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
            left = (now - self._began) / self._batches * (total - done)
            words += f", about {duration(left)} left"
        if "train/loss" in trainer.callback_metrics:
            words += f", loss {float(trainer.callback_metrics['train/loss']):.4g}"
        print(words, file=sys.stderr, flush=True)


class FigureLogger(lightning.Callback):
    """Draw similarity, posterior and embedding of validation clips into TensorBoard and a folder.

    Parameters
    ----------
    every : int
        Epochs between figures, >= 1; the last epoch's are always drawn.
    directory : Path
        Where the newest are kept as pictures, too.
    """

    def __init__(self, *, every: int, directory: Path):
        """Remember how often, and where."""
        self.every = every
        self.directory = directory

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Draw, if it is time."""
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero or (epoch % self.every and epoch != trainer.max_epochs):
            return
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        split = evaluated_split(data.collection)
        if split is None:
            return
        training = pl_module.training
        figures = make_figures(data, pl_module.encoder, pl_module.loss, split=split)  # type: ignore[arg-type]
        pl_module.train(training)
        for name, figure in figures.items():
            with written_whole(self.directory / f"{name}.png") as unfinished:
                figure.savefig(unfinished, dpi=120)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, figure in figures.items():
                    logger.experiment.add_figure(name, figure, trainer.global_step)
