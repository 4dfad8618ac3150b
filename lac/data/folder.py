"""The folder source: videos in `clips/` or anywhere, and `labels.json` if there are labels."""

import os
import warnings
from collections import defaultdict
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from lac.data._labels import read_labelled
from lac.data._names import normal, visible
from lac.data.clip import Collection
from lac.data.video.files import SUFFIXES

_NAMED = 5  # files in a message


def read_folder(root: str | PathLike[str]) -> Collection:
    """Read the clips and labels of a folder, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder with videos, and optionally `labels.json`, whose form `lac.data._labels` tells. If
        there are videos in `clips/` they are the clips, else all in it at any depth. Hidden
        files, and what runs of lac have written, are passed over. Without a split in the labels
        one clip in five is `"val"`, chosen by a fixed seed, if there are at least five.

    Returns
    -------
    Collection
        Clips in the order of their names: the path below the folder without suffix, such as
        `monday/a`; of two that differ by suffix alone, each keeps it. A clip that the labels do
        not mention has no phases.

    Raises
    ------
    FileNotFoundError
        If `root` is no folder, or there is no video in it.
    ValueError
        If `labels.json` is wrong or does not fit the clips.

    Warns
    -----
    UserWarning
        If the split leaves clips out, or videos lie beside `clips/`.
    """
    root = Path(root)
    paths = videos_by_name(root)
    return read_labelled(root / "labels.json", paths, content="frames")


def holds_videos(root: Path) -> bool:
    """Tell whether a folder, at any depth, has a file that is a video by its name."""
    return any(_is_video(path) for path in _files(root))


def other_files(root: Path) -> list[Path]:
    """Return the visible files among the videos of a folder that are none by their names."""
    labels = root / "labels.json"
    return sorted(path for path in _files(root) if not _is_video(path) and path != labels)


def videos_by_name(root: Path) -> dict[str, Path]:
    """Map the names of clips to video files, in their order; see `read_folder`."""
    if not root.is_dir():
        raise FileNotFoundError(f"`root` must be a folder of videos, got {root}")
    files = sorted(path for path in _files(root) if _is_video(path))
    within = root / "clips"
    in_clips = [path for path in files if path.is_relative_to(within)]
    if not files:
        raise FileNotFoundError(
            f"`root` must hold videos ({', '.join(SUFFIXES)}), got {root} with"
            f" {listed(other_files(root)) or 'no file'}"
        )
    if in_clips and len(in_clips) < len(files):
        beside = [path for path in files if path not in set(in_clips)]
        warnings.warn(
            f"{root}: videos beside clips/ are passed over: {listed(beside)}", stacklevel=3
        )
    return _named(in_clips or files, within if in_clips else root)


def _named(files: list[Path], folder: Path) -> dict[str, Path]:
    """Name files by their places in a folder."""
    alike: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        alike[normal(path.relative_to(folder).with_suffix("").as_posix())].append(path)
    named: dict[str, Path] = {}
    for name, paths in alike.items():
        for path in paths:
            own = name if len(paths) == 1 else normal(path.relative_to(folder).as_posix())
            if own in named:
                raise ValueError(f"two clips of one name: {named[own]} and {path}")
            named[own] = path
    return dict(sorted(named.items()))


def _files(root: Path) -> Iterator[Path]:
    """Yield the visible files in a folder at any depth, but for those of runs of lac."""
    seen = {root.resolve()}  # links are followed, so there may be circles
    for parent, folders, names in os.walk(root, followlinks=True):
        here = Path(parent)
        below = visible(here / name for name in sorted(folders))
        folders.clear()
        for path in sorted(below, key=Path.is_symlink):  # links to what lies beside them last
            place = path.resolve()
            run = (path / "config.yaml").exists() and (path / "checkpoints").exists()
            if place not in seen and not run:
                folders.append(path.name)
            seen.add(place)
        yield from visible(here / name for name in names)


def _is_video(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def listed(paths: list[Path]) -> str:
    """Return the names of files, of many the first few and how many more there are."""
    names = ", ".join(path.name for path in paths[:_NAMED])
    return names + (f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else "")
