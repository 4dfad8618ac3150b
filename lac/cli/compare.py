"""Compare finished runs: ``python -m lac.compare RUN... [-o DIR] [--report metrics]``.

Runs on the same clips share a table; runs that differ by seed alone share a row, with the mean
and the sample standard deviation. Baselines stand below. A second table tests other rows against
one of them, over clips and over seeds.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lac._hints import program
from lac._run_directory import RunDirectory, flat_settings
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible
from lac.cli._parser import CommandParser, one_of

if TYPE_CHECKING:
    from rich.console import Console

    from lac.evaluation._comparison import Comparison, Run


def read_run(path: Path, *, report: Literal["metrics", "evaluation"] = "metrics") -> "Run":
    """Read the settings and the figures of a run.

    Parameters
    ----------
    path : Path
        Run directory of `lac.train`.
    report : {"metrics", "evaluation"}
        What training ended with, or what `lac.evaluate` measured last.

    Raises
    ------
    FileNotFoundError
        If the run is not finished, or has not been evaluated.
    ValueError
        If there was nothing to measure, or a file is damaged.
    """
    run = RunDirectory(path)
    file = run.metrics if report == "metrics" else run.evaluation
    if not (run.config.exists() and file.exists()):
        raise FileNotFoundError(f"`runs` must be finished runs with {file.name}, got {path}")
    settings, measured = run.read_settings(), run.read_report(file)
    if not measured["metrics"]:
        raise ValueError(f"`runs` must have been measured, got {path}: {measured['note']}")
    from lac.evaluation._comparison import Run

    return Run(path, dict(flat_settings(settings)), measured)


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, print the tables, write them and their figures."""
    options = _parser().parse_args(args)
    with interruptible(), errors_in_one_line():
        runs = [read_run(path, report=options.report) for path in options.runs]
        from lac.evaluation._comparison import as_markdown, compare_runs, draw_comparison

        comparisons = compare_runs(runs)
        _require(options.against, comparisons)
        options.output.mkdir(parents=True, exist_ok=True)
        console = plain_console()
        for comparison in comparisons:
            _print(comparison, console)
            _print_estimates(comparison, console, options.against)
        text = "\n".join(
            as_markdown(comparison, reference=_known(options.against, comparison))
            for comparison in comparisons
        )
        (options.output / "comparison.md").write_text(text)
        for number, comparison in enumerate(comparisons, 1):
            draw_comparison(comparison, options.output / f"comparison-{number}.png")
        console.print(f"Tables and figures are in {options.output}.")


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("compare"),
        description="Lay finished runs side by side: one table for each set of clips, one row for"
        " runs that differ\nby seed alone, with the mean and the sample standard deviation,"
        " baselines below.",
        examples=[
            "runs/*",
            "runs/scl-* runs/lac-* -o scl-or-lac --report evaluation",
        ],
    )
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="run directories of lac.train"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("comparison"),
        metavar="DIR",
        help="folder for comparison.md and comparison-1.png, ... (default: comparison)",
    )
    parser.add_argument(
        "--against",
        metavar="ROW",
        help="the row that others are tested against, by its name (default: the first)",
    )
    parser.add_argument(
        "--report",
        type=one_of("metrics", "evaluation"),
        default="metrics",
        metavar="{metrics,evaluation}",
        help="what training ended with (default), or what lac.evaluate measured last",
    )
    return parser


def _known(row: str | None, comparison: "Comparison") -> str | None:
    """Return the name of a row if a comparison has it."""
    return row if row in comparison.rows else None


def _require(row: str | None, comparisons: "Sequence[Comparison]") -> None:
    """Refuse the name of a row that is in no table."""
    if row is not None and not any(row in comparison.rows for comparison in comparisons):
        rows = dict.fromkeys(name for comparison in comparisons for name in comparison.rows)
        raise ValueError(f"`against` must be the name of a row, {', '.join(rows)}, got {row}")


def _print(comparison: "Comparison", console: "Console") -> None:
    """Print one comparison."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from lac.evaluation._comparison import mean_and_deviation
    from lac.evaluation._report import short_name

    table = Table(title=comparison.title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold")
    table.add_column("runs", justify="right")
    for metric in comparison.metrics:
        table.add_column(short_name(metric), justify="right")
    for name, row in [*comparison.rows.items(), *comparison.baselines.items()]:
        count = str(comparison.counts.get(name, ""))
        cells = [mean_and_deviation(row[metric]) for metric in comparison.metrics]
        table.add_row(name, count, *cells, end_section=name == list(comparison.rows)[-1])
    console.print(table)
    if comparison.remark:
        console.print(comparison.remark)


def _print_estimates(comparison: "Comparison", console: "Console", against: str | None) -> None:
    """Print how sure it is that rows differ from one, if that can be told."""
    estimates = comparison.estimates(_known(against, comparison))
    if not estimates:
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from lac.evaluation._comparison import HOW_SURE, in_words
    from lac.evaluation._report import short_name

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("")
    for name in estimates:
        table.add_column(name, overflow="fold")
    for metric in comparison.metrics:
        cells = [
            in_words(own[metric], is_difference=k > 0) for k, own in enumerate(estimates.values())
        ]
        table.add_row(short_name(metric), *cells)
    console.print(table)
    console.print(HOW_SURE, soft_wrap=True)
