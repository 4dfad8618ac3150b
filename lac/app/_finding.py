"""The task of finding what a moment or a span of one video shows in others."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lac._atomic import written_whole
from lac._finding import find as find_span
from lac._progress import progress
from lac.app._embedding import embedded, require_comparable
from lac.pictures import Shown

FOUND = "found.json"
_THUMBNAIL = 180, 320  # height and width at most
_DIGITS = 4


def find(
    video: str,
    others: Sequence[str],
    names: Sequence[str],
    ids: Sequence[str],
    begin: float,
    end: float,
    encoder: str,
    every: int | None,
    cache: str,
    folder: str,
) -> dict[str, Any]:
    """Find a span of a video, in seconds from its first frame, in others; the best comes first."""
    files = [Path(path) for path in (video, *others)]
    embedder, (source, *videos), every = embedded(encoder, files, every, cache)
    first, last = (
        int(abs(source.times - source.times[0] - time).argmin()) for time in (begin, end)
    )
    require_comparable([len(source.times), max(len(other.times) for other in videos)], every)
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    found: list[dict[str, Any]] = []
    for place, other in enumerate(progress(videos, "Finding")):
        at = find_span(source.embeddings, other.embeddings, first, last, loss=embedder.loss)
        picture = f"{place}.jpg"
        shown = Shown(names[place + 1], other.times, files[place + 1], every)
        frame = next(shown.frames([at.nearest], shown.within(*_THUMBNAIL, enlarge=False)))
        Image.fromarray(np.ascontiguousarray(frame)).save(target / picture, quality=85)
        times = (other.times - other.times[0]).round(_DIGITS)
        found.append(
            {
                "video": ids[place + 1],
                "name": names[place + 1],
                "score": round(at.score, _DIGITS),
                "begin": float(times[at.first]),
                "end": float(times[at.last]),
                "time": float(times[at.nearest]),
                "picture": picture,
            }
        )
    found.sort(key=lambda one: -one["score"])
    with written_whole(target / FOUND) as unfinished:
        text = json.dumps({"name": names[0], "begin": begin, "end": end, "found": found})
        unfinished.write_text(text, encoding="utf-8")
    return {"files": [FOUND, *(one["picture"] for one in found)], "every": every}
