"""Evaluate a run: ``python -m lac.evaluate RUN [--protocol carl] [--data.root DIR] [--split val]``.

A protocol is `ours` (the default), `carl` or `tcc`; settings of it, as --protocol.crops 1, change
it. Writes RUN/evaluation.json and figures.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lac._hints import existing, program
from lac._progress import announced
from lac._run_directory import RunDirectory
from lac._settings.sketch import sketch
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible
from lac.cli._parser import CommandParser, of_kind, one_of
from lac.evaluation._crops import DEFAULT_PROTOCOL, PROTOCOLS, Protocol

if TYPE_CHECKING:
    from lac._module import EmbeddingModule
    from lac.data import ClipDataModule
    from lac.evaluation._record import Report


def evaluate(
    run: RunDirectory,
    module: "EmbeddingModule",
    data: "ClipDataModule",
    *,
    split: str = "val",
    checkpoint: Literal["last", "best"] = "last",
    protocol: Protocol = DEFAULT_PROTOCOL,
) -> "Report":
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
    Report
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
    with announced("Evaluating"):
        report = measure(data, module.encoder, split=split, protocol=protocol)
        verdict = reach_verdict(data, module.encoder, split=split)
    if verdict is not None:
        report["verdict"] = verdict.record()
    with announced("Drawing figures"):
        draw_figures(data, module.encoder, module.loss, run.figures, split=split)
    report["checkpoint"] = checkpoint
    report["epoch"] = state["epoch"]
    report["seconds"] = round(time.monotonic() - started, 1)
    return report


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, evaluate, print the table."""
    with interruptible(), errors_in_one_line():
        options = _parser().parse_args(args)
        chosen = PROTOCOLS[options.protocol]
        named = ((name, getattr(options, f"protocol.{name}")) for name in asdict(chosen))
        changes = {name: value for name, value in named if value is not None}
        protocol = replace(chosen, **changes)
        run = RunDirectory(options.run)
        run.require(options.checkpoint)
        root = getattr(options, "data.root")
        if root is not None:
            existing(root)
        with announced("Loading PyTorch and Lightning"):
            from lac._settings.run_cli import RunCLI, quiet_lightning
            from lac.evaluation import print_report, print_verdict

            quiet_lightning()
            cli = RunCLI.of_run(run, root=root)
        cli.datamodule.setup("test")
        report = evaluate(
            run,
            cli.model,
            cli.datamodule,
            split=options.split,
            checkpoint=options.checkpoint,
            protocol=protocol,
        )
        run.write_report(run.evaluation, report)
        console = plain_console()
        print_report(report, console)
        print_verdict(report, console)
        console.print(f"These numbers are in {run.evaluation}, figures in {run.figures}.")


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("evaluate"),
        description="Measure a run again, by another protocol or on other clips, beside its"
        " baselines.\nWrites RUN/evaluation.json and figures.",
        examples=[
            "runs/rendered-1 --protocol carl",
            "runs/mine --data.root other_clips --protocol.crops 4",
        ],
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of lac.train")
    parser.add_argument("--data.root", type=Path, metavar="DIR", help="other clips than the run's")
    for name, choices, default, text in (
        ("split", ("val", "test", "train"), "val", "clips to score"),
        ("checkpoint", ("last", "best"), "last", "which weights"),
        ("protocol", tuple(PROTOCOLS), "ours", "how clips are measured"),
    ):
        parser.add_argument(
            f"--{name}",
            type=one_of(*choices),
            default=default,
            metavar=f"{{{','.join(choices)}}}",
            help=f"{text} (default: {default})",
        )
    group = parser.add_argument_group("changes of the protocol")
    described = sketch(Protocol)
    for name, parameter in described.parameters.items():
        group.add_argument(
            f"--protocol.{name}",
            type=of_kind(parameter.annotation),
            metavar="VALUE",
            help=described.descriptions[name],
        )
    return parser
