"""Copy clips of any layout into a new folder in the layout `folder`."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from lac._atomic import written_whole
from lac._progress import progress
from lac.data._names import normal
from lac.data._usable import count_frames
from lac.data.clip import SPLITS, Clip
from lac.data.sources import read_source
from lac.data.video.pictures import read_pictures
from lac.data.video.writing import write_video

Importable = Literal["videos", "pouring", "penn_action", "penn_action_raw", "grid"]
_FPS = 25  # of clips that are pictures: their files tell no time


def convert(
    layout: Importable,
    source: Path,
    target: Path,
    *,
    action: str | None = None,
    on_error: Literal["refuse", "skip"] = "refuse",
) -> dict[str, str]:
    """Copy clips into `target/clips` and write what is known of them to `target/labels.json`.

    Videos are copied as they are; folders of pictures become H.264 files at 25 frames a second,
    in their own size (one row or column is cut where it is odd). Every clip is decoded first.

    Parameters
    ----------
    layout : {"videos", "pouring", "penn_action", "penn_action_raw", "grid"}
        Layout of `source`; `"videos"` is any folder with video files in it, at any depth, which
        keep their places.
    source : Path
        The folder; nothing in it is changed.
    target : Path
        Folder to make. It appears when all clips are done.
    action : str, optional
        For the layouts with several actions: the one that is taken, all if absent.
    on_error : {"refuse", "skip"}
        What to do about a clip that cannot be used: stop, or go on without it.

    Returns
    -------
    dict of str to str
        The files that were left out, and why.

    Raises
    ------
    FileExistsError
        If `target` is there already.
    FileNotFoundError, ValueError
        If `source` is not in the layout, or a clip in it cannot be used.
    """
    if target.exists():
        raise FileExistsError(f"`target` must be new, got {target}, which is there already")
    if not source.is_dir():
        raise FileNotFoundError(f"`source` must be a folder, got {source}")
    collection = read_source("folder" if layout == "videos" else layout, source, action=action)
    left_out: dict[str, str] = {}
    with written_whole(target) as folder:
        (folder / "clips").mkdir(parents=True)
        good = []
        for clip in progress(collection.clips, "Copying"):
            try:
                _copy(clip, folder / "clips")
            except (ValueError, OSError) as error:
                if on_error == "refuse":
                    raise
                left_out[str(clip.path)] = str(error)
            else:
                good.append(clip)
        if not good:
            raise ValueError(f"`source` must hold a clip that can be used, got none in {source}")
        labels = _labels(good, collection.phase_names)
        (folder / "labels.json").write_text(json.dumps(labels))
    return left_out


def _copy(clip: Clip, folder: Path) -> None:
    """Copy a clip that can be used; encode it if it is pictures."""
    count_frames(clip)
    if not clip.path.is_dir():
        whole = clip.name.rpartition("/")[2] == normal(clip.path.name)  # of clips named alike
        target = folder / (clip.name if whole else f"{clip.name}{clip.path.suffix}")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(clip.path, target)
        return
    frames = read_pictures(clip.path)
    height, width = (side - side % 2 for side in frames.shape[2:])
    write_video(folder / f"{clip.name}.mp4", frames[..., :height, :width], fps=_FPS)


def _labels(clips: list[Clip], phase_names: tuple[str, ...] | None) -> Mapping[str, Any]:
    """Return what `labels.json` holds."""
    return {
        "phase_names": list(phase_names or ()),
        "split": {split: [clip.name for clip in clips if clip.split == split] for split in SPLITS},
        "clips": {
            clip.name: ({} if clip.phase is None else {"phase": clip.phase.tolist()})
            | ({} if clip.action is None else {"action": clip.action})
            for clip in clips
        },
    }
