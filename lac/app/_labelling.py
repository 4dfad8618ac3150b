"""The task of carrying phases from videos that are marked to others."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lac._atomic import written_whole
from lac._embedding import Embedded
from lac._labelling import Labelled, carry, spread
from lac._progress import progress
from lac.app._embedding import embedded, require_comparable
from lac.app._phases import TIMES, frame_phases
from lac.data.cache import ArrayCache
from lac.data.video.frames import decoding
from lac.data.video.reading import read_video

CARRIED = "carried.json"
_COUNTED = 16  # side of frames that are read for their times alone
_DIGITS = 4


def label(
    references: Sequence[str],
    others: Sequence[str],
    names: Sequence[str],
    ids: Sequence[str],
    phase_names: Sequence[str],
    marks: Sequence[Sequence[Mapping[str, Any]]],
    encoder: str,
    every: int | None,
    cache: str,
    folder: str,
) -> dict[str, Any]:
    """Carry phases to others, and write all that the page shows.

    `names` and `ids` are those of the references, then of the others; `marks` are the phases of
    each reference with the seconds at which they begin.
    """
    files = [Path(path) for path in (*references, *others)]
    embedder, videos, every = embedded(encoder, files, every, cache)
    count = len(references)
    longest = [max(len(one.times) for one in some) for some in (videos[:count], videos[count:])]
    require_comparable(longest, every)
    kept = ArrayCache(Path(cache))
    times = [
        _frame_times(file, video, every, kept)
        for file, video in zip(files, progress(videos, "Counting frames"), strict=True)
    ]
    marked = [
        frame_phases(one, seconds, phase_names)
        for one, seconds in zip(marks, times[:count], strict=True)
    ]
    labelled = [
        Labelled(video.embeddings, phases[::every])
        for video, phases in zip(videos[:count], marked, strict=True)
    ]
    told = [
        _told(phases, seconds, phase_names, marked=True)
        for phases, seconds in zip(marked, times[:count], strict=True)
    ]
    for place, video in enumerate(progress(videos[count:], "Labelling"), start=count):
        carried = carry(labelled, video.embeddings, loss=embedder.loss)
        phases = spread(carried.labels, len(times[place]), every=every)
        told.append(
            _told(phases, times[place], phase_names, marked=False)
            | {
                "confidence": carried.confidence.round(2).tolist(),
                "doubtful": round(float(carried.doubtful.mean()), _DIGITS),
            }
        )
    shown = [
        {"video": one, "name": name, **found}
        for one, name, found in zip(ids, names, told, strict=True)
    ]
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(target / TIMES, **dict(zip(ids, times, strict=True)))  # type: ignore[arg-type]
    with written_whole(target / CARRIED) as unfinished:
        text = json.dumps({"phase_names": list(phase_names), "videos": shown})
        unfinished.write_text(text, encoding="utf-8")
    return {"files": [CARRIED], "every": every}


def _frame_times(file: Path, video: Embedded, every: int, cache: ArrayCache) -> np.ndarray:
    """Return the times of all frames of a file, from 0, whatever of them were embedded."""
    if every == 1:
        return video.times
    recipe = f"times {decoding()}"
    return cache.get(file, recipe, partial(_read_times, file))


def _read_times(file: Path) -> np.ndarray:
    return read_video(file, size=_COUNTED).times


def _told(
    phases: np.ndarray, times: np.ndarray, phase_names: Sequence[str], *, marked: bool
) -> dict[str, Any]:
    """Return what the page shows of the phases of a video."""
    first = [0, *(np.flatnonzero(np.diff(phases)) + 1)]
    frame = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return {
        "marked": marked,
        "seconds": round(float(times[-1]) + frame, _DIGITS),
        "frame": round(frame, 6),
        "phases": [
            {"phase": phase_names[phases[place]], "begin": round(float(times[place]), _DIGITS)}
            for place in first
        ],
    }
