"""Long work: a list of jobs on the disk, done one after the other in processes of their own."""

import json
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lac._atomic import written_whole
from lac.app._lane import Lane, TaskError, TaskStopped

State = Literal["queued", "running", "done", "failed", "stopped"]
_WAITING = 50  # jobs at most that wait
_KEPT = 200  # finished jobs at most that are kept, with their files
_LATER = 0.5  # seconds after which progress is written to the disk again


@dataclass(frozen=True)
class Job:
    """One piece of work, as it stands.

    Attributes
    ----------
    id : str
        16 hexadecimal digits.
    kind : str
        Which task it is.
    title : str
        What is shown of it.
    request : mapping
        What the task is given.
    shown : mapping
        What users may see of the request.
    stamp : list of str
        Of the files that it is about: another one, another job.
    state : {"queued", "running", "done", "failed", "stopped"}
        How far it is.
    words : str
        What is being done at the moment, or why it failed.
    share : float, optional
        Share of the work that is done, in [0, 1], where that is known.
    created, started, ended : float, optional
        Seconds since 1970.
    result : mapping
        What the task has answered.
    """

    id: str
    kind: str
    title: str
    request: Mapping[str, Any]
    shown: Mapping[str, Any] = field(default_factory=dict)
    stamp: list[str] = field(default_factory=list)
    state: State = "queued"
    words: str = ""
    share: float | None = None
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    result: Mapping[str, Any] = field(default_factory=dict)

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in ("done", "failed", "stopped")


class Kind(NamedTuple):
    """A kind of jobs: the lane and the task that do them, and whether that writes files."""

    lane: Lane
    task: str
    writes: bool = True


class TooManyJobs(RuntimeError):
    """More jobs wait than may."""


class Jobs:
    """The list of jobs.

    Parameters
    ----------
    folder : Path
        Where they are kept, a folder each. Jobs of an earlier server that were not done are
        `stopped`, and can be begun again.
    kinds : mapping of str to Kind
        Who does what.
    """

    def __init__(self, folder: Path, kinds: Mapping[str, Kind]):
        """Read the list."""
        self._folder = folder
        self._kinds = kinds
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._cancel: dict[str, Callable[[], None]] = {}
        self._written: dict[str, float] = {}
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(folder.glob("*/job.json")):
            job = _read(file)
            if job is None:
                continue
            if not job.over:
                job = replace(job, state="stopped", words="The server ended before it was done.")
            self._jobs[job.id] = job

    def submit(
        self,
        kind: str,
        title: str,
        request: Mapping[str, Any],
        *,
        shown: Mapping[str, Any] | None = None,
        stamp: Sequence[str] = (),
    ) -> Job:
        """Begin a job, or return one of the same request and stamp that has not failed.

        Raises
        ------
        TooManyJobs
            If too many wait already.
        """
        with self._lock:
            for job in reversed(self._jobs.values()):
                same = (job.kind, job.request, job.stamp) == (kind, request, list(stamp))
                if same and job.state not in ("failed", "stopped") and self._is_whole(job):
                    return job
            if sum(job.state == "queued" for job in self._jobs.values()) >= _WAITING:
                raise TooManyJobs(f"at most {_WAITING} jobs may wait")
            identity = secrets.token_hex(8)
            job = Job(identity, kind, title, dict(request), dict(shown or {}), list(stamp))
            return self._begin(job)

    def again(self, identity: str) -> Job:
        """Begin a job anew that has failed or was stopped; raises KeyError if there is none."""
        with self._lock:
            job = self._jobs[identity]
            return self.submit(job.kind, job.title, job.request, shown=job.shown, stamp=job.stamp)

    def list(self) -> list[Job]:
        """Return all jobs, the newest first."""
        with self._lock:
            return sorted(self._jobs.values(), key=lambda job: job.created, reverse=True)

    def get(self, identity: str) -> Job:
        """Return a job; raises KeyError if there is none."""
        with self._lock:
            return self._jobs[identity]

    def file(self, identity: str, name: str) -> Path:
        """Return a file that a finished job has written.

        Raises
        ------
        KeyError
            If there is no such job, or it did not write a file of that name.
        """
        job = self.get(identity)
        file = self.folder(identity) / name
        if name not in job.result.get("files", ()) or not file.is_file():
            raise KeyError(name)
        return file

    def folder(self, identity: str) -> Path:
        """Return where the files of a job are."""
        return self._folder / identity

    def remove(self, identity: str) -> None:
        """Stop a job that is not over, forget one that is; raises KeyError if there is none."""
        with self._lock:
            if self._jobs[identity].over:
                del self._jobs[identity]
                shutil.rmtree(self.folder(identity), ignore_errors=True)
                return
            cancel = self._cancel[identity]
        cancel()

    def _is_whole(self, job: Job) -> bool:
        """Tell whether all files of a job are there; a cache may be emptied at any time."""
        return all((self.folder(job.id) / name).is_file() for name in job.result.get("files", ()))

    def _begin(self, job: Job) -> Job:
        """Queue a job."""
        self._set(job)
        self._prune()
        kind = self._kinds[job.kind]

        def started() -> None:
            self._change(job.id, state="running", started=time.time())

        def progressed(words: str, share: float | None) -> None:
            self._change(job.id, words=words, share=share)

        def ended(result: Mapping[str, Any] | Exception) -> None:
            changes: dict[str, Any] = {"ended": time.time(), "words": "", "share": None}
            if isinstance(result, TaskStopped):
                changes |= {"state": "stopped", "words": "Stopped."}
            elif isinstance(result, Exception):
                changes |= {"state": "failed", "words": str(result)}
            else:
                changes |= {"state": "done", "share": 1.0, "result": dict(result)}
            self._change(job.id, **changes)

        request = dict(job.request)
        if kind.writes:
            request["folder"] = str(self.folder(job.id))
        self._cancel[job.id] = kind.lane.submit(
            kind.task, request, started=started, progressed=progressed, ended=ended
        )
        return self._jobs[job.id]

    def _change(self, identity: str, **changes: Any) -> None:
        """Note how far a job is."""
        with self._lock:
            self._set(replace(self._jobs[identity], **changes))

    def _set(self, job: Job) -> None:
        """Keep a job in the list, and on the disk where it is not progress alone."""
        before = self._jobs.get(job.id)
        self._jobs[job.id] = job
        now = time.monotonic()
        same = before is not None and before.state == job.state
        if same and now - self._written.get(job.id, 0.0) < _LATER:
            return
        self._written[job.id] = now
        with written_whole(self.folder(job.id) / "job.json") as unfinished:
            unfinished.write_text(json.dumps(asdict(job)), encoding="utf-8")

    def _prune(self) -> None:
        """Forget the oldest of too many finished jobs."""
        over = sorted((job for job in self._jobs.values() if job.over), key=lambda job: job.created)
        for job in over[: max(0, len(over) - _KEPT)]:
            self.remove(job.id)


def _read(file: Path) -> Job | None:
    """Return a job from the disk, None if its file is damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(Job)}
        job = Job(**{name: value for name, value in content.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return job if job.id == file.parent.name else None


__all__ = ["Job", "Jobs", "Kind", "State", "TaskError", "TooManyJobs"]
