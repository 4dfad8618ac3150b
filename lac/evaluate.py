"""Evaluate a run: ``python -m lac.evaluate RUN [--protocol carl] [--data.root DIR] [--split val]``.

A protocol is `ours` (the default), `carl` or `tcc`; settings of it, as --protocol.crops 1, change
it. Writes RUN/evaluation.json and figures.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lac._command import errors_in_one_line
from lac._console import plain_console
from lac._progress import announced
from lac._run import RunDirectory
from lac.evaluation._crops import DEFAULT_PROTOCOL, PROTOCOLS, Protocol

if TYPE_CHECKING:
    from lac._training import EmbeddingModule
    from lac.data import ClipDataModule


def evaluate(
    run: RunDirectory,
    module: "EmbeddingModule",
    data: "ClipDataModule",
    *,
    split: str = "val",
    checkpoint: Literal["last", "best"] = "last",
    protocol: Protocol = DEFAULT_PROTOCOL,
) -> dict[str, Any]:
    """Measure a checkpoint of a run beside its baselines, and draw its figures.

    Parameters
    ----------
    run : RunDirectory
        Where the checkpoint is and the results go.
    module : EmbeddingModule
        As configured for the run; its weights are loaded here.
    data : ClipDataModule
        After `setup`.
    split : {"val", "test", "train"}
        What is scored.
    checkpoint : {"last", "best"}
        Which weights.
    protocol : Protocol
        How.

    Returns
    -------
    dict
        What `metrics.json` holds.

    Raises
    ------
    FileNotFoundError
        If the run has no such checkpoint.
    ValueError
        If the checkpoint is damaged, or the split has fewer than two clips of every action.
    """
    from lac.evaluation import draw_figures, measure, reach_verdict

    started = time.monotonic()
    state = run.read_checkpoint(checkpoint)
    module.load_state_dict(state["state_dict"])
    module.eval()
    report = measure(data, module.encoder, split=split, protocol=protocol)
    verdict = reach_verdict(data, module.encoder, split=split)
    if verdict is not None:
        report["verdict"] = verdict.record()
    draw_figures(data, module.encoder, module.loss, run.figures, split=split)
    report["checkpoint"] = checkpoint
    report["epoch"] = state["epoch"]
    report["seconds"] = round(time.monotonic() - started, 1)
    return report


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, evaluate, print the table."""
    prog = "python -m lac.evaluate"
    first = argparse.ArgumentParser(prog=prog, add_help=False, allow_abbrev=False)
    first.add_argument("--protocol", choices=PROTOCOLS, default="ours")
    known, rest = first.parse_known_args(sys.argv[1:] if args is None else list(args))
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("run", type=Path, help="run directory of lac.train")
    parser.add_argument("--data.root", type=Path | None, help="other clips than the run's")
    parser.add_argument(
        "--split", type=Literal["val", "test", "train"], default="val", help="clips to score"
    )
    parser.add_argument(
        "--checkpoint", type=Literal["last", "best"], default="last", help="which weights"
    )
    parser.add_class_arguments(Protocol, "protocol", as_group=False)
    chosen = asdict(PROTOCOLS[known.protocol])
    parser.set_defaults({f"protocol.{name}": value for name, value in chosen.items()})
    options = parser.parse_args(rest)
    with errors_in_one_line():
        run = RunDirectory(options.run)
        run.require(options.checkpoint)
        with announced("Loading PyTorch and Lightning"):
            from lac._configuration import RunCLI, quiet_lightning
            from lac.evaluation import print_report, print_verdict

            quiet_lightning()
            cli = RunCLI.of_run(run, root=options.data.root)
        cli.datamodule.setup("test")
        report = evaluate(
            run,
            cli.model,
            cli.datamodule,
            split=options.split,
            checkpoint=options.checkpoint,
            protocol=Protocol(**options.protocol),
        )
        run.write_report(run.evaluation, report)
        console = plain_console()
        print_report(report, console)
        print_verdict(report, console)
        console.print(f"These numbers are in {run.evaluation}, figures in {run.figures}.")


if __name__ == "__main__":
    main()
