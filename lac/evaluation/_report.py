"""Print metrics as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

_TITLES = {
    "phase_accuracy": "acc",
    "progression_r2": "R²",
    "kendall_tau": "tau",
    "precision": "p",
}
_CLASSIFIERS = {
    "logistic": "logistic regression",
    "logistic_plain": "logistic regression on plain features",
    "svm": "an SVM",
}


def short_name(metric: str) -> str:
    """Return a metric's name for the head of a column."""
    title, _, at = metric.partition("@")
    return _TITLES[title] + (f"@{at}" if at else "")


def seen_as(report: Mapping[str, Any]) -> str:
    """Say how much of a clip was seen, and over how many actions figures are means."""
    protocol = report["protocol"]
    if protocol["min_crop"] == 1:
        seen = "whole"
    else:
        seen = f"{protocol['crops']} random crops of each, at least {protocol['min_crop']:.0%} long"
    return f"{seen}; mean of {len(report['actions'])} actions" if "actions" in report else seen


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print what `measure` returned: one row a representation, one column a metric.

    With several actions a second table has the learned embedding's figures by action.
    """
    protocol = report["protocol"]
    title = f"{report['split']} clips by protocol {protocol['name']}: {seen_as(report)}"
    console.print(_table(title, report["metrics"], list(report["metrics"]["learned"])))
    if "actions" in report:
        learned = {action: rows["learned"] for action, rows in report["actions"].items()}
        title = "learned embedding by action"
        console.print(_table(title, learned, list(report["metrics"]["learned"])))
    console.print(
        f"acc@f: phase accuracy by {_CLASSIFIERS[protocol['classifier']]} given the share f of"
        " training clips; R²: phase progression; tau: Kendall's, at stride"
        f" {protocol['tau_stride']}; p@K: precision of the K nearest frames.",
        style="dim",
    )
    for name, reason in report["skipped"].items():
        console.print(f"{name} skipped: {reason}.")


def _table(title: str, rows: Mapping[str, Mapping[str, float]], metrics: Sequence[str]) -> Table:
    """Lay out rows of metrics, the best of each in bold."""
    table = Table(title=title, box=SIMPLE_HEAD, padding=0)  # so it keeps within 80 columns
    table.add_column("", no_wrap=True)
    for name in metrics:
        table.add_column(short_name(name), justify="right")
    best = {name: max(row[name] for row in rows.values() if name in row) for name in metrics}
    for label, row in rows.items():
        cells = [
            ""
            if name not in row
            else Text(f"{row[name]:.3f}", "bold" if row[name] == best[name] else "")
            for name in metrics
        ]
        table.add_row(label, *cells, end_section=label == "learned")
    return table
