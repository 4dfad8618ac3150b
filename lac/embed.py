"""Embed videos with a trained run: ``python -m lac.embed RUN videos... -o DIR``.

Writes DIR/NAME.npz for each video, with `embeddings` (T, D) and `times` (T,) in seconds. For a run
on features the inputs are .npy or .npz files, and times are frame numbers.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jsonargparse import ArgumentParser
from jsonargparse.typing import PositiveInt
from rich.console import Console

from lac._console import plain_console
from lac._embedder import Embedder, load
from lac.data import read_features, read_video
from lac.data._names import normal


class Embedded(NamedTuple):
    """Embeddings (T, D) float32 of a video's frames, and the frames' times (T,) in seconds."""

    embeddings: np.ndarray
    times: np.ndarray


def embed_file(embedder: Embedder, path: Path, *, every: int = 1) -> Embedded:
    """Embed a video file, or a file of features for a run on features.

    Parameters
    ----------
    embedder : Embedder
        From `lac.load`.
    path : Path
        The file.
    every : int
        Take every so many frames, >= 1: for videos much slower or longer than those of training.

    Returns
    -------
    Embedded
        With frame numbers as times if the file holds features.

    Raises
    ------
    ValueError
        If the file cannot be read, or holds features of another width than the run's.
    """
    if embedder.image_size is None:
        content = read_features(path)
        seconds = np.arange(len(content), dtype=np.float64)
        if content.shape[1] != embedder.channels:
            raise ValueError(
                f"{path}: features must be of width {embedder.channels}, as the run's,"
                f" got {content.shape[1]}"
            )
    else:
        video = read_video(path, size=embedder.image_size)
        content, seconds = video.frames, video.times
    numbers = np.arange(0, len(content), every)
    return Embedded(embedder(content[numbers], numbers).cpu().numpy(), seconds[numbers])


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line, embed, write."""
    parser = ArgumentParser(prog="python -m lac.embed", description=__doc__)
    parser.add_argument("run", help="run directory of lac.train, or lite0 (nothing trained)")
    parser.add_argument("videos", type=Path, nargs="+", help="video files")
    parser.add_argument("--output", "-o", type=Path, required=True, help="folder to write to")
    parser.add_argument("--every", type=PositiveInt, default=1, help="take every so many frames")
    parser.add_argument(
        "--checkpoint", type=Literal["last", "best"], default="last", help="which weights"
    )
    parser.add_argument(
        "--on_error",
        type=Literal["refuse", "skip"],
        default="refuse",
        help="stop at a file that cannot be read, or go on and list it at the end",
    )
    options = parser.parse_args(args)
    console = plain_console()
    try:
        _refuse_same_names(options.videos)
        embedder = load(options.run, checkpoint=options.checkpoint)
        skipped = _embed_all(embedder, options, console)
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")
    for reason in skipped:
        console.print(f"Left out: {reason}", soft_wrap=True)


def _embed_all(embedder: Embedder, options, console: Console) -> list[str]:
    """Embed and write every file; return why some were left out."""
    skipped = []
    options.output.mkdir(parents=True, exist_ok=True)
    for path in options.videos:
        try:
            embedded = embed_file(embedder, path, every=options.every)
        except (ValueError, OSError) as error:
            if options.on_error == "refuse":
                raise
            skipped.append(str(error))
            continue
        file = options.output / f"{path.stem}.npz"
        part = file.with_name(f".{file.name}.part")
        with part.open("wb") as stream:
            np.savez(stream, **embedded._asdict())
        os.replace(part, file)
        frames, dimension = embedded.embeddings.shape
        console.print(f"{file}: {frames} frames, {dimension} features", soft_wrap=True)
    return skipped


def _refuse_same_names(paths: Iterable[Path]) -> None:
    """Refuse files whose embeddings would be written to one place."""
    for stem, count in Counter(normal(path.stem) for path in paths).items():
        if count > 1:
            raise ValueError(f"`videos` must differ in name, got {count} called {stem!r}")


if __name__ == "__main__":
    main()
