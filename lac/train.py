"""Train an embedding: ``python -m lac.train [--config FILE] [--run DIR] [settings]``.

Without arguments it draws its own clips, trains on them for a few minutes on a CPU, evaluates and
prints the metrics. Started again with the same ``--run`` it goes on where it was.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from lac._console import plain_console
from lac._run import RunDirectory

if TYPE_CHECKING:
    from rich.console import Console

    from lac._configuration import RunCLI
    from lac._own import OwnVideos


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, train, evaluate, print the table."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lac._configuration import RunCLI, quiet_lightning
    from lac._own import prepare
    from lac.evaluation import print_verdict

    console = plain_console()
    quiet_lightning()
    try:
        args, own = prepare(sys.argv[1:] if args is None else args)
        cli = RunCLI(args, name=own.name if own else None)
        run = cli.run
        assert run is not None
        report = run.read_report(run.metrics) if run.metrics.exists() else None
        if report is None:
            if own is not None:
                _announce(cli, own, console)
            cli.datamodule.setup("fit")
            if cli.config.patience is not None and not cli.datamodule.collection.select("val"):
                raise ValueError(
                    f"`patience` must be null without validation clips, got {cli.config.patience}"
                )
    except (ValueError, OSError, ModuleNotFoundError, MisconfigurationException) as error:
        sys.exit(f"error: {error}")
    if report is not None:
        console.print(f"{run.path} is finished; these are its metrics.")
    else:
        report = _train_and_evaluate(cli, run, console)
    _show(report, console)
    console.print(f"Configuration, checkpoints, logs and figures are in {run.path}.")
    print_verdict(report, console)


def _announce(cli: "RunCLI", own: "OwnVideos", console: "Console") -> None:
    """Say what was seen of own videos, and how long training on them will take."""
    from lac._estimate import estimate

    console.quiet = not cli.trainer.is_global_zero
    for line in own.describe():
        console.print(line, soft_wrap=True)
    if cli.run is not None and not cli.run.last.exists():
        console.print(estimate(cli, own).describe(), soft_wrap=True)


def _train_and_evaluate(cli: "RunCLI", run: RunDirectory, console: "Console") -> dict[str, Any]:
    """Train from the run's last checkpoint on, or from the start; evaluate; keep the metrics."""
    import torch

    from lac._fit import train
    from lac._own import next_command
    from lac.evaluate import evaluate
    from lac.evaluation import PROTOCOLS, evaluated_split

    cli.add_checkpoints()
    first = cli.trainer.is_global_zero  # of several processes, one writes
    console.quiet = not first
    if first:
        run.write_text(run.config, cli.settings)
    for reason in cli.datamodule.left_out.values():
        console.print(f"Leaving out {reason}")
    resumed = run.last.exists()
    console.print(f"{'Resuming' if resumed else 'Starting'} {run.path}")
    # Sums are added in the order of the threads, so their number belongs to the configuration.
    torch.set_num_threads(cli.config.threads)
    summary = train(cli, run)
    if cli.trainer.interrupted:
        sys.exit(f"interrupted; go on with: python -m lac.train --run {run.path}")
    if not first:
        sys.exit()
    split = evaluated_split(cli.datamodule.collection)
    if split is None:
        report: dict[str, Any] = {"metrics": {}, "note": "nothing to compare: one clip alone"}
    else:
        checkpoint: Literal["last", "best"] = "last" if cli.config.patience is None else "best"
        console.print(f"Evaluating the {checkpoint} checkpoint beside its baselines")
        report = evaluate(
            run,
            cli.model,
            cli.datamodule,
            split=split,
            checkpoint=checkpoint,
            protocol=PROTOCOLS[cli.config.protocol],
        )
        files = [clip.path for clip in cli.datamodule.collection.select(split)]
        if command := next_command(run.path, files, report.get("verdict")):
            report["next"] = command
        if split == "train":
            report["note"] = "fewer than two validation clips: measured on the training clips"
    report["training"] = summary
    report["left_out"] = cli.datamodule.left_out
    run.write_report(run.metrics, report)
    return report


def _show(report: dict[str, Any], console: "Console") -> None:
    """Print the metrics and what is to be known about them."""
    from lac._fit import print_summary
    from lac.evaluation import print_report

    if report["metrics"]:
        print_report(report, console)
    if "note" in report:
        console.print(report["note"])
    if "training" in report:
        print_summary(report["training"], console)
    for reason in report.get("left_out", {}).values():
        console.print(f"Left out: {reason}")


if __name__ == "__main__":
    main()
