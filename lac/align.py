"""Align two videos: ``python -m lac.align RUN a.mp4 b.mp4 [-o both.mp4] [--plot align.png]``.

Says which part of the first matches which part of the second, with times. The alignment is local:
what only one of them shows stays unmatched.
"""

import argparse
import csv
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lac._command import CommandParser, at_least_one, errors_in_one_line, existing, one_of
from lac._console import plain_console
from lac._loadable import require
from lac._progress import announced

if TYPE_CHECKING:
    from lac._matching import Matching
    from lac.embed import Embedded

_SIDE = 256  # pixels of each video in the one side by side


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, align, print, draw."""
    options = _parser().parse_args(args)
    with errors_in_one_line():
        require(options.run, options.checkpoint)
        _refuse_other_suffixes(options)
        files = existing(options.a), existing(options.b)
        with announced("Loading the network"):
            from lac._embedder import load

            embedder = load(options.run, checkpoint=options.checkpoint)
        if options.output and embedder.image_size is None:
            raise ValueError(f"`output` must be absent for a run on features, got {options.output}")
        from lac._matching import match
        from lac.embed import embed_file

        a, b = (embed_file(embedder, file, every=options.every) for file in files)
        with announced("Aligning"):
            matching = match(a.embeddings, b.embeddings, loss=embedder.loss)
        _report(matching, files, (a, b), unit="" if embedder.image_size is None else " s")
        if options.plot:
            _plot(options.plot, matching, files, (a, b))
        if options.pairs:
            _write_pairs(options.pairs, matching, (a, b), options.every)
        if options.output:
            _write_video(options.output, matching, files, a.times, options.every)


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        "python -m lac.align",
        description="Say which part of a video matches which part of another, with times. What"
        " only one of them\nshows stays unmatched.",
        examples=[
            "python -m lac.align lite0 a.mp4 b.mp4 --plot align.png",
            "python -m lac.align runs/rendered-1 a.mp4 b.mp4 -o both.mp4 --pairs pairs.csv",
        ],
    )
    parser.add_argument(
        "run", metavar="RUN", help="run directory of lac.train, or lite0 (nothing trained)"
    )
    parser.add_argument("a", type=Path, metavar="A", help="a video")
    parser.add_argument("b", type=Path, metavar="B", help="another")
    parser.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="video of both in step, as both.mp4"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="picture of similarity and alignment"
    )
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="CSV file of all matched frames")
    parser.add_argument(
        "--every", type=at_least_one, default=1, metavar="N", help="take every N-th frame"
    )
    parser.add_argument(
        "--checkpoint",
        type=one_of("last", "best"),
        default="last",
        metavar="{last,best}",
        help="which weights (default: last)",
    )
    return parser


def _refuse_other_suffixes(options: argparse.Namespace) -> None:
    """Refuse names of files that could not be written, before the work is done."""
    for name in ("output", "plot"):
        file = getattr(options, name)
        if file is None:
            continue
        suffixes = _videos() if name == "output" else _pictures()
        if file.suffix.lower() not in suffixes:
            raise ValueError(f"`{name}` must end in one of {', '.join(suffixes)}, got {file}")


def _videos() -> tuple[str, ...]:
    """Return the suffixes of videos that can be written."""
    from lac.data._video import SUFFIXES

    return SUFFIXES


def _pictures() -> tuple[str, ...]:
    """Return the suffixes of pictures that can be written."""
    from matplotlib.backend_bases import FigureCanvasBase

    return tuple(f".{kind}" for kind in FigureCanvasBase.get_supported_filetypes())


def _report(
    matching: "Matching", files: Sequence[Path], videos: "Sequence[Embedded]", *, unit: str
) -> None:
    """Print which parts match, and what is left over."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    console = plain_console()
    pairs = matching.alignment.pairs
    if not len(pairs):
        console.print("No part of one matches any part of the other.")
        return
    table = Table(box=SIMPLE_HEAD)
    for file in files:
        table.add_column(file.name)
    table.add_column("frames paired", justify="right")
    table.add_column("probability of a pair", justify="right")
    for part in matching.parts:
        spans = [
            f"{video.times[first]:.2f} to {video.times[last]:.2f}{unit}"
            for video, first, last in zip(videos, part[0], part[-1], strict=True)
        ]
        probability = matching.posterior[tuple(part.T)].mean()
        table.add_row(*spans, str(len(part)), f"{probability:.2f}")
    console.print(table)
    for file, video, column in zip(files, videos, pairs.T, strict=True):
        before, after = column[0], len(video.times) - 1 - column[-1]
        console.print(
            f"{file.name}: {before} frames before and {after} after it match nothing,"
            f" of {len(video.times)}.",
            soft_wrap=True,
        )


def _plot(
    file: Path, matching: "Matching", files: Sequence[Path], videos: "Sequence[Embedded]"
) -> None:
    """Draw similarity, posterior and path, with times along the sides."""
    from matplotlib.figure import Figure

    import fastsw

    figure = Figure(figsize=(7.2, 5.6), layout="constrained")
    axes = fastsw.plot.alignment(
        matching.similarity, matching.posterior, matching.alignment, figure.subplots()
    )
    for axis, times in ((axes.yaxis, videos[0].times), (axes.xaxis, videos[1].times)):
        axis.set_major_formatter(partial(_tick, times))
    axes.set_ylabel(f"time in {files[0].name}", parse_math=False)
    axes.set_xlabel(f"time in {files[1].name}", parse_math=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)


def _tick(times: np.ndarray, at: float, _: int) -> str:
    """Return the time at a place between frames."""
    return f"{np.interp(at, np.arange(len(times)), times):.2f}"


def _write_pairs(
    file: Path, matching: "Matching", videos: "Sequence[Embedded]", every: int
) -> None:
    """Write one line for each pair of matched frames."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a_frame", "a_time", "b_frame", "b_time", "probability"])
        for t, u in matching.alignment.pairs.tolist():
            times = (f"{video.times[at]:.4f}" for video, at in zip(videos, (t, u), strict=True))
            a_time, b_time = times
            probability = f"{matching.posterior[t, u]:.4f}"
            writer.writerow([t * every, a_time, u * every, b_time, probability])


def _write_video(
    file: Path, matching: "Matching", files: Sequence[Path], times: np.ndarray, every: int
) -> None:
    """Write the aligned part of the first video beside the second's, warped onto its time."""
    if not len(matching.alignment):
        raise ValueError(f"`output` needs a part that matches, got none for {file}")
    from lac.data import read_video
    from lac.evaluation import write_aligned_video

    videos = [read_video(path, size=_SIDE).frames[::every] for path in files]
    rate = 1 / np.median(np.diff(times)) if len(times) > 1 else 1
    file.parent.mkdir(parents=True, exist_ok=True)
    write_aligned_video(file, videos, matching.alignment, fps=max(1, round(rate)))


if __name__ == "__main__":
    main()
