"""The videos of a folder, by numbers that say nothing of where they lie."""

import hashlib
import math
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from lac.data.video.files import SUFFIXES

_FRESH = 1.0  # seconds for which a folder that was looked through is not looked through again


@dataclass(frozen=True)
class Video:
    """A video file of the folder.

    Attributes
    ----------
    id : str
        What requests call it: 16 hexadecimal digits made of its name.
    name : str
        Its path below the folder, as it is shown.
    path : Path
        Where it lies, free of links.
    size, modified : int
        Bytes, and the time of the last change in nanoseconds.
    """

    id: str
    name: str
    path: Path
    size: int
    modified: int

    @property
    def stamp(self) -> str:
        """Another one as soon as the file is another."""
        return f"{self.id}-{self.size}-{self.modified}"


class Library:
    """Find videos by what a listing of the folder has said, and by nothing else.

    Parameters
    ----------
    root : Path
        The folder. Links in it are followed to files that lie in it, and to nothing else.

    Raises
    ------
    FileNotFoundError
        If it is no folder.
    """

    def __init__(self, root: Path):
        """Look where the folder is."""
        if not root.is_dir():
            found = "a file" if root.exists() else "nothing"
            raise FileNotFoundError(f"`VIDEOS_DIR` must be a folder, got {root}, which is {found}")
        self.root = root.resolve()
        self._lock = threading.Lock()
        self._found: dict[str, tuple[Path, Video]] = {}
        self._looked = -math.inf

    def videos(self, *, fresh: bool = False) -> list[Video]:
        """Return all videos in the order of their names, as they were a second ago at most."""
        with self._lock:
            if fresh or time.monotonic() - self._looked >= _FRESH:
                self._look()
            return [video for _, video in self._found.values()]

    def find(self, identity: str) -> Video:
        """Return the video of a number, as it is now.

        Raises
        ------
        KeyError
            If there is none, or none any more.
        """
        with self._lock:
            if identity not in self._found:
                self._look()
            listed, _ = self._found[identity]
            video = self._video(listed)  # it may be another file by now, or a link elsewhere
            if video is None:
                raise KeyError(identity)
            return video

    def _look(self) -> None:
        """Go through the folder."""
        found = [(path, video) for path in self._walk() if (video := self._video(path))]
        found.sort(key=lambda entry: entry[1].name.casefold())
        self._found = {video.id: (path, video) for path, video in found}
        self._looked = time.monotonic()

    def _walk(self) -> Iterator[Path]:
        """Yield the visible files at any depth, but for what runs of lac have written."""
        for parent, folders, names in os.walk(self.root):
            here = Path(parent)
            folders[:] = sorted(name for name in folders if not _passed_over(here / name))
            yield from (here / name for name in names if not name.startswith("."))

    def _video(self, path: Path) -> Video | None:
        """Return what lies at a path, if that is a video within the folder."""
        if path.suffix.lower() not in SUFFIXES:
            return None
        try:
            place = path.resolve(strict=True)
            status = place.stat()
        except (OSError, RuntimeError):  # links to nothing, and in circles
            return None
        if not place.is_relative_to(self.root) or not S_ISREG(status.st_mode):
            return None
        name = path.relative_to(self.root).as_posix()
        shown = os.fsencode(name).decode("utf-8", "replace")
        return Video(video_id(name), shown, place, status.st_size, status.st_mtime_ns)


def video_id(name: str) -> str:
    """Return the id of a video by its path below the folder."""
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:16]


def _passed_over(folder: Path) -> bool:
    """Tell whether a folder is hidden, or a run."""
    run = (folder / "config.yaml").exists() and (folder / "checkpoints").exists()
    return folder.name.startswith(".") or run
