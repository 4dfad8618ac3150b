"""Tasks on pairs of videos: aligning them, and what can be taken along of that."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

import fastsw
from lac._atomic import written_whole
from lac._matching import Matching, Scoring, match
from lac._progress import announced
from lac._trust import Trust
from lac.app._embedding import embedded, require_comparable
from lac.pictures import (
    CheckView,
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
CHECK, _ARRAYS = "check.json", "arrays.npz"


def align(
    paths: Sequence[str],
    names: Sequence[str],
    encoder: str,
    every: int | None,
    cache: str,
    folder: str,
) -> dict[str, Any]:
    """Align two videos as `lac.align` does, and write all that the page shows."""
    files = [Path(path) for path in paths]
    embedder, (a, b), every = embedded(encoder, files, every, cache)
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
    """Write the video of both in step, or the screen as one file, of what is done.

    Of a check, whose videos are the reference that is shown and the query, there is no video.
    """
    matching, shown = _read(Path(source), paths, names)
    trust = _trust(matching)
    name = BOTH if what == "video" else REPORT
    with announced(f"Writing {name}"):
        if what == "video":
            write_side_by_side(Path(folder) / name, matching, *shown, trust=trust)
        else:
            check = read_check(Path(source))
            write_page(Path(folder) / name, matching, *shown, trust=trust, check=check)
    return {"files": [name]}


def read_check(folder: Path) -> CheckView | None:
    """Return what a check has found, None where there was none."""
    file = folder / CHECK
    if not file.exists():
        return None
    found: CheckView = json.loads(file.read_text(encoding="utf-8"))
    return found


def _trust(matching: Matching) -> Trust | None:
    return matching.trust if len(matching.alignment) else None


def write_view(folder: Path, matching: Matching, shown: Sequence[Shown]) -> None:
    """Write what the page shows of an alignment, and what goes on with it needs."""
    trust = _trust(matching)
    folder.mkdir(parents=True, exist_ok=True)
    view = alignment_view(matching, *shown, trust=trust)
    with written_whole(folder / VIEW) as unfinished:
        unfinished.write_text(json.dumps(view, separators=(",", ":")), encoding="utf-8")
    for name, content in zip((SIMILARITY, POSTERIOR), layer_pictures(matching), strict=True):
        (folder / name).write_bytes(content)
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


def _write(folder: Path, matching: Matching, shown: Sequence[Shown]) -> None:
    """Write an alignment: for the page, and to take along."""
    write_view(folder, matching, shown)
    trust = _trust(matching)
    write_pairs(folder / PAIRS, matching, *shown)
    draw_alignment(folder / PICTURE, matching, *shown, trust=trust)


def _read(folder: Path, paths: Sequence[str], names: Sequence[str]) -> tuple[Matching, list[Shown]]:
    """Read an alignment back."""
    if not (folder / _ARRAYS).exists():
        raise ValueError("An earlier version has made this and kept too little: begin it anew")
    with np.load(folder / _ARRAYS, allow_pickle=False) as kept:
        alignment = fastsw.Alignment(float(kept["score"]), kept["pairs"])
        scoring = Scoring(*map(float, kept["scoring"]))
        matching = Matching(kept["similarity"], kept["posterior"], alignment, scoring)
        shown = [
            Shown(name, kept[f"times_{side}"], Path(path), int(kept["every"]))
            for name, side, path in zip(names, "ab", paths, strict=True)
        ]
    return matching, shown
