"""Align two videos: ``python -m lac.align RUN a.mp4 b.mp4 [-o both.mp4] [--plot align.png]``.

Says which part of the first matches which part of the second, with times. The alignment is local:
what only one of them shows stays unmatched.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lac._hints import program
from lac._loadable import require
from lac._progress import announced, progress
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible, refuse_overwriting
from lac.cli._parser import CommandParser, add_reading, add_run

if TYPE_CHECKING:
    from lac._embedding import Embedded
    from lac._matching import Matching


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, align, print, draw."""
    options = _parser().parse_args(args)
    with interruptible(), errors_in_one_line():
        require(options.run, options.checkpoint)
        refuse_unwritable(options, "output", "plot", "html")
        files = options.a, options.b
        from lac._embedding import embed_file, require_readable

        for file in files:
            require_readable(file)
        written = {name: getattr(options, name) for name in ("output", "plot", "html", "pairs")}
        refuse_overwriting(files, **written)
        with announced("Loading the network"):
            from lac._embedder import load

            embedder = load(options.run, checkpoint=options.checkpoint)
        if options.output and embedder.image_size is None:
            raise ValueError(f"`output` must be absent for a run on features, got {options.output}")
        from lac._matching import match

        options.every = options.every or embedder.every
        a, b = (
            embed_file(embedder, file, every=options.every) for file in progress(files, "Embedding")
        )
        with announced("Aligning"):
            matching = match(a.embeddings, b.embeddings, loss=embedder.loss)
        _report(matching, files, (a, b), unit="" if embedder.image_size is None else " s")
        _draw(options, matching, files, (a, b), features=embedder.image_size is None)


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("align"),
        description="Say which part of a video matches which part of another, with times. What"
        " only one of them\nshows stays unmatched.",
        examples=[
            "lite0 a.mp4 b.mp4 --plot align.png",
            "runs/rendered-1 a.mp4 b.mp4 -o both.mp4 --pairs pairs.csv",
            "lite0 a.mp4 b.mp4 --html both.html",
        ],
    )
    add_run(parser)
    parser.add_argument("a", type=Path, metavar="A", help="a video")
    parser.add_argument("b", type=Path, metavar="B", help="another")
    parser.add_argument(
        "--output", "-o", type=Path, metavar="FILE", help="video of both in step, as both.mp4"
    )
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="picture of similarity and alignment"
    )
    parser.add_argument(
        "--html", type=Path, metavar="FILE", help="page with the picture and both videos in step"
    )
    parser.add_argument("--pairs", type=Path, metavar="FILE", help="CSV file of all matched frames")
    add_reading(parser)
    return parser


def refuse_unwritable(options: argparse.Namespace, *names: str) -> None:
    """Refuse names of files that could not be written, before the work is done."""
    allowed: dict[str, Callable[[], tuple[str, ...]]] = {
        "output": _videos,
        "plot": _pictures,
        "html": lambda: (".html", ".htm"),
    }
    for name in names:
        file = getattr(options, name)
        if file is None:
            continue
        suffixes = allowed[name]()
        if file.suffix.lower() not in suffixes:
            raise ValueError(f"`{name}` must end in one of {', '.join(suffixes)}, got {file}")


def _videos() -> tuple[str, ...]:
    """Return the suffixes of videos that can be written."""
    from lac.data.video.files import WRITABLE

    return WRITABLE


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
    console.print(str(matching.trust), soft_wrap=True)


def _draw(
    options: argparse.Namespace,
    matching: "Matching",
    files: Sequence[Path],
    videos: "Sequence[Embedded]",
    *,
    features: bool,
) -> None:
    """Write the table, the picture, the video and the page that are asked for."""
    if not (options.pairs or options.plot or options.output or options.html):
        return
    from lac.pictures import Shown, draw_alignment, write_page, write_pairs, write_side_by_side

    a, b = (
        Shown(file.name, video.times, None if features else file, options.every)
        for file, video in zip(files, videos, strict=True)
    )
    if options.pairs:
        write_pairs(options.pairs, matching, a, b)
    trust = matching.trust if len(matching.alignment) else None
    if options.plot:
        with announced(f"Drawing {options.plot.name}"):
            draw_alignment(options.plot, matching, a, b, trust=trust)
    if options.output:
        with announced(f"Writing {options.output.name}"):
            write_side_by_side(options.output, matching, a, b, trust=trust)
    if options.html:
        with announced(f"Writing {options.html.name}"):
            write_page(options.html, matching, a, b, trust=trust)
