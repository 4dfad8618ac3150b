"""The picture of an alignment: similarity, posterior and path between two strips of key frames."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation, Transform, blended_transform_factory

from fastsw._palette import INK, PATH, UNMATCHED
from lac._matching import Matching
from lac._trust import Trust
from lac.pictures._layers import layers
from lac.pictures._shown import Shown
from lac.pictures._times import (
    in_minutes,
    matched_parts,
    matched_spans,
    round_times,
    tick,
    unmatched_spans,
)
from lac.pictures._words import heading, printable, shortened, summary, trust_line, wrapped

# In inches:
_LONG, _SHORT = 4.8, 2.8  # sides of the matrix at most and at least; else as the durations
_FRAME = (0.78, 1.02)  # height and width of the largest key frame
_GAP = 0.06  # between bar and matrix, and between key frames at least
_EDGE = 0.11  # width of the bar of matched spans
_TICKS = (0.46, 0.27)  # room for the times beside rows, and above columns
_TICK_EVERY = (0.4, 0.6)
_BARS = (0.95, 0.7)  # room for the colour bars
_PIXELS = 220  # an inch of key frames
_SIMILARITY = "similarity of frames\n(cosine / temperature, less its mean)"
_POSTERIOR = "probability that frames are paired"


def draw_alignment(
    file: Path,
    matching: Matching,
    a: Shown,
    b: Shown,
    *,
    trust: Trust | None = None,
    dpi: int = 150,
) -> None:
    """Write a picture of similarity, posterior and path, with key frames along the sides.

    Parameters
    ----------
    file : Path
        Of any kind that matplotlib writes. Its folder is made if it is not there.
    matching : Matching
        Of `a`, whose time runs down, and `b`, whose time runs to the right.
    a, b : Shown
        The videos.
    trust : Trust, optional
        How far the alignment can be trusted, said in the title and in one line beneath.
    dpi : int
        Pixels an inch; the picture is 6 to 9 inches wide.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    alignment_figure(matching, a, b, trust=trust).savefig(file, dpi=dpi)


def alignment_figure(
    matching: Matching, a: Shown, b: Shown, *, trust: Trust | None = None
) -> Figure:
    """Return the picture; its first axes hold the matrix."""
    videos = a, b
    height, width = inches = _sides(videos)
    left, top = (_room(side, video) for side, video in enumerate(videos))
    wide = left + width + sum(_BARS) + 0.6
    title = wrapped(heading(matching, a, b, trust), _fitting(wide - 0.6, 12, "bold"))
    below = (
        wrapped(text, _fitting(wide - 0.6, 9))
        for text in (summary(matching, a, b), trust_line(trust))
    )
    foot = "\n".join(filter(None, below))
    words = 0.22 * len(title.splitlines()) + 0.16 * len(foot.splitlines())
    figure = Figure(figsize=(wide, top + height + words + 0.45), layout="constrained")
    figure.suptitle(title, x=0.02, ha="left", size=12, weight="bold", color=INK, parse_math=False)
    if foot:
        figure.supxlabel(foot, x=0.02, ha="left", size=9, color=INK, parse_math=False)
    axes = figure.subplots()
    axes.set(xticks=[], yticks=[])
    _draw_matrix(axes, matching)
    _draw_colour_bars(axes)
    for side, video in enumerate(videos):
        _draw_side(axes, side, video, matched_spans(matching, side), inches[side])
    return figure


def _sides(videos: Sequence[Shown]) -> tuple[float, float]:
    """Return height and width of the matrix in inches."""
    lengths = [float(video.times[-1] - video.times[0]) for video in videos]
    if not all(lengths):
        lengths = [float(len(video.times)) for video in videos]
    height, width = (max(_SHORT, _LONG * length / max(lengths)) for length in lengths)
    return height, width


def _room(side: int, video: Shown) -> float:
    """Return how many inches the bar, the times and the key frames beside the matrix take."""
    beside = _GAP + _EDGE + _TICKS[side]
    return beside if video.source is None else beside + _frame_size(video)[1 - side]


def _frame_size(video: Shown) -> tuple[float, float]:
    """Return height and width of a key frame in inches."""
    height, width = video.shape
    scale = min(_FRAME[0] / height, _FRAME[1] / width)
    return height * scale, width * scale


def _draw_matrix(axes: Axes, matching: Matching) -> None:
    """Draw similarity, posterior and path."""
    rows, columns = matching.similarity.shape
    for layer in layers(matching):
        axes.imshow(
            layer.cells,
            cmap=layer.colours,
            norm=layer.norm,
            interpolation="nearest",
            aspect="auto",
            extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        )
    halo = [patheffects.withStroke(linewidth=3.8, foreground="white")]
    for part in matched_parts(matching):
        marker = "o" if len(part) == 1 else None
        axes.plot(*part.T[::-1], color=PATH, linewidth=2, marker=marker, path_effects=halo)


