"""Runs grouped by what they were trained on and how: means and standard deviations over seeds."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from lac.evaluation._differences import Clips, Estimate, difference, estimate
from lac.evaluation._record import Report
from lac.evaluation._report import ACROSS, LOWER_IS_BETTER, seen_as, short_name

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
    runs: dict[str, list[Run]]  # of each row

    def estimates(self, reference: str | None = None) -> dict[str, dict[str, Estimate]]:
        """Return a row with its intervals, and how far each other is above it, by metric.

        Nothing unless there are several rows and all runs tell the values of every clip. Rows
        are paired by seed; of those without a common seed nothing is said.

        Parameters
        ----------
        reference : str, optional
            Name of the row, by default the first.
        """
        told = all("clips" in run.report for runs in self.runs.values() for run in runs)
        if len(self.rows) < 2 or not told:
            return {}
        reference = next(iter(self.rows)) if reference is None else reference
        seeds = {name: _by_seed(runs) for name, runs in self.runs.items()}
        own = seeds[reference]
        found = {reference: {m: estimate([run[m] for run in own.values()]) for m in self.metrics}}
        for name, other in seeds.items():
            common = sorted(other.keys() & own.keys())
            if name != reference and common:
                found[name] = {
                    m: difference([other[s][m] for s in common], [own[s][m] for s in common])
                    for m in self.metrics
                }
        return found

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
            ("metrics", lambda r: [m for m in _metrics(r) if m not in ACROSS]),
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
    # Older runs have not been measured across clips.
    metrics = [m for m in _metrics(first) if all(m in _metrics(run) for run in runs)]
    named = dict(zip(_names(list(groups)), groups.values(), strict=True))
    rows = {name: _collect(group, "learned", metrics) for name, group in named.items()}
    order = "phase_accuracy@1" if "phase_accuracy@1" in metrics else metrics[0]
    best_first = sorted(rows, key=lambda name: -np.mean(rows[name][order]))
    return Comparison(
        title=_title(first),
        metrics=metrics,
        rows={name: rows[name] for name in best_first},
        baselines=_baselines(runs, metrics),
        runs={name: named[name] for name in best_first},
    )


def _metrics(run: Run) -> list[str]:
    """Return what the learned embedding of a run was measured by."""
    return list(run.report["metrics"]["learned"])


def _by_seed(runs: Iterable[Run]) -> dict[str, Mapping[str, Clips]]:
    """Return what was measured of each clip by the seeds of runs, and by metric."""
    return {str(run.settings.get("seed_everything")): run.report["clips"] for run in runs}


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


def in_words(found: Estimate, *, is_difference: bool) -> str:
    """Say an estimate, and of a difference how sure it is."""
    if not is_difference:
        return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"
    chance = ", ".join("-" if p is None else f"{p:.2g}" for p in (found.p_clips, found.p_seeds))
    words = f"{found.mean:+.3f} ({found.low:+.3f} to {found.high:+.3f}), p {chance}"
    return f"{words} \u2605" if found.significant else words


HOW_SURE = (
    "Difference from the first column, in brackets its 95 % interval by the bootstrap over clips;"
    " p over clips (signs) and over seeds (Student's t), with a star where both are below 0.05."
)


def as_markdown(comparison: Comparison, *, reference: str | None = None) -> str:
    """Return a comparison as a Markdown table, the best mean of learned rows in bold.

    Where runs tell what was measured of each clip, a second table says how sure it is that other
    rows differ from that of the name `reference`.
    """
    metrics = comparison.metrics
    best = {
        m: (min if m in LOWER_IS_BETTER else max)(
            np.mean(row[m]) for row in comparison.rows.values()
        )
        for m in metrics
    }
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
    if estimates := comparison.estimates(reference):
        lines += [
            "",
            "| | " + " | ".join(_as_text(name) for name in estimates) + " |",
            "|---" * (1 + len(estimates)) + "|",
        ]
        for m in metrics:
            cells = [
                in_words(own[m], is_difference=k > 0) for k, own in enumerate(estimates.values())
            ]
            lines.append(f"| {short_name(m)} | " + " | ".join(cells) + " |")
        lines += ["", HOW_SURE]
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
