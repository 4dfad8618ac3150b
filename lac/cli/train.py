"""Train an embedding: ``python -m lac.train [VIDEOS_DIR] [--config FILE] [--run DIR] [settings]``.

With a folder of videos it takes the preset made for them, and says at the end what came of it.
Without arguments it draws its own clips, trains on them for a few minutes on a CPU, evaluates and
prints the metrics. Started again with the same ``--run`` it goes on where it was.
"""

import re
import shlex
import sys
from argparse import ArgumentError
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lac._hints import call
from lac._progress import announced
from lac._run_directory import RunDirectory
from lac.cli._console import plain_console
from lac.cli._errors import INTERRUPTED, errors_in_one_line
from lac.cli._own_videos import next_command, prepare

if TYPE_CHECKING:
    from rich.console import Console

    from lac._settings.run_cli import RunCLI
    from lac.cli._own_videos import OwnVideos
    from lac.evaluation._record import Report


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, train, evaluate, print the table."""
    typed = sys.argv[1:] if args is None else list(args)
    cli = None
    try:
        with errors_in_one_line():
            words, own = prepare(typed)
            if _answered_at_once(words):
                return
            with announced("Loading PyTorch and Lightning"):
                cli = _build(words, name=own.name if own else None)
            console = plain_console(quiet=not cli.trainer.is_global_zero)
            report = _prepare(cli, own, console)
        from lac.evaluation import print_verdict

        run = cli.run
        assert run is not None
        if report is not None:
            console.print(f"{run.path} is finished; these are its metrics.")
        else:
            report = _train_and_evaluate(cli, run, console)
        _show(report, console)
        console.print(f"Configuration, checkpoints, logs and figures are in {run.path}.")
        print_verdict(report, console)
    except KeyboardInterrupt:
        sys.exit(_interrupted(cli, typed))


def _answered_at_once(words: list[str]) -> bool:
    """Print the help if that is asked for; refuse what is wrong without what takes long to load."""
    from lac._settings.settings import Settings

    settings = Settings(words)
    if "help" in settings.flags:
        from lac.cli._train_help import help_text

        print(help_text(), end="")
        return True
    if "help-all" in settings.flags:
        words[:] = ["--help"]  # Lightning's parser has it all
    elif "print_config" not in settings.flags:
        settings.check()
    return False


def _build(words: Sequence[str], *, name: str | None) -> "RunCLI":
    """Build module, data and trainer; what Lightning refuses is a ValueError of one line."""
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from lac._settings.run_cli import RunCLI, quiet_lightning

    quiet_lightning()
    try:
        return RunCLI(words, name=name)
    except (ArgumentError, MisconfigurationException) as error:
        raise ValueError(_in_short(str(error))) from error


def _in_short(message: str) -> str:
    """Return one line of what Lightning's parser says in many."""
    line = re.sub(r"<class '([^']*)'>", r"\1", " ".join(message.split()))
    line = re.sub(r"- Expected a path but \S+ either not accessible or invalid ", "", line)
    union = re.search(r'key "([^"]+)":.*Subtypes: \[(.*)\] Errors:.*Given value: (.*)', line)
    if union:
        key, kinds, value = union.groups()
        kinds = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", kinds)  # without their modules
        return f"`{key}` must be of {kinds}, got {value}"
    return re.sub(r'Parser key "([^"]+)": -? ?', r"`\1`: ", line)


def _prepare(cli: "RunCLI", own: "OwnVideos | None", console: "Console") -> "Report | None":
    """Return the report of a finished run; else decode and extract what training needs."""
    assert cli.run is not None
    if cli.run.metrics.exists():
        return cli.run.read_report(cli.run.metrics)
    if own is not None:
        _announce(cli, own, console)
    cli.datamodule.setup("fit")
    if cli.config.patience is not None and not cli.datamodule.collection.select("val"):
        raise ValueError(
            f"`patience` must be null without validation clips, got {cli.config.patience}"
        )
    return None


def _announce(cli: "RunCLI", own: "OwnVideos", console: "Console") -> None:
    """Say what was seen of own videos, and how long training on them will take."""
    from lac.cli._estimate import estimate

    for line in own.describe():
        console.print(line, soft_wrap=True)
    if cli.run is not None and not cli.run.last.exists():
        console.print(estimate(cli, own).describe(), soft_wrap=True)


def _interrupted(cli: "RunCLI | None", typed: Sequence[str]) -> int:
    """Say how the run goes on, whenever Ctrl-C has come; return the exit code."""
    if cli is None or cli.run is None:
        again = " ".join([call("lac.train"), *map(shlex.quote, typed)])
        print(f"\ninterrupted before anything was done; begin with: {again}", file=sys.stderr)
    elif cli.trainer.is_global_zero:  # of several processes, one speaks
        if not cli.run.config.exists():
            cli.run.write_settings(cli.settings)
        path = shlex.quote(str(cli.run.path))
        command = f"{call('lac.train')} --run {path}"
        print(f"\ninterrupted; go on with: {command}", file=sys.stderr)
    return INTERRUPTED


def _train_and_evaluate(cli: "RunCLI", run: RunDirectory, console: "Console") -> "Report":
    """Train from the run's last checkpoint on, or from the start; evaluate; keep the metrics."""
    import torch

    from lac.cli._fit import train
    from lac.cli.evaluate import evaluate
    from lac.evaluation import PROTOCOLS, evaluated_split

    cli.add_checkpoints()
    first = cli.trainer.is_global_zero  # of several processes, one writes
    if first:
        run.write_settings(cli.settings)
    for reason in cli.datamodule.left_out.values():
        console.print(f"Leaving out {reason}")
    resumed = run.last.exists()
    console.print(f"{'Resuming' if resumed else 'Starting'} {run.path}")
    # Sums are added in the order of the threads, so their number belongs to the configuration.
    torch.set_num_threads(cli.config.threads)
    summary = train(cli, run)
    if not first:
        sys.exit()
    split = evaluated_split(cli.datamodule.collection)
    if split is None:
        report: Report = {"metrics": {}, "note": "nothing to compare: one clip alone"}
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


def _show(report: "Report", console: "Console") -> None:
    """Print the metrics and what is to be known about them."""
    from lac.cli._fit import print_summary
    from lac.evaluation import print_report

    if report["metrics"]:
        print_report(report, console)
    if "note" in report:
        console.print(report["note"])
    if "training" in report:
        print_summary(report["training"], console)
    for reason in report.get("left_out", {}).values():
        console.print(f"Left out: {reason}")
