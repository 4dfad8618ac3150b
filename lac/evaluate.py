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
from typing import Any, Literal

from jsonargparse import ArgumentParser

from lac._configuration import RunCLI, quiet_lightning
from lac._console import plain_console
from lac._run import RunDirectory
from lac._training import EmbeddingModule
from lac.data import ClipDataModule
from lac.evaluation import (
    DEFAULT_PROTOCOL,
    PROTOCOLS,
    Protocol,
    draw_figures,
    measure,
    print_report,
)


def evaluate(
    run: RunDirectory,
    module: EmbeddingModule,
    data: ClipDataModule,
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
    started = time.monotonic()
    state = run.read_checkpoint(checkpoint)
    module.load_state_dict(state["state_dict"])
    module.eval()
    report = measure(data, module.encoder, split=split, protocol=protocol)
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
    console = plain_console()
    quiet_lightning()
    try:
        run = RunDirectory(options.run)
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
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")
    run.write_report(run.evaluation, report)
    print_report(report, console)
    console.print(f"These numbers are in {run.evaluation}, figures in {run.figures}.")


if __name__ == "__main__":
    main()
