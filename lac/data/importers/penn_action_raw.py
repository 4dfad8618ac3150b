"""Penn Action as its authors distribute it: `frames/0001/*.jpg` and `labels/0001.mat`.

The files name action and split of a clip but no phases. Those are the work of others, and come
with the pickles that `lac.data.importers.penn_action` reads.
"""

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from lac.data._names import visible
from lac.data.clip import Clip, Collection
from lac.data.importers._actions import check_action
from lac.data.video.pictures import picture_files


def read_penn_action_raw(root: str | PathLike[str], *, action: str | None = None) -> Collection:
    """Read which clips there are, without decoding any picture.

    Parameters
    ----------
    root : str or path
        Folder with `frames/` and `labels/`.
    action : str, optional
        The action whose clips are read; all of them if absent.

    Returns
    -------
    Collection
        Clips that the authors train on are `"train"`, the others `"val"`.

    Raises
    ------
    FileNotFoundError
        If `frames/` or `labels/` is missing.
    ValueError
        If a `.mat` file is not as the authors' are, its clip has another number of pictures, or
        `action` is none of the actions.
    """
    root = Path(root)
    for folder in ("frames", "labels"):
        if not (root / folder).is_dir():
            raise FileNotFoundError(f"`root` must hold frames/ and labels/, got {root}")
    clips = [_clip(root, file) for file in sorted(visible((root / "labels").glob("*.mat")))]
    if not clips:
        raise ValueError(f"`root` must hold .mat files in labels/, got none in {root}")
    check_action(action, sorted({str(clip.action) for clip in clips}))
    return Collection(tuple(clip for clip in clips if action in (None, clip.action)))


def _clip(root: Path, file: Path) -> Clip:
    """Return the clip that a file of labels describes."""
    from scipy.io import loadmat

    try:
        labels = loadmat(file, variable_names=("action", "train", "nframes"))
        action = str(_single(labels["action"]))
        trained_on = int(_single(labels["train"])) == 1
        count = int(_single(labels["nframes"]))
    except KeyError as error:
        raise ValueError(f"{file}: the labels must hold {error}, got none") from None
    except Exception as error:  # scipy raises many kinds for a broken file
        raise ValueError(f"{file} is not a .mat file as Penn Action's are: {error}") from error
    folder = root / "frames" / file.stem
    pictures = len(picture_files(folder))
    if pictures != count:
        raise ValueError(
            f"{folder}: pictures must be as many as {file.name} says, {count}, got {pictures}"
        )
    return Clip(file.stem, folder, "train" if trained_on else "val", action=action)


def _single(array: np.ndarray) -> Any:
    """Return the one entry of a MATLAB array."""
    return array.ravel()[0]
