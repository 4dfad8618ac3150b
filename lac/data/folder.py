"""The folder source: `clips/` with video files, and an optional `labels.json` beside it."""

from os import PathLike
from pathlib import Path

from lac.data._clips import Collection
from lac.data._labels import read_labelled
from lac.data._names import normal, visible
from lac.data._video import SUFFIXES


def read_folder(root: str | PathLike) -> Collection:
    """Read the clips and labels of a folder, without decoding any video.

    Parameters
    ----------
    root : str or path
        Folder with `clips/` and optionally `labels.json`, whose form `lac.data._labels` tells.
        Without a split in the labels one clip in five is `"val"`, chosen by a fixed seed, if
        there are at least five.

    Returns
    -------
    Collection
        Clips in the order of their names. A clip that the labels do not mention has no phases.

    Raises
    ------
    FileNotFoundError
        If `root` or its `clips/` is missing.
    ValueError
        If there is no clip, or `labels.json` is wrong or does not fit the clips.

    Warns
    -----
    UserWarning
        If the split leaves clips out.
    """
    root = Path(root)
    paths = files_by_name(root, "clips", SUFFIXES, kind="videos")
    return read_labelled(root / "labels.json", paths, content="frames")


def files_by_name(
    root: Path, folder: str, suffixes: tuple[str, ...], *, kind: str
) -> dict[str, Path]:
    """Map names without suffix, composed, to the files of a folder in `root`, in their order.

    Raises
    ------
    FileNotFoundError
        If the folder is missing.
    ValueError
        If it holds no file of a suffix in `suffixes`, or two of one name.
    """
    if not (root / folder).is_dir():
        raise FileNotFoundError(f"`root` must be a folder that holds {folder}/, got {root}")
    files: dict[str, Path] = {}
    for path in sorted(visible((root / folder).iterdir())):
        if path.suffix.lower() not in suffixes:
            continue
        name = normal(path.stem)
        if name in files:
            raise ValueError(f"two clips of one name: {files[name]} and {path.name}")
        files[name] = path
    if not files:
        raise ValueError(
            f"`root` must hold {kind} in {folder}/ ({', '.join(suffixes)}), got {root / folder}"
        )
    return files
