"""Every source of clips, by name: what its folder looks like, and who reads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from lac.data._names import visible
from lac.data.clip import Collection
from lac.data.features import read_features_folder
from lac.data.folder import holds_videos, read_folder
from lac.data.importers.grid import read_grid
from lac.data.importers.penn_action_raw import read_penn_action_raw
from lac.data.importers.pickled import holds_actions, read_penn_action, read_pouring

Layout = Literal["folder", "features", "pouring", "penn_action", "penn_action_raw", "grid"]
Source = Literal["rendered", Layout]


@dataclass(frozen=True)
class Reader:
    """How a layout is read.

    Attributes
    ----------
    read : callable
        From `root`, and `action` where `actions`, to a collection.
    holds : str
        What the folder must hold, in words.
    actions : bool
        Whether one action of several may be chosen.
    """

    read: Callable[..., Collection]
    holds: str
    actions: bool = False


LAYOUTS: Mapping[Layout, Reader] = MappingProxyType(
    {
        "folder": Reader(
            read_folder, "videos, in clips/ or anywhere, and labels.json if there are labels"
        ),
        "features": Reader(
            read_features_folder, "features/ with .npy or .npz, and labels.json if there are labels"
        ),
        "pouring": Reader(read_pouring, "train.pkl, val.pkl (lists) and videos/*.mp4"),
        "penn_action": Reader(
            read_penn_action,
            "train.pkl, val.pkl (a list, and its places by action) and videos/*.mp4",
            actions=True,
        ),
        "penn_action_raw": Reader(
            read_penn_action_raw, "frames/NNNN/*.jpg and labels/NNNN.mat", actions=True
        ),
        "grid": Reader(read_grid, "GRID's .mpg and .align files"),
    }
)

OWN: tuple[Layout, ...] = ("folder", "grid")  # videos that the preset `own` is for


def read_source(layout: Layout, root: Path, *, action: str | None = None) -> Collection:
    """Read the clips of a folder in a known layout, without decoding any.

    Parameters
    ----------
    layout : {"folder", "features", "pouring", "penn_action", "penn_action_raw", "grid"}
        How the folder is laid out.
    root : Path
        The folder.
    action : str, optional
        For the layouts with several actions: the one whose clips are read, or all if absent.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder is not laid out so, or `action` is given where there is one action alone.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"`source` must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    reader = LAYOUTS[layout]
    if reader.actions:
        return reader.read(root, action=action)
    if action is not None:
        raise ValueError(f"`action` must be absent for source {layout!r}, got {action!r}")
    return reader.read(root)


def recognise(root: Path) -> Layout | None:
    """Return the layout of a folder by the names in it, None if it is none that is known.

    Raises
    ------
    ValueError
        If there is a pickle of a data set that cannot be read, or names more than plain data.
    """
    pickles = [root / name for name in ("train.pkl", "val.pkl") if (root / name).is_file()]
    if pickles:
        return "penn_action" if holds_actions(pickles[0]) else "pouring"
    if (root / "clips").is_dir():
        return "folder"
    if (root / "features").is_dir():
        return "features"
    if (root / "frames").is_dir() and (root / "labels").is_dir():
        return "penn_action_raw"
    if any(path.suffix.lower() == ".align" for path in visible(root.rglob("*"), root)):
        return "grid"
    return "folder" if holds_videos(root) else None
