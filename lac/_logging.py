"""What a run logs beside its losses: one CSV file whatever the restarts, and figures."""

import csv
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

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
        """Take up the file of an earlier start, as far as it tells of steps before `step`.

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
    """Tell whether a row is whole and of a step before; a kill may leave half a row."""
    return (row.get("step") or "").isdigit() and int(row["step"]) < step


class FigureLogger(lightning.Callback):
    """Draw similarity, posterior and embedding of validation clips into TensorBoard.

    Parameters
    ----------
    every : int
        Epochs between figures, >= 1; the last epoch's are always drawn.
    """

    def __init__(self, *, every: int):
        """Remember how often."""
        self.every = every

    def on_train_epoch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Draw, if it is time."""
        epoch = trainer.current_epoch + 1
        if not trainer.is_global_zero or (epoch % self.every and epoch != trainer.max_epochs):
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        split = evaluated_split(data.collection)
        if split is None:
            return
        training = pl_module.training
        figures = make_figures(data, pl_module.encoder, pl_module.loss, split=split)  # type: ignore[arg-type]
        pl_module.train(training)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                for name, figure in figures.items():
                    logger.experiment.add_figure(name, figure, trainer.global_step)