def _draw_colour_bars(axes: Axes) -> None:
    """Explain the colours, right of the matrix."""
    place = 0.15
    for drawn, label, room in zip(axes.images, (_SIMILARITY, _POSTERIOR), _BARS, strict=True):
        bar = _inset(axes, (place, 0, 0.14, 1), corner=(1, 0), along=0)
        axes.figure.colorbar(drawn, cax=bar).outline.set_linewidth(0.6)
        bar.set_ylabel(label, size=8, color=INK)
        bar.tick_params(labelsize=8, color=INK, labelcolor=INK)
        bar.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        place += room


def _inset(
    axes: Axes, bounds: tuple[float, float, float, float], *, corner: tuple[int, int], along: int
) -> Axes:
    """Return axes as long as a side: 0 rows, 1 columns; across it, in inches from a corner."""
    inches = axes.figure.dpi_scale_trans + ScaledTranslation(*corner, axes.transAxes)  # type: ignore[arg-type]
    across: tuple[Transform, Transform] = (inches, axes.transAxes)
    return axes.inset_axes(
        bounds, transform=blended_transform_factory(*(across[::-1] if along else across))
    )


def _draw_side(
    axes: Axes, side: int, video: Shown, spans: Sequence[tuple[int, int]], length: float
) -> None:
    """Draw matched spans, times and key frames beside the rows or above the columns."""
    others = unmatched_spans(spans, len(video.times))
    for first, last in others:
        _draw_span(axes, side, first, last, hatch="//", fill=False, alpha=0.3)
    edge = _beside(axes, side, _GAP, _EDGE)
    edge.spines[:].set_linewidth(0.6)
    for first, last in others:
        _draw_span(edge, side, first, last, hatch="////", facecolor="white")
    for first, last in spans:
        _draw_span(edge, side, first, last, facecolor=PATH, edgecolor=PATH)
    ticks = edge.yaxis if side == 0 else edge.xaxis
    seconds = round_times(video.times[0], video.times[-1], most=int(length / _TICK_EVERY[side]))
    ticks.set_ticks(
        np.interp(seconds, video.times, np.arange(len(video.times))).tolist(),
        [tick(time, longest=float(video.times[-1])) for time in seconds],
        fontsize=8,
        color=INK,
    )
    outer = edge
    if video.source is not None:
        thick = _frame_size(video)[1 - side]
        outer = _beside(axes, side, _room(side, video) - thick, thick)
        outer.patch.set_visible(False)
        outer.spines[:].set_visible(False)
        _draw_key_frames(outer, side, video, spans, length)
    if video.source is None:
        words = "frame of"
    else:
        words = "time in" if in_minutes(float(video.times[-1])) else "seconds of"
    label = shortened(f"{words} {printable(video.name)}", _fitting(length, 9))
    outer.xaxis.set_label_position("top")
    (outer.yaxis if side == 0 else outer.xaxis).set_label_text(
        label, size=9, color=INK, parse_math=False
    )


def _draw_span(axes: Axes, side: int, first: int, last: int, **look: Any) -> None:
    """Fill a span of frames from edge to edge, or hatch it."""
    draw = axes.axhspan if side == 0 else axes.axvspan
    draw(first - 0.5, last + 0.5, **{"edgecolor": UNMATCHED, "linewidth": 0, **look})


def _draw_key_frames(
    axes: Axes, side: int, video: Shown, spans: Sequence[tuple[int, int]], length: float
) -> None:
    """Draw frames beside their times, evenly spread; those that match nothing are pale."""
    size = _frame_size(video)
    count = max(1, min(len(video.times), int(length / (size[side] + _GAP))))
    numbers = ((np.arange(count) + 0.5) / count * len(video.times)).astype(np.int64)
    pixels = video.within(size[0] * _PIXELS, size[1] * _PIXELS)
    for number, picture in zip(numbers, video.frames(numbers, pixels), strict=True):
        matched = any(first <= number <= last for first, last in spans)
        grey = picture.mean(2, keepdims=True)
        shown = picture if matched else (255 - 0.55 * (255 - grey)).repeat(3, 2).astype(np.uint8)
        place = (0.5, number) if side == 0 else (number, 0.5)
        frame = AnnotationBbox(
            OffsetImage(shown, zoom=72 * size[0] / pixels[0], interpolation="hanning"),
            place,
            pad=0,
            bboxprops={"edgecolor": PATH if matched else UNMATCHED, "linewidth": 1.2},
        )
        axes.add_artist(frame)


def _beside(axes: Axes, side: int, away: float, thick: float) -> Axes:
    """Return axes left of the rows or above the columns that share their frame numbers."""
    bounds = (-away - thick, 0.0, thick, 1.0) if side == 0 else (0.0, away, 1.0, thick)
    strip = _inset(axes, bounds, corner=(0, 1), along=side)
    strip.set(xlim=(0, 1), ylim=(0, 1), xticks=[], yticks=[])
    strip.set(**({"ylim": axes.get_ylim()} if side == 0 else {"xlim": axes.get_xlim()}))
    strip.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    return strip


def _fitting(inches: float, size: float, weight: str = "normal") -> Callable[[str], bool]:
    """Return whether a line of text, in points, is no longer than that."""
    properties = FontProperties(weight=weight)

    def fits(text: str) -> bool:
        plain = text.replace("$", "S")  # no mathematics
        return (
            TextPath((0, 0), plain, size=size, prop=properties).get_extents().width <= 72 * inches
        )

    return fits
