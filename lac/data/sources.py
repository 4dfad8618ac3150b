"""Every source of clips, by name: what its folder looks like, and who reads it.

The readers of other people's data sets are imported when such a folder is read, and not before:
training on other sources has no use for them, least of all for the one of pickles.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Literal

from lac.data._names import visible
from lac.data.clip import Collection
from lac.data.folder import holds_videos

Layout = Literal["folder", "features", "pouring", "penn_action", "penn_action_raw", "grid"]
Source = Literal["rendered", Layout]


@dataclass(frozen=True)
class Reader:
    """How a layout is read.

    Attributes
    ----------
    place : str
        Where in `lac.data` its function is, as `"module:function"`. It takes `root`, and `action`
        where `actions`, and returns a collection.
    holds : str
        What the folder must hold, in words.
    actions : bool
        Whether one action of several may be chosen.
    """

    place: str
    holds: str
    actions: bool = False

    @property
    def read(self) -> Callable[..., Collection]:
        """The function, imported when it is asked for."""
        function: Callable[..., Collection] = resolve_name(f"lac.data.{self.place}")
        return function


LAYOUTS: Mapping[Layout, Reader] = MappingProxyType(
    {
        "folder": Reader(
            "folder:read_folder",
            "videos, in clips/ or anywhere, and labels.json if there are labels",
        ),
        "features": Reader(
            "features:read_features_folder",
            "features/ with .npy or .npz, and labels.json if there are labels",
        ),
        "pouring": Reader(
            "importers.pouring:read_pouring", "train.pkl, val.pkl (lists) and videos/*.mp4"
        ),
        "penn_action": Reader(
            "importers.penn_action:read_penn_action",
            "train.pkl, val.pkl (a list, and its places by action) and videos/*.mp4",
            actions=True,
        ),
        "penn_action_raw": Reader(
            "importers.penn_action_raw:read_penn_action_raw",
            "frames/NNNN/*.jpg and labels/NNNN.mat",
            actions=True,
        ),
        "grid": Reader("importers.grid:read_grid", "GRID's .mpg and .align files"),
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
        from lac.data.importers._entries import holds_actions

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
