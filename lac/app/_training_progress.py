"""How far a training is, by what it has written: losses, last words, figures and the report."""

import csv
import math
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from lac._run_directory import RunDirectory

FIGURES = ("embedding", "similarity", "posterior")
_POINTS = 400  # of a curve at most
_TAIL = 6000  # bytes of a log
_LINES = 14
_INSTALLED = re.compile(r"/[^\s\"']*/(?=site-packages/|python3?\.\d+/)")
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def curves(run: RunDirectory) -> dict[str, list[tuple[int, float]]]:
    """Return what was logged, steps and values by name; a file that is being written is read."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    if not run.logged.exists():
        return found
    with run.logged.open(newline="", encoding="utf-8", errors="replace") as stream:
        for row in csv.DictReader(stream):
            step = row.pop("step", None) or ""
            for name, text in row.items():
                value = _number(text) if name and "/" in name else None
                if step.isdecimal() and value is not None:
                    found[name].append((int(step), value))
    return {name: _thinned(points) for name, points in found.items()}


def last_words(log: Path, root: Path) -> list[str]:
    """Return the last lines of a log, without colours and where on this machine things are."""
    if not log.exists():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL))
        text = stream.read().decode("utf-8", "replace")
    text = _INSTALLED.sub("", _CONTROL.sub("", text).replace(f"{root}/", ""))
    lines = re.split(r"[\r\n]+", text)
    return [line.rstrip() for line in lines if line.strip()][-_LINES:]


def figures(run: RunDirectory) -> dict[str, float]:
    """Return the figures that are there, and when they were drawn."""
    files = {name: run.figures / f"{name}.png" for name in FIGURES}
    return {name: file.stat().st_mtime for name, file in files.items() if file.is_file()}


def outcome(run: RunDirectory) -> dict[str, Any]:
    """Return metrics and verdict of a run that is finished."""
    if not run.metrics.exists():
        return {}
    try:
        report = run.read_report(run.metrics)
    except (OSError, ValueError):
        return {}
    metrics = {
        label: {name: value for name, value in row.items() if math.isfinite(value)}
        for label, row in report["metrics"].items()
    }
    verdict = report["verdict"]["sentences"] if "verdict" in report else []
    return {"metrics": metrics, "verdict": verdict}


def _number(text: str | None) -> float | None:
    """Return a finite number, None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return means of so many neighbours that few enough points are left."""
    size = -(-len(points) // _POINTS)
    groups = (points[begin : begin + size] for begin in range(0, len(points), size))
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
