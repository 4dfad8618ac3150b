"""Trainings: processes of their own, which go on without the server and are found again by it."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TextIO

from lac._atomic import written_whole
from lac._run_directory import RunDirectory

FOLDER = "runs"  # in the folder of videos
State = Literal["running", "stopping", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Training:
    """One training, as it was begun.

    Attributes
    ----------
    id : str
        16 hexadecimal digits.
    name : str
        That of its run, in `runs` of the folder of videos.
    settings : list of str
        What `lac.train` is told beside the folder and the run.
    shown : mapping
        What was asked for.
    pid : int, optional
        Of the process that was started last, and of its group.
    stopping : bool
        Whether it was told to stop.
    created : float
        Seconds since 1970.
    """

    id: str
    name: str
    settings: list[str]
    shown: Mapping[str, Any] = field(default_factory=dict)
    pid: int | None = None
    stopping: bool = False
    created: float = field(default_factory=time.time)


class TrainingRefused(RuntimeError):
    """What cannot be done with a training as things are, in words for the user."""


class Trainings:
    """The trainings on a folder of videos.

    A process holds a lock as long as it lives. By that a server knows which are running, whoever
    has started them and whatever has become of their numbers since.

    Parameters
    ----------
    folder : Path
        Where their records and logs are, a folder each.
    root : Path
        The folder of videos; runs are in `runs` of it.
    command : sequence of str, optional
        Arguments of Python that train; those of `lac.train` if absent.
    """

    def __init__(self, folder: Path, root: Path, *, command: Sequence[str] = ("-m", "lac.train")):
        """Read the records."""
        self._folder = folder
        self._root = root
        self._command = command
        self._lock = threading.RLock()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        read = (_read(file) for file in sorted(folder.glob("*/training.json")))
        self._trainings = {training.id: training for training in read if training is not None}

    def start(
        self, name: str | None, settings: Sequence[str], *, shown: Mapping[str, Any]
    ) -> Training:
        """Begin a training.

        Parameters
        ----------
        name : str, optional
            Of its run; `run-1` or the next that is free if absent.
        settings : sequence of str
            See `Training`.
        shown : mapping
            What was asked for.

        Raises
        ------
        TrainingRefused
            If another is running, there is a run of that name, or it cannot be begun.
        """
        with self._lock:
            self._require_idle()
            name = name or self._free_name()
            if os.path.lexists(self._root / FOLDER / name):
                raise TrainingRefused(f"`name` must be a new one, got {name!r}")
            training = Training(secrets.token_hex(8), name, list(settings), dict(shown))
            try:
                return self._begin(training)
            except BaseException:
                shutil.rmtree(self._folder / training.id, ignore_errors=True)
                with suppress(OSError):
                    self.run(training).path.rmdir()
                raise

    def resume(self, identity: str) -> Training:
        """Go on with a training that was stopped or has failed, where its last epoch ended.

        Raises
        ------
        KeyError
            If there is none.
        TrainingRefused
            If another is running, or this one is finished.
        """
        with self._lock:
            training = self._trainings[identity]
            self._require_idle()
            if self.state(training) == "finished":
                raise TrainingRefused(f"{training.name} is finished")
            return self._begin(replace(training, stopping=False))

    def stop(self, identity: str) -> Training:
        """Stop a training as Ctrl-C does; once more, at once. Raises KeyError if there is none."""
        with self._lock:
            training = self._trainings[identity]
            if self._runs(training) and training.pid is not None:
                stronger = signal.SIGKILL if training.stopping else signal.SIGINT
                self._set(replace(training, stopping=True))
                with suppress(ProcessLookupError):
                    os.killpg(training.pid, stronger)
            return self._trainings[identity]

    def forget(self, identity: str) -> None:
        """Take a training off the list; its run stays where it is.

        Raises
        ------
        KeyError
            If there is none.
        TrainingRefused
            If it is running.
        """
        with self._lock:
            training = self._trainings[identity]
            if self._runs(training):
                raise TrainingRefused(f"{training.name} must be stopped first")
            del self._trainings[identity]
            shutil.rmtree(self._folder / identity, ignore_errors=True)

    def list(self) -> list[Training]:
        """Return all trainings, the newest first."""
        with self._lock:
            return sorted(self._trainings.values(), key=lambda one: one.created, reverse=True)

    def get(self, identity: str) -> Training:
        """Return a training; raises KeyError if there is none."""
        with self._lock:
            return self._trainings[identity]

    def state(self, training: Training) -> State:
        """Tell how far a training is."""
        with self._lock:
            if self._runs(training):
                return "stopping" if training.stopping else "running"
        if self.run(training).metrics.exists():
            return "finished"
        return "stopped" if training.stopping else "failed"

    def run(self, training: Training) -> RunDirectory:
        """Return the run of a training."""
        return RunDirectory(self._root / FOLDER / training.name)

    def log(self, training: Training) -> Path:
        """Return where the process writes what it has to say."""
        return self._folder / training.id / "log"

    def _begin(self, training: Training) -> Training:
        """Start the process of a training; the lock is held."""
        run = self.run(training)
        if not run.path.parent.resolve().is_relative_to(self._root):
            raise TrainingRefused(f"`{FOLDER}` must not be a link that leads out of the folder")
        words = [*self._command]
        if not run.config.exists():  # else the run has its settings
            words += [str(self._root), *training.settings]
        words += ["--run", str(run.path)]
        self.log(training).parent.mkdir(parents=True, exist_ok=True)
        run.path.mkdir(parents=True, exist_ok=True)
        with _held(self._lock_file(training)) as held, self.log(training).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # it goes on when the server ends
                pass_fds=[held.fileno()],  # and holds the lock as long as it lives
            )
        self._children[training.id] = child
        return self._set(replace(training, pid=child.pid))

    def _require_idle(self) -> None:
        """Refuse to train while something trains: one takes the whole machine."""
        for training in self._trainings.values():
            if self._runs(training):
                raise TrainingRefused(f"one training runs at a time, and {training.name} does")

    def _runs(self, training: Training) -> bool:
        """Tell whether the process of a training lives; the lock is held."""
        if training.id in self._children:
            self._children[training.id].poll()  # one that has ended is let go of
        file = self._lock_file(training)
        if not file.exists():
            return False
        try:
            _held(file).close()
        except BlockingIOError:
            return True
        return False

    def _lock_file(self, training: Training) -> Path:
        return self._folder / training.id / "lock"

    def _free_name(self) -> str:
        """Return the first name that no run has."""
        number = 1
        while os.path.lexists(self._root / FOLDER / f"run-{number}"):
            number += 1
        return f"run-{number}"

    def _set(self, training: Training) -> Training:
        """Keep a training in the list and on the disk."""
        self._trainings[training.id] = training
        with written_whole(self._folder / training.id / "training.json") as unfinished:
            unfinished.write_text(json.dumps(asdict(training)), encoding="utf-8")
        return training


def _held(file: Path) -> TextIO:
    """Open a file that nobody else holds; raises BlockingIOError if somebody does."""
    try:
        import fcntl
    except ImportError:
        raise TrainingRefused("this system has no file locks: train by `lac train`") from None
    stream = file.open("w")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        raise
    return stream


def _read(file: Path) -> Training | None:
    """Return a training from the disk, None if its file is damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        known = {entry.name for entry in fields(Training)}
        training = Training(**{name: value for name, value in content.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return training if training.id == file.parent.name else None
