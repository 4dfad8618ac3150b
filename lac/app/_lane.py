"""A process that does one task after the other, and is started anew when it dies."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

_GRACE = 5.0  # seconds that a process is given to end


class TaskError(RuntimeError):
    """What a task could not do, in words for the user."""


class TaskStopped(RuntimeError):
    """A task was stopped by the user, or the server ended."""


@dataclass(eq=False)
class _Task:
    """A task, and who is told how it goes."""

    name: str
    request: Mapping[str, Any]
    started: Callable[[], None]
    progressed: Callable[[str, float | None], None]
    ended: Callable[[Mapping[str, Any] | Exception], None]
    stopped: bool = False
    over: bool = False


@dataclass(order=True)
class _Place:
    """A place in the queue: the urgent first, then in order."""

    urgency: int
    number: int
    task: _Task | None = field(compare=False)


class Lane:
    """Do tasks one after the other in a process of their own.

    The process is kept from task to task, as loading takes longer than most. It talks in lines of
    JSON and is told nothing else. What kills it, a damaged video or too little memory, ends the
    task and nothing more.

    Parameters
    ----------
    name : str
        Which tasks it does.
    log : Path
        Where the process writes what it has to say.
    command : sequence of str, optional
        Arguments of Python that start the process; those of `lac.app._worker` if absent.
    """

    def __init__(self, name: str, log: Path, *, command: Sequence[str] | None = None):
        """Start the thread that waits for tasks; the process is started by the first of them."""
        self.name = name
        self._log = log
        self._command = command or ("-m", "lac.app._worker", name)
        self._queue: queue.PriorityQueue[_Place] = queue.PriorityQueue()
        self._numbers = count()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._running: _Task | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"lane {name}", daemon=True)
        self._thread.start()

    def submit(
        self,
        task: str,
        request: Mapping[str, Any],
        *,
        started: Callable[[], None],
        progressed: Callable[[str, float | None], None],
        ended: Callable[[Mapping[str, Any] | Exception], None],
        urgent: bool = False,
    ) -> Callable[[], None]:
        """Queue a task, and return what stops it.

        Parameters
        ----------
        task : str
            Its name.
        request : mapping
            What it is given; of what JSON can hold.
        started, progressed, ended : callable
            Called from the thread of the lane. `ended` is called once, with what the task answers
            or with TaskError or TaskStopped.
        urgent : bool
            Before all that are not.
        """
        queued = _Task(task, request, started, progressed, ended)
        with self._lock:
            closed = self._closed
        if closed:
            ended(TaskStopped())
            return lambda: None
        self._queue.put(_Place(0 if urgent else 1, next(self._numbers), queued))
        return lambda: self._stop(queued)

    def call(self, task: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do a task before all others that wait, and return what it answers.

        Raises
        ------
        TaskError
            If it fails.
        """
        future: Future[Mapping[str, Any]] = Future()

        def ended(result: Mapping[str, Any] | Exception) -> None:
            if isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.submit(
            task,
            request,
            started=lambda: None,
            progressed=lambda words, share: None,
            ended=ended,
            urgent=True,
        )
        return future.result()

    def close(self) -> None:
        """Stop what is running and waiting, and end the process."""
        with self._lock:
            self._closed = True
            if self._running is not None:
                self._running.stopped = True
            self._kill()
        self._queue.put(_Place(-1, next(self._numbers), None))
        self._thread.join(_GRACE)
        while not self._queue.empty():
            place = self._queue.get_nowait()
            if place.task is not None:
                self._end(place.task, TaskStopped())

    def _stop(self, task: _Task) -> None:
        """Stop a task, whether it runs or waits."""
        with self._lock:
            task.stopped = True
            if self._running is task:
                self._kill()
                return
        self._end(task, TaskStopped())

    def _kill(self) -> None:
        """End the process at once; the lock is held."""
        if self._process is not None:
            self._process.kill()

    def _end(self, task: _Task, result: Mapping[str, Any] | Exception) -> None:
        """Tell once what came of a task."""
        with self._lock:
            first, task.over = not task.over, True
        if first:
            task.ended(result)

    def _work(self) -> None:
        """Do tasks until the lane is closed."""
        while True:
            task = self._queue.get().task
            if task is None:
                return
            with self._lock:
                if task.stopped or self._closed:
                    skipped = True
                else:
                    skipped, self._running = False, task
            if skipped:
                self._end(task, TaskStopped())
                continue
            try:
                task.started()
                result: Mapping[str, Any] | Exception = self._do(task)
            except Exception as error:  # the lane goes on, whatever has happened
                result = error
            with self._lock:
                self._running = None
                if task.stopped:
                    result = TaskStopped()
            self._end(task, result)

    def _do(self, task: _Task) -> Mapping[str, Any]:
        """Have the process do a task."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        try:
            line = json.dumps({"task": task.name, "request": task.request})
            process.stdin.write(line + "\n")
            process.stdin.flush()
            for answer in map(json.loads, process.stdout):
                if "words" in answer:
                    task.progressed(answer["words"], answer["share"])
                elif "error" in answer:
                    raise TaskError(answer["error"])
                else:
                    result: Mapping[str, Any] = answer["result"]
                    return result
        except (OSError, ValueError):
            process.kill()
        code = process.wait()
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        hint = ", perhaps for want of memory" if code == -9 else ""
        raise TaskError(f"The process that did this has died ({reason}{hint}); see {self._log}")

    def _started(self) -> "subprocess.Popen[str]":
        """Return the process, started anew if it is not there."""
        with self._lock:
            if self._closed:
                raise TaskStopped
            if self._process is None or self._process.poll() is not None:
                self._log.parent.mkdir(parents=True, exist_ok=True)
                with self._log.open("w") as log:
                    self._process = subprocess.Popen(
                        [sys.executable, *self._command],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        encoding="utf-8",
                        start_new_session=True,  # Ctrl-C is for the server alone
                    )
            return self._process
