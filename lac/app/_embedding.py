"""Embeddings of the videos of a task, which are kept for the next one."""

from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

import fastsw
from lac._embedder import Embedder, load
from lac._embedding import Embedded, embed_file
from lac._loadable import is_frozen
from lac._progress import announced, progress
from lac._run_directory import RunDirectory
from lac.data.cache import ArrayCache
from lac.data.video.frames import decoding
from lac.data.video.header import read_header

_CELLS = 50_000_000  # of a similarity at most: 200 megabytes, and the posterior as many
_FRAMES = 1500  # of a video, where nothing is said: so many are taken at most


class EmbeddedVideos(NamedTuple):
    """Videos as one encoder sees them."""

    embedder: Embedder
    videos: list[Embedded]
    every: int


def embedded(encoder: str, files: Sequence[Path], every: int | None, cache: str) -> EmbeddedVideos:
    """Return the embeddings of videos, of every so many frames; by their number if not said."""
    with announced("Loading the network"):
        embedder = _current(encoder)
    every = every or _usual_every(embedder, files)
    kept = ArrayCache(Path(cache))
    videos = [
        _embed_cached(embedder, encoder, file, every=every, cache=kept)
        for file in progress(files, "Embedding")
    ]
    return EmbeddedVideos(embedder, videos, every)


def _embed_cached(
    embedder: Embedder, encoder: str, file: Path, *, every: int, cache: ArrayCache
) -> Embedded:
    """Return the embeddings of a video, computed once for a file, an encoder and a step."""
    recipe = f"embedding {fastsw.__version__} {_stamp(encoder)} every {every} {decoding()}"
    computed: list[Embedded] = []

    def part(name: str) -> np.ndarray:
        if not computed:
            computed.append(embed_file(embedder, file, every=every))
        array: np.ndarray = getattr(computed[0], name)
        return array

    arrays = (cache.get(file, f"{recipe} {name}", partial(part, name)) for name in Embedded._fields)
    return Embedded(*arrays)


def _usual_every(embedder: Embedder, files: Sequence[Path]) -> int:
    """Return how many frames make a step where nothing is said: more for long videos."""
    longest = max(read_header(file).frames for file in files)
    return embedder.every * max(1, -(-longest // (embedder.every * _FRAMES)))


def require_comparable(lengths: Sequence[int], every: int) -> None:
    """Refuse videos of so many frames that not every pair of two of them can be compared."""
    *_, second, first = sorted(lengths)
    if first * second > _CELLS:
        raise ValueError(
            f"`every` must be larger than {every} for videos of {first} and {second} frames: at"
            f" most {_CELLS} pairs of frames are compared"
        )


def _current(encoder: str) -> Embedder:
    """Return an encoder, loaded once as long as it stays the same."""
    return _loaded(encoder, _stamp(encoder))


@lru_cache(maxsize=2)
def _loaded(encoder: str, stamp: str) -> Embedder:
    """Return an encoder, loaded once."""
    return load(encoder)


def _stamp(encoder: str) -> str:
    """Return another name as soon as an encoder is another."""
    if is_frozen(encoder):
        return encoder
    status = RunDirectory(encoder).last.stat()
    return f"{encoder} {status.st_size} {status.st_mtime_ns}"
