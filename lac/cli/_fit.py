"""One training: from the last checkpoint or the start to the end, and what is to say of it."""

import time
from typing import Any, Literal

from rich.console import Console

from lac._callbacks import RunCSVLogger
from lac._run_directory import RunDirectory
from lac._settings.run_cli import RunCLI
from lac.evaluation._record import TrainingRecord


def train(cli: RunCLI, run: RunDirectory) -> TrainingRecord:
    """Train, going on where the run's last checkpoint was written; say how it went."""
    started = time.monotonic()
    trainer, step, stopped = cli.trainer, 0, False
    if run.last.exists():
        state = run.read_checkpoint()
        step, stopped = state["global_step"], _stopped_early(state)
        cli.datamodule.first_epoch = state["epoch"] + 1
    if not stopped:  # else all that is left is to evaluate
        for logger in trainer.loggers:
            if isinstance(logger, RunCSVLogger):
                logger.keep_before(step)
        ckpt_path = run.last if run.last.exists() else None
        try:
            trainer.fit(cli.model, cli.datamodule, ckpt_path=ckpt_path, weights_only=True)
        except SystemExit:  # as Lightning ends what Ctrl-C has interrupted
            if trainer.interrupted:
                raise KeyboardInterrupt from None
            raise
    return _summarise(cli, run, time.monotonic() - started)


def _stopped_early(state: dict[str, Any]) -> bool:
    """Tell whether a checkpoint was written after training had been stopped for good."""
    return any(
        name.startswith("EarlyStopping") and callback["stopped_epoch"] > 0
        for name, callback in state["callbacks"].items()
    )


def _summarise(cli: RunCLI, run: RunDirectory, seconds: float) -> TrainingRecord:
    """Say how training went."""
    trainer = cli.trainer
    summary: TrainingRecord = {
        "parameters": sum(p.numel() for p in cli.model.parameters() if p.requires_grad),
        "processes": trainer.world_size,
        "seconds": round(seconds, 1),
    }
    if not run.last.exists():
        return summary
    state = run.read_checkpoint()
    summary["epochs"] = state["epoch"] + 1
    summary["steps"] = state["global_step"]
    summary["stopped_early"] = _stopped_early(state)
    names: tuple[Literal["train/loss", "val/loss"], ...] = ("train/loss", "val/loss")
    for name in names:
        if name in trainer.callback_metrics:
            summary[name] = round(float(trainer.callback_metrics[name]), 4)
    if run.best.exists():
        best = run.read_checkpoint("best")
        score = next(
            callback["best_model_score"]
            for callback in best["callbacks"].values()
            if callback.get("monitor") == "val/loss" and "best_model_score" in callback
        )
        summary["best"] = {"epoch": best["epoch"] + 1, "val/loss": round(float(score), 4)}
    return summary


def print_summary(summary: TrainingRecord, console: Console) -> None:
    """Print how training went, in a line or two."""
    words = [f"{summary['parameters']:,} parameters"]
    if "epochs" in summary:
        stop = ", stopped early" if summary["stopped_early"] else ""
        words.append(f"{summary['epochs']} epochs ({summary['steps']} steps{stop})")
    words.append(f"{summary['seconds']:.0f} s of training since the last start")
    words += [f"{name} {summary[name]}" for name in ("train/loss", "val/loss") if name in summary]
    if "best" in summary:
        best = summary["best"]
        words.append(f"lowest val/loss {best['val/loss']} after epoch {best['epoch']}")
    console.print("Training: " + "; ".join(words) + ".", style="dim")
