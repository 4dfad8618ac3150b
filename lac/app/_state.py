"""All that a server holds: the folder, its jobs, and what is known of its videos."""

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lac.app._jobs import Job, Jobs, Kind
from lac.app._lane import Lane, TaskError
from lac.app._library import Library, Video
from lac.app._trainings import Trainings
from lac.data.cache import default_directory


@dataclass(frozen=True)
class Known:
    """What looking at a video has told: facts or a problem."""

    facts: Mapping[str, Any] | None = None
    problem: str | None = None


class State:
    """What requests work on.

    Parameters
    ----------
    root : Path
        The folder of videos.
    cache : Path, optional
        Where jobs and transcoded videos are kept; `default_directory` if absent.
    runs : sequence of Path
        Run directories that videos may be embedded with.

    Raises
    ------
    FileNotFoundError
        If `root` is no folder.
    BlockingIOError
        If another server has the folder.
    """

    def __init__(self, root: Path, *, cache: Path | None = None, runs: Sequence[Path] = ()):
        """Take the folder, read the list of jobs."""
        self.library = Library(root)
        self.runs = [str(run) for run in runs]
        key = hashlib.sha256(os.fsencode(self.library.root)).hexdigest()[:16]
        self.cache = default_directory() if cache is None else cache
        self.folder = self.cache / "app" / key
        self.folder.mkdir(parents=True, exist_ok=True)
        self._held = contextlib.ExitStack()
        self._held.enter_context(_held_alone(self.folder, self.library.root))
        self.media = Lane("media", self.folder / "media.log")
        self.compute = Lane("compute", self.folder / "compute.log")
        self.jobs = Jobs(
            self.folder / "jobs",
            {
                "transcode": Kind(self.media, "transcode", writes=False),
                "align": Kind(self.compute, "align"),
                "check": Kind(self.compute, "check"),
                "find": Kind(self.compute, "find"),
                "label": Kind(self.compute, "label"),
                "export": Kind(self.compute, "export"),
            },
        )
        self.trainings = Trainings(self.folder / "trainings", self.library.root)
        self._lock = threading.Lock()
        self._known: dict[str, Known | None] = {}  # by stamp; None while it is being looked at

    def close(self) -> None:
        """End all processes but trainings, and give the folder back."""
        for lane in (self.media, self.compute):
            lane.close()
        self._held.close()

    @property
    def trained(self) -> dict[str, Path]:
        """The runs that were trained from here, by what they are called, once they can be used."""
        runs = [self.trainings.run(training) for training in self.trainings.list()]
        return {
            run.path.relative_to(self.library.root).as_posix(): run.path
            for run in runs
            if run.config.exists() and run.last.exists()
        }

    def known(self, video: Video) -> Known | None:
        """Return what is known of a video; nothing yet if it has to be looked at, which begins."""
        with self._lock:
            if video.stamp in self._known:
                return self._known[video.stamp]
            self._known[video.stamp] = None

        def ended(result: Mapping[str, Any] | Exception) -> None:
            if isinstance(result, TaskError):
                told = Known(problem=str(result).replace(str(video.path), video.name))
            elif isinstance(result, Exception):
                told = Known(problem="It was not looked at before the server ended")
            else:
                told = Known(facts=result)
            with self._lock:
                self._known[video.stamp] = told

        self.media.submit(
            "describe",
            {"path": str(video.path)},
            started=lambda: None,
            progressed=lambda words, share: None,
            ended=ended,
            urgent=True,
        )
        return None

    def prepared(self, video: Video) -> Path:
        """Return where a video is, or would be, that was made playable."""
        return self.cache / "films" / f"{video.stamp}.mp4"

    def prepare(self, video: Video) -> Job:
        """Begin to make a video playable."""
        request = {
            "path": str(video.path),
            "name": video.name,
            "target": str(self.prepared(video)),
        }
        return self.jobs.submit(
            "transcode", f"Prepare {video.name}", request, shown={"video": video.id}
        )


@contextlib.contextmanager
def _held_alone(folder: Path, root: Path) -> Iterator[None]:
    """Hold a folder until the end of the block, where the system has locks."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with (folder / "lock").open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f"`VIDEOS_DIR` must be served once at a time, got {root}, which another lac.app"
                " serves already"
            ) from None
        yield
