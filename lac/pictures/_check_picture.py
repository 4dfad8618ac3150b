"""The picture of a check: distance and surprise of both videos, with the steps that depart."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fastsw._palette import INK, LINES, PATH, UNMATCHED
from lac._checking import Checked
from lac.pictures._shown import Shown
from lac.pictures._steps import check_heading
from lac.pictures._times import round_times, tick
from lac.pictures._words import printable

STEP_COLOURS = {"missing": LINES[0][0], "extra": LINES[1][0], "changed": LINES[3][0]}


def draw_check(
    file: Path, checked: Checked, reference: Shown, query: Shown, *, dpi: int = 150
) -> None:
    """Write a picture of distance and surprise along both videos, steps that depart shaded.

    Parameters
    ----------
    file : Path
        Of any kind that matplotlib writes. Its folder is made if it is not there.
    checked : Checked
        Of `query` and `reference`.
    reference, query : Shown
        The videos.
    dpi : int
        Pixels an inch; the picture is 9 inches wide.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    check_figure(checked, reference, query).savefig(file, dpi=dpi)


def check_figure(checked: Checked, reference: Shown, query: Shown) -> Figure:
    """Return the picture; its axes are of the reference and of the query."""
    figure = Figure(figsize=(9, 5), layout="constrained")
    title = check_heading(checked, reference, query)
    figure.suptitle(title, x=0.02, ha="left", size=12, weight="bold", color=INK, parse_math=False)
    figure.supxlabel(str(checked.limit), x=0.02, ha="left", size=9, color=INK)
    both = figure.subplots(2)
    top = 1.1 * max(checked.limit.distance, *(side.distance.max() for side in checked.moments))
    for side, (axes, video) in enumerate(zip(both, (reference, query), strict=True)):
        _draw_side(axes, checked, side, video, top=float(top))
    both[0].legend(handles=_legend(), ncols=6, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1))
    return figure


def _legend() -> list[Line2D | Patch]:
    """Explain lines and colours."""
    return [
        Line2D([], [], color=PATH, label="distance"),
        Line2D([], [], color=UNMATCHED, linewidth=1, label="surprise"),
        Line2D([], [], color=INK, linestyle="--", linewidth=1, label="limit"),
        *(Patch(color=colour, alpha=0.3, label=kind) for kind, colour in STEP_COLOURS.items()),
    ]


def _draw_side(axes: Axes, checked: Checked, side: int, video: Shown, *, top: float) -> None:
    """Draw the moments of one video."""
    moments = checked.moments[side]
    frames = np.arange(len(video.times))
    for step in checked.steps:
        first, last = (step.reference, step.query)[side]
        lacks = step.kind == ("extra", "missing")[side]
        edges = (first, last) if lacks else (first - 0.5, last + 0.5)
        axes.axvspan(*edges, color=STEP_COLOURS[step.kind], alpha=0.3, linewidth=2 * lacks)
    beside = axes.twinx()
    beside.plot(frames, moments.surprise, color=UNMATCHED, linewidth=1)
    beside.set_ylim(0, 10)
    beside.set_ylabel("surprise in bits", size=9, color=INK)
    axes.plot(frames, moments.distance, color=PATH)
    axes.axhline(checked.limit.distance, color=INK, linestyle="--", linewidth=1)
    axes.set(xlim=(-0.5, len(frames) - 0.5), ylim=(0, top))
    axes.set_ylabel("distance", size=9, color=INK)
    words = "frame of" if video.source is None else "time in"
    role = ("reference", "query")[side]
    axes.set_xlabel(f"{words} {printable(video.name)} ({role})", size=9, parse_math=False)
    times = round_times(float(video.times[0]), float(video.times[-1]), most=12)
    axes.set_xticks(
        np.interp(times, video.times, frames).tolist(),
        [tick(time, longest=float(video.times[-1])) for time in times],
    )
    for drawn in (axes, beside):
        drawn.tick_params(labelsize=8)
