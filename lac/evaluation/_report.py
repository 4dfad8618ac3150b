"""Print metrics as a table."""

import textwrap
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lac.evaluation._record import Report

_TITLES = {
    "phase_accuracy": "acc",
    "progression_r2": "R²",
    "kendall_tau": "tau",
    "precision": "p",
    "alignment_error": "error",
    "alone_precision": "alone p",
    "alone_recall": "alone r",
    "true_tau": "true tau",
}
LOWER_IS_BETTER = ("alignment_error",)
# Of clips aligned with each other; they have a table of their own.
ACROSS = ("alignment_error", "alone_precision", "alone_recall", "true_tau")
_CLASSIFIERS = {
    "logistic": "logistic regression",
    "logistic_plain": "logistic regression on plain features",
    "svm": "an SVM",
}


def short_name(metric: str) -> str:
    """Return a metric's name for the head of a column."""
    title, _, at = metric.partition("@")
    return _TITLES[title] + (f"@{at}" if at else "")


def seen_as(report: Report) -> str:
    """Say how much of a clip was seen, and over how many actions figures are means."""
    protocol = report["protocol"]
    if protocol["min_crop"] == 1:
        seen = "whole"
    else:
        seen = f"{protocol['crops']} random crops of each, at least {protocol['min_crop']:.0%} long"
    return f"{seen}; mean of {len(report['actions'])} actions" if "actions" in report else seen


def print_report(report: Report, console: Console) -> None:
    """Print what `measure` returned: one row a representation, one column a metric.

    With several actions a second table has the learned embedding's figures by action.
    """
    protocol = report["protocol"]
    title = f"{report['split']} clips by protocol {protocol['name']}: {seen_as(report)}"
    measured = list(report["metrics"]["learned"])
    own = [name for name in measured if name not in ACROSS]
    _print_table(title, report["metrics"], own, console)
    if across := [name for name in measured if name in ACROSS]:
        _print_table("each clip aligned with others", report["metrics"], across, console)
    if "actions" in report:
        learned = {action: rows["learned"] for action, rows in report["actions"].items()}
        _print_table("learned embedding by action", learned, own, console)
    legend = {
        "phase_accuracy": f"acc@f: phase accuracy by {_CLASSIFIERS[protocol['classifier']]} given"
        " the share f of training clips",
        "progression_r2": "R²: phase progression",
        "kendall_tau": f"tau: Kendall's, at stride {protocol['tau_stride']}",
        "precision": "p@K: precision of the K nearest frames",
        "alignment_error": "error: median distance in frames from the true partner",
        "alone_precision": "alone p, r: precision and recall of frames without a partner",
        "true_tau": "true tau: Kendall's, of nearest frames and true partners",
    }
    shown = dict.fromkeys(name.partition("@")[0] for name in measured)
    console.print("; ".join(legend[name] for name in shown if name in legend) + ".", style="dim")
    reasons: dict[str, list[str]] = {}
    for name, reason in report["skipped"].items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        console.print(f"{', '.join(names)} skipped: {reason}.")


def print_verdict(report: Report, console: Console) -> None:
    """Print the verdict, if one was reached, and the command that follows from it."""
    if "verdict" not in report:
        return
    answer, *more = report["verdict"]["sentences"]
    console.print(answer, style="bold")
    for sentence in more:
        indented = textwrap.fill(
            sentence, console.width, initial_indent="  ", subsequent_indent="  "
        )
        console.print(indented, soft_wrap=True)
    if "next" in report:
        console.print(f"Next: {report['next']}", soft_wrap=True)


def _print_table(
    title: str, rows: Mapping[str, Mapping[str, float]], metrics: Sequence[str], console: Console
) -> None:
    """Print rows of metrics, the best of each in bold."""
    console.print(title)
    table = Table(box=SIMPLE_HEAD, padding=0)  # so it keeps within 80 columns
    table.add_column("", no_wrap=True)
    for name in metrics:
        table.add_column(short_name(name), justify="right")
    best = {
        name: (min if name in LOWER_IS_BETTER else max)(
            row[name] for row in rows.values() if name in row
        )
        for name in metrics
    }
    for label, row in rows.items():
        cells = [
            ""
            if name not in row
            else Text(f"{row[name]:.3f}", "bold" if row[name] == best[name] else "")
            for name in metrics
        ]
        table.add_row(label, *cells, end_section=label == "learned")
    console.print(table)
