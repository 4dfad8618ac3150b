"""Embed videos with a trained run: ``python -m lac.embed RUN videos... -o DIR``.

Writes DIR/NAME.npz for each video, with `embeddings` (T, D) and `times` (T,) in seconds. For a run
on features the inputs are .npy or .npz files, and times are frame numbers.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lac._atomic import written_whole
from lac._embedding import Embedded, embed_file, require_readable
from lac._hints import program
from lac._loadable import require
from lac._progress import announced, progress
from lac.cli._console import plain_console
from lac.cli._errors import errors_in_one_line, interruptible
from lac.cli._parser import CommandParser, add_reading, add_run, one_of

if TYPE_CHECKING:
    from rich.console import Console

    from lac._embedder import Embedder


__all__ = ["Embedded", "embed_file", "main", "require_readable"]


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, embed, write."""
    options = _parser().parse_args(args)
    with interruptible(), errors_in_one_line():
        _refuse_same_names(options.videos)
        require(options.run, options.checkpoint)
        if options.on_error == "refuse":
            for path in options.videos:
                require_readable(path)
        with announced("Loading the network"):
            from lac._embedder import load

            embedder = load(options.run, checkpoint=options.checkpoint)
        console = plain_console()
        for reason in _embed_all(embedder, options, console):
            console.print(f"Left out: {reason}", soft_wrap=True)


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("embed"),
        description="Embed the frames of videos: DIR/NAME.npz holds `embeddings` (T, D) and `times`"
        " (T,) of\nNAME.mp4, in seconds; of NAME.npy for a run on features, in frames.",
        examples=[
            "lite0 a.mp4 b.mp4 -o embeddings",
            "runs/rendered-1 clips/*.mp4 -o embeddings --on_error skip",
        ],
    )
    add_run(parser)
    parser.add_argument("videos", type=Path, nargs="+", metavar="VIDEO", help="video files")
    parser.add_argument(
        "--output", "-o", type=Path, required=True, metavar="DIR", help="folder to write to"
    )
    add_reading(parser)
    parser.add_argument(
        "--on_error",
        type=one_of("refuse", "skip"),
        default="refuse",
        metavar="{refuse,skip}",
        help="stop at a file that cannot be read (default), or go on and list it at the end",
    )
    return parser


def _embed_all(embedder: "Embedder", options: argparse.Namespace, console: "Console") -> list[str]:
    """Embed and write every file; return why some were left out."""
    skipped = []
    options.output.mkdir(parents=True, exist_ok=True)
    for path in progress(options.videos, "Embedding"):
        try:
            embedded = embed_file(embedder, path, every=options.every)
        except (ValueError, OSError) as error:
            if options.on_error == "refuse":
                raise
            skipped.append(str(error))
            continue
        file = options.output / f"{path.stem}.npz"
        with written_whole(file) as unfinished:
            np.savez(unfinished, **embedded._asdict())
        frames, dimension = embedded.embeddings.shape
        console.print(f"{file}: {frames} frames, {dimension} features", soft_wrap=True)
    return skipped


def _refuse_same_names(paths: Iterable[Path]) -> None:
    """Refuse files whose embeddings would be written to one place."""
    from lac.data._names import normal

    for stem, count in Counter(normal(path.stem) for path in paths).items():
        if count > 1:
            raise ValueError(f"`videos` must differ in name, got {count} called {stem!r}")
