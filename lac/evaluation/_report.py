"""Print metrics as a table."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

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


def seen_as(protocol: Mapping[str, Any]) -> str:
    """Say how much of a clip is seen by a protocol."""
    if protocol["min_crop"] == 1:
        return "whole"
    return f"{protocol['crops']} random crops of each, at least {protocol['min_crop']:.0%} long"


def print_report(report: dict[str, Any], console: Console) -> None:
    """Print what `measure` returned: one row a representation, one column a metric."""
    protocol = report["protocol"]
    table = Table(
        title=f"{report['split']} clips by protocol {protocol['name']}: {seen_as(protocol)}",
        box=SIMPLE_HEAD,
        padding=0,  # with it the table keeps within 80 columns
    )
    rows = report["metrics"]
    names = list(next(iter(rows.values())))
    table.add_column("", no_wrap=True)
    for name in names:
        table.add_column(short_name(name), justify="right")
    best = {name: max(row[name] for row in rows.values()) for name in names}
    for label, row in rows.items():
        cells = [
            f"[bold]{row[name]:.3f}[/bold]" if row[name] == best[name] else f"{row[name]:.3f}"
            for name in names
        ]
        table.add_row(label, *cells, end_section=label == "learned")
    console.print(table)
    console.print(
        f"acc@f: phase accuracy by {_CLASSIFIERS[protocol['classifier']]} given the share f of"
        " training clips; R²: phase progression; tau: Kendall's, at stride"
        f" {protocol['tau_stride']}; p@K: precision of the K nearest frames.",
        style="dim",
    )
    for name, reason in report["skipped"].items():
        console.print(f"{name} skipped: {reason}.")
