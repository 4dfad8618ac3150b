"""Writing phases to `labels.json`, without losing what is there already."""

import json
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Literal

from lac._atomic import written_whole
from lac.data._labels import phases_by_name
from lac.data.folder import videos_by_name

LABELS = "labels.json"


def write_phases(
    root: Path,
    phases: Mapping[str, Sequence[str]],
    phase_names: Sequence[str],
    *,
    existing: Literal["refuse", "keep"] = "refuse",
) -> Path | None:
    """Write the phases of some clips to the `labels.json` of a folder of videos.

    What the file says of the split, of other clips and of actions stays. How far frames have come
    (`progress`) goes where the phases are new, since it was of the old ones.

    Parameters
    ----------
    root : Path
        The folder, see `read_folder`.
    phases : mapping of str to sequence of str
        The phase of every frame, by the names of clips.
    phase_names : sequence of str
        The phases in their order; what no clip shows is left out, and what clips show besides
        that were labelled before comes after them.
    existing : {"refuse", "keep"}
        What is done where there is a file: to refuse, or to keep it under another name.

    Returns
    -------
    Path or None
        Where the old file is kept, `labels-1.json` or the first number that is free.

    Raises
    ------
    FileExistsError
        If there is a file, and `existing` is "refuse".
    ValueError
        If the file that is there is wrong, a clip is not in the folder, or a phase has no name.
    """
    for clip, words in phases.items():
        if unknown := set(words) - set(phase_names):
            raise ValueError(
                f"`phases` of {clip} must be of {', '.join(phase_names)}, got {min(unknown)!r}"
            )
    file = root / LABELS
    there = file.exists()
    if there and existing == "refuse":
        raise FileExistsError(f"`existing` must be 'keep' where there are labels, got {file}")
    clips = videos_by_name(root)
    if strange := sorted(set(phases) - set(clips)):
        raise ValueError(f"`phases` must be of clips in {root}, got {strange[0]!r}")
    content, known = phases_by_name(file, clips)
    for clip, words in phases.items():
        content["clips"].setdefault(clip, {}).pop("progress", None)
        known[clip] = list(words)
    used = dict.fromkeys(word for words in known.values() for word in words)
    names = [*(name for name in dict.fromkeys(phase_names) if name in used)]
    names += [word for word in used if word not in names]
    content["phase_names"] = names
    for clip, words in known.items():
        content["clips"][clip]["phase"] = [names.index(word) for word in words]
    kept = _keep(file) if there else None
    with written_whole(file) as unfinished:
        unfinished.write_text(json.dumps(content), encoding="utf-8")
    return kept


def _keep(file: Path) -> Path:
    """Copy a file beside itself, under the first number that is free."""
    for number in count(1):
        kept = file.with_name(f"{file.stem}-{number}{file.suffix}")
        try:
            with kept.open("xb") as stream:
                stream.write(file.read_bytes())
        except FileExistsError:
            continue
        break
    return kept
