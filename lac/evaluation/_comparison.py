"""Runs grouped by what they were trained on and how: means and standard deviations over seeds."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from lac.evaluation._record import Report
from lac.evaluation._report import seen_as, short_name

Values = dict[str, list[float]]  # of every run, by metric
Part = tuple[tuple[str, str], ...]  # settings as text, by dotted name
_FREE = {
    "seed_everything",
    "threads",
    "figures_every",
    "data.cache",
    "data.workers",
}  # free within a group
_DATA = ("data.source", "data.root", "data.action", "data.rendered.")
_LOSS = "model.loss."
_BACKBONE = "model.encoder.init_args.backbone"


@dataclass(frozen=True)
class Run:
    """What a finished run says of itself."""

    path: Path
    settings: Mapping[str, object]  # by dotted name
    report: Report


@dataclass(frozen=True)
class Comparison:
    """Runs on the same clips, evaluated alike."""

    title: str
    metrics: list[str]
    rows: dict[str, Values]  # learned embeddings by the settings that differ, best first
    baselines: dict[str, Values]

    @property
    def counts(self) -> dict[str, int]:
        """The number of runs in each row of learned embeddings."""
        return {name: len(row[self.metrics[0]]) for name, row in self.rows.items()}

    @property
    def remark(self) -> str:
        """Say which rows have fewer runs than others: their means are worth less. May be empty."""
        most = max(self.counts.values())
        few = [f"{name} ({count})" for name, count in self.counts.items() if count < most]
        return f"Fewer runs than {most}: {', '.join(few)}." if few else ""


def compare_runs(runs: Sequence[Run]) -> list[Comparison]:
    """Group runs: one comparison for each set of clips, one row for runs that differ by seed.

    Raises
    ------
    ValueError
        If runs on the same clips were evaluated otherwise, or have other metrics, or if two have
        all settings and the seed in common.
    """
    sections: dict[Part, list[Run]] = defaultdict(list)
    for run in runs:
        sections[_part(run.settings, _DATA)].append(run)
    return [_compare(section) for section in sections.values()]


def _part(settings: Mapping[str, object], prefixes: tuple[str, ...]) -> Part:
    """Return the settings whose names begin so; clips drawn by lac need no place."""
    drawn = settings["data.source"] == "rendered"
    return tuple(
        (name, repr(value))
        for name, value in sorted(settings.items())
        if name.startswith(prefixes)
        and name != ("data.root" if drawn else "data.rendered")
        and (drawn or not name.startswith("data.rendered."))
    )


def _compare(runs: Sequence[Run]) -> Comparison:
    """Compare runs on the same clips."""
    first = runs[0]
    for run in runs[1:]:
        for name, told in (
            ("split", lambda r: r.report["split"]),
            ("protocol", lambda r: r.report["protocol"]),
            ("metrics", lambda r: list(r.report["metrics"]["learned"])),
        ):
            if told(run) != told(first):
                raise ValueError(
                    f"`runs` on the same clips must have the same {name}, got {told(first)} in"
                    f" {first.path} and {told(run)} in {run.path}"
                )
    groups: dict[Part, list[Run]] = defaultdict(list)
    for run in runs:
        kept = {k: v for k, v in run.settings.items() if k not in _FREE and not k.startswith(_DATA)}
        groups[tuple(sorted((k, repr(v)) for k, v in kept.items()))].append(run)
    for group in groups.values():
        seeds: dict[object, Path] = {}
        for run in group:
            seed = run.settings.get("seed_everything")
            if seed in seeds:
                raise ValueError(
                    f"`runs` must differ in settings or seed, got {seeds[seed]} and {run.path}"
                )
            seeds[seed] = run.path
    metrics = list(first.report["metrics"]["learned"])
    rows = {
        name: _collect(group, "learned", metrics)
        for name, group in zip(_names(list(groups)), groups.values(), strict=True)
    }
    order = "phase_accuracy@1" if "phase_accuracy@1" in metrics else metrics[0]
    return Comparison(
        title=_title(first),
        metrics=metrics,
        rows=dict(sorted(rows.items(), key=lambda row: -np.mean(row[1][order]))),
        baselines=_baselines(runs, metrics),
    )


def _baselines(runs: Sequence[Run], metrics: Sequence[str]) -> dict[str, Values]:
    """Return the values of baselines, those of the raw backbone apart where backbones differ."""
    several = len({run.settings.get(_BACKBONE) for run in runs}) > 1
    having: dict[str, tuple[str, list[Run]]] = {}
    for run in runs:
        for name in run.report["metrics"]:
            own = several and name.startswith("raw backbone")
            label = f"{name} ({run.settings.get(_BACKBONE)})" if own else name
            having.setdefault(label, (name, []))[1].append(run)
    return {
        label: _collect(group, name, metrics)
        for label, (name, group) in having.items()
        if name != "learned"
    }


def _collect(runs: Iterable[Run], representation: str, metrics: Sequence[str]) -> Values:
    """Return the values of a representation in runs by metric."""
    return {m: [run.report["metrics"][representation][m] for run in runs] for m in metrics}


def _title(run: Run) -> str:
    """Say which clips were measured how."""
    source, root = run.settings["data.source"], run.settings.get("data.root")
    place = "" if source == "rendered" or root is None else f" {Path(str(root)).name}"
    protocol = run.report["protocol"]
    name = f"protocol {protocol['name']}, " if "name" in protocol else ""
    return f"{source}{place}: {run.report['split']} clips, {name}{seen_as(run.report)}"


def _names(groups: Sequence[Part]) -> list[str]:
    """Name groups by their loss and the settings in which groups with that loss differ."""
    settings = [{k: v.strip("'") for k, v in group} for group in groups]
    names = []
    for own in settings:
        loss = own.get(f"{_LOSS}class_path", "")
        same_loss = [other for other in settings if other.get(f"{_LOSS}class_path", "") == loss]
        words = [loss.rpartition(".")[2].removesuffix("Loss")]
        for key in sorted(own.keys() | set().union(*settings)):
            peers = same_loss if key.startswith(_LOSS) else settings
            if key in own and len({other.get(key) for other in peers}) > 1:
                # A choice by name tells what it chooses.
                word = own[key].isidentifier() and own[key] not in ("None", "True", "False")
                words.append(own[key] if word else f"{key.rpartition('.')[2]}={own[key]}")
        names.append(" ".join(word for word in words if word) or "learned")
    return names


def mean_and_deviation(values: Sequence[float]) -> str:
    """Return a mean, and the sample standard deviation if values differ."""
    mean = f"{np.mean(values):.3f}"
    return mean if np.ptp(values) == 0 else f"{mean} ({np.std(values, ddof=1):.3f})"


def as_markdown(comparison: Comparison) -> str:
    """Return a comparison as a Markdown table, the best mean of learned rows in bold."""
    metrics = comparison.metrics
    best = {m: max(np.mean(row[m]) for row in comparison.rows.values()) for m in metrics}
    lines = [
        f"## {_as_text(comparison.title)}",
        "",
        "| | runs | " + " | ".join(short_name(m) for m in metrics) + " |",
        "|---|---" + "|---" * len(metrics) + "|",
    ]
    for name, row in [*comparison.rows.items(), *comparison.baselines.items()]:
        count = comparison.counts.get(name, "")
        cells = [
            f"**{mean_and_deviation(row[m])}**"
            if name in comparison.rows and np.mean(row[m]) == best[m]
            else mean_and_deviation(row[m])
            for m in metrics
        ]
        lines.append(f"| {_as_text(name)} | {count} | " + " | ".join(cells) + " |")
    if comparison.remark:
        lines += ["", _as_text(comparison.remark)]
    return "\n".join(lines) + "\n"


def _as_text(words: str) -> str:
    """Return words as Markdown that shows them as they are."""
    return re.sub(r"[\\`*<|\[\]]", r"\\\g<0>", words)


def draw_comparison(comparison: Comparison, file: Path) -> None:
    """Draw a panel for each metric: every run a dot, their mean a line, baselines across."""
    names = list(comparison.rows)
    from matplotlib.figure import Figure

    from fastsw._palette import INK, LINES, PATH

    figure = Figure(
        figsize=(2.0 + 1.9 * len(comparison.metrics), 1.6 + 0.3 * len(names)), layout="constrained"
    )
    panels = np.atleast_1d(figure.subplots(1, len(comparison.metrics), sharey=True))
    for axes, metric in zip(panels, comparison.metrics, strict=True):
        for place, name in enumerate(names):
            values = comparison.rows[name][metric]
            axes.plot(values, [place] * len(values), "o", color=PATH, alpha=0.5, markersize=4)
            axes.plot(np.mean(values), place, "|", color=INK, markersize=14)
        for (name, row), (colour, dashes) in zip(
            comparison.baselines.items(), cycle(LINES), strict=False
        ):
            mean = np.mean(row[metric])
            axes.axvline(mean, color=colour, linestyle=dashes, linewidth=1.2, label=name)
        axes.set_title(short_name(metric), fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
    panels[0].set_yticks(range(len(names)), names, parse_math=False)
    panels[0].invert_yaxis()
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(comparison.baselines))
    figure.suptitle(comparison.title, parse_math=False)
    figure.savefig(file, dpi=120)
