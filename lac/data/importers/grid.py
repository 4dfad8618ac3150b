"""The GRID corpus as distributed: `.mpg` videos of sentences and `.align` files of their words.

An `.align` file has one line a word or pause: begin, end (in 1/25000 s) and the word. The six
words of every sentence are its phases, with the silence before and after.
"""

import re
from os import PathLike
from pathlib import Path

import numpy as np

from lac.data._names import normal, visible
from lac.data.clip import Clip, Collection, hold_out

PHASES = (
    *("pre_silence", "command", "color", "preposition", "letter", "digit", "adverb"),
    "post_silence",
)
_TICKS = 1000  # of 1/25000 s in a frame, at 25 frames a second
_PAUSES = ("sil", "sp")


def read_grid(root: str | PathLike[str]) -> Collection:
    """Read the videos and word times of one or more speakers, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder that holds `.mpg` and `.align` files at any depth. With several speakers, whose
        folders are called `s1`, `s2` and so on, clips are named after both, as `s1-bbaf2n`.

    Returns
    -------
    Collection
        One clip in five is `"val"`, as the corpus has no split of its own.

    Raises
    ------
    FileNotFoundError
        If there is no `.mpg` file.
    ValueError
        If an `.align` file is missing or not of this form.
    """
    root = Path(root)
    videos, words = (_by_name(root, suffix) for suffix in (".mpg", ".align"))
    if not videos:
        raise FileNotFoundError(f"`root` must hold GRID's .mpg files, got none in {root}")
    lacking = [str(path) for name, path in videos.items() if name not in words]
    if lacking:
        raise ValueError(
            f"`root` must hold an .align file for every .mpg, got none for {', '.join(lacking)}"
        )
    split = hold_out(list(videos))
    clips = (Clip(name, path, split[name], _phases(words[name])) for name, path in videos.items())
    return Collection(tuple(clips), PHASES)


def _by_name(root: Path, suffix: str) -> dict[str, Path]:
    """Map names of sentences, with their speakers' if there are several, to files."""
    files = sorted(path for path in visible(root.rglob("*"), root) if path.suffix.lower() == suffix)
    speakers = [_speaker(path.relative_to(root)) for path in files]
    several = len(set(speakers)) > 1
    named: dict[str, Path] = {}
    for path, speaker in zip(files, speakers, strict=True):
        name = normal(f"{speaker}-{path.stem}" if several else path.stem)
        if name in named:
            raise ValueError(f"two clips of one name: {named[name]} and {path}")
        named[name] = path
    return dict(sorted(named.items()))


def _speaker(path: Path) -> str:
    """Return the folder on a path that names a speaker."""
    return next((part for part in path.parts if re.fullmatch(r"s\d+", part)), "")


def _phases(file: Path) -> np.ndarray:
    """Return the phase of every frame, (T,) int64: words begin at the nearest frame.

    A pause between two words belongs to the word before it.
    """
    try:
        rows = [line.split() for line in file.read_text().splitlines() if line.strip()]
        spans = [(int(begin) / _TICKS, int(end) / _TICKS, word) for begin, end, word in rows]
    except ValueError as error:
        raise ValueError(f"{file}: a line must be begin, end and word: {error}") from None
    begins = [begin for begin, _, word in spans if word not in _PAUSES]
    if len(begins) != len(PHASES) - 2:
        raise ValueError(f"{file}: a sentence must have {len(PHASES) - 2} words, got {len(begins)}")
    end = next(end for _, end, word in reversed(spans) if word not in _PAUSES)
    frames = np.arange(int(np.ceil(spans[-1][1])))
    return np.searchsorted(np.rint([*begins, end]), frames, side="right").astype(np.int64)
