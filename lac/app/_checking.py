"""The task of checking a video against references."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lac._atomic import written_whole
from lac._checking import check as check_embeddings
from lac._progress import announced
from lac.app._aligning import CHECK, POSTERIOR, SIMILARITY, VIEW, write_view
from lac.app._embedding import embedded, require_comparable
from lac.pictures import Shown, check_view, draw_check, write_steps

STEPS, PICTURE = "steps.csv", "check.png"


def check(
    references: Sequence[str],
    query: str,
    names: Sequence[str],
    encoder: str,
    every: int | None,
    cache: str,
    folder: str,
) -> dict[str, Any]:
    """Check a video as `lac.check` does, and write all that the page shows.

    `names` are those of the references, then that of the query.
    """
    files = [Path(path) for path in (*references, query)]
    embedder, videos, every = embedded(encoder, files, every, cache)
    with announced("Checking"):
        require_comparable([len(video.times) for video in videos], every)
        checked = check_embeddings(
            [video.embeddings for video in videos[:-1]],
            videos[-1].embeddings,
            loss=embedder.loss,
        )
        shown = [
            Shown(names[place], videos[place].times, files[place], every)
            for place in (checked.nearest, len(references))
        ]
        target = Path(folder)
        write_view(target, checked.matching, shown)
        with written_whole(target / CHECK) as unfinished:
            view = check_view(checked, *shown)
            unfinished.write_text(json.dumps(view, separators=(",", ":")), encoding="utf-8")
        write_steps(target / STEPS, checked, *shown)
        draw_check(target / PICTURE, checked, *shown)
    return {"files": [VIEW, SIMILARITY, POSTERIOR, CHECK, STEPS, PICTURE], "every": every}
