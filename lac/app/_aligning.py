"""Tasks on pairs of videos: aligning them, and what can be taken along of that."""

import json
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

import fastsw
from lac._atomic import written_whole
from lac._embedder import Embedder, load
from lac._embedding import Embedded, embed_file
from lac._loadable import is_frozen
from lac._matching import Matching, Scoring, match
from lac._progress import announced, progress
from lac._run_directory import RunDirectory
from lac._trust import Trust
from lac.data.cache import ArrayCache
from lac.data.video.frames import decoding
from lac.data.video.header import read_header
from lac.pictures import (
    Shown,
    alignment_view,
    draw_alignment,
    layer_pictures,
    write_page,
    write_pairs,
    write_side_by_side,
)

VIEW, SIMILARITY, POSTERIOR = "view.json", "similarity.png", "posterior.png"
PAIRS, PICTURE, BOTH, REPORT = "pairs.csv", "alignment.png", "both.mp4", "report.html"
_ARRAYS = "arrays.npz"
_CELLS = 50_000_000  # of a similarity at most: 200 megabytes, and the posterior as many
_FRAMES = 1500  # of a video, where nothing is said: so many are taken at most


def align(
    paths: Sequence[str],
    names: Sequence[str],
    encoder: str,
    every: int | None,
    cache: str,
    folder: str,
) -> dict[str, Any]:
    """Align two videos as `lac.align` does, and write all that the page shows."""
    with announced("Loading the network"):
        embedder = loaded(encoder)
    files = [Path(path) for path in paths]
    every = every or usual_every(embedder, files)
    kept = ArrayCache(Path(cache))
    a, b = (
        embed_cached(embedder, encoder, file, every=every, cache=kept)
        for file in progress(files, "Embedding")
    )
    with announced("Aligning"):
        require_comparable([len(a.times), len(b.times)], every)
        matching = match(a.embeddings, b.embeddings, loss=embedder.loss)
        shown = [
            Shown(name, video.times, file, every)
            for name, video, file in zip(names, (a, b), files, strict=True)
        ]
        _write(Path(folder), matching, shown)
    return {
        "files": [VIEW, SIMILARITY, POSTERIOR, PAIRS, PICTURE],
        "every": every,
    }


def export(
    paths: Sequence[str],
    names: Sequence[str],
    what: Literal["video", "report"],
    source: str,
    folder: str,
) -> dict[str, Any]:
    """Write the video of both in step, or the screen as one file, of an alignment that is done."""
    matching, shown = _read(Path(source), paths, names)
    trust = _trust(matching)
    name = BOTH if what == "video" else REPORT
    write = write_side_by_side if what == "video" else write_page
    with announced(f"Writing {name}"):
        write(Path(folder) / name, matching, *shown, trust=trust)
    return {"files": [name]}


def embed_cached(
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


def usual_every(embedder: Embedder, files: Sequence[Path]) -> int:
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


def loaded(encoder: str) -> Embedder:
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


def _trust(matching: Matching) -> Trust | None:
    return matching.trust if len(matching.alignment) else None


def write_view(folder: Path, matching: Matching, shown: Sequence[Shown]) -> None:
    """Write what the page shows of an alignment."""
    trust = _trust(matching)
    folder.mkdir(parents=True, exist_ok=True)
    view = alignment_view(matching, *shown, trust=trust)
    with written_whole(folder / VIEW) as unfinished:
        unfinished.write_text(json.dumps(view, separators=(",", ":")), encoding="utf-8")
    for name, content in zip((SIMILARITY, POSTERIOR), layer_pictures(matching), strict=True):
        (folder / name).write_bytes(content)


def _write(folder: Path, matching: Matching, shown: Sequence[Shown]) -> None:
    """Write an alignment: for the page, to take along, and to go on with."""
    write_view(folder, matching, shown)
    trust = _trust(matching)
    write_pairs(folder / PAIRS, matching, *shown)
    draw_alignment(folder / PICTURE, matching, *shown, trust=trust)
    np.savez_compressed(
        folder / _ARRAYS,
        similarity=matching.similarity,
        posterior=matching.posterior,
        pairs=matching.alignment.pairs,
        score=matching.alignment.score,
        scoring=np.array(matching.scoring),
        every=shown[0].every,
        times_a=shown[0].times,
        times_b=shown[1].times,
    )


def _read(folder: Path, paths: Sequence[str], names: Sequence[str]) -> tuple[Matching, list[Shown]]:
    """Read an alignment back."""
    with np.load(folder / _ARRAYS, allow_pickle=False) as kept:
        alignment = fastsw.Alignment(float(kept["score"]), kept["pairs"])
        scoring = Scoring(*map(float, kept["scoring"]))
        matching = Matching(kept["similarity"], kept["posterior"], alignment, scoring)
        shown = [
            Shown(name, kept[f"times_{side}"], Path(path), int(kept["every"]))
            for name, side, path in zip(names, "ab", paths, strict=True)
        ]
    return matching, shown
