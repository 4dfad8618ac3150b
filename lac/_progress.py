"""Progress of long work on stderr: a bar on a terminal, else a plain line now and then."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

Item = TypeVar("Item")

FIRST, EVERY = 1.0, 5.0  # seconds until the first plain line, and between two of them
_FRAME = 0.2  # seconds between two looks of the bar


@dataclass(eq=False)
class _Task:
    """One piece of work; `total` is None where it is not known."""

    label: str
    total: int | None
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    last: float = 0.0  # when the last was done

    def advance(self) -> None:
        """Count one more."""
        self.done += 1
        self.last = time.monotonic()

    def __str__(self) -> str:
        """Describe progress, and the time left at the present pace."""
        if self.total is None or self.done > self.total:  # the count was wrong
            return f"{self.label}: {self.done}" if self.done else self.label
        words = f"{self.label}: {self.done} of {self.total}"
        if self.done:
            each = (self.last - self.began) / self.done
            spent = time.monotonic() - self.last  # on the one that is being done
            left = each * (self.total - self.done) - min(spent, each)
            words += f", about {duration(left)} left"
        return words


class Stage(NamedTuple):
    """How far a piece of work is: its label, what is done of what, in words the rest."""

    label: str
    done: int
    total: int | None
    words: str


_running: list[_Task] = []  # outermost first; work within work is shown beside it
_observers: list[Callable[[Sequence[Stage]], None]] = []


def progress(items: Iterable[Item], label: str, *, total: int | None = None) -> Iterator[Item]:
    """Yield items, showing how far it has come and how long it will take.

    Work within an item may show its own progress. What takes less than a second shows nothing.

    Parameters
    ----------
    items : iterable
        What is gone through.
    label : str
        What is being done, as in "Reading clips".
    total : int, optional
        How many items there are; their `len` if absent, and nothing is estimated without either.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    with _shown(_Task(label, total)) as task:
        for item in items:
            yield item
            task.advance()


def part(items: Iterable[Item], label: str, *, total: int | None = None) -> Iterator[Item]:
    """Yield items as `progress` does, but show nothing unless work around it is shown.

    For functions that others call from Python, who have not asked for it.
    """
    return progress(items, label, total=total) if _running else iter(items)


@contextmanager
def announced(label: str) -> Iterator[None]:
    """Say what is being done while it lasts, if that is more than a second."""
    with _shown(_Task(label, None)):
        yield


@contextmanager
def observed(report: Callable[[Sequence[Stage]], None]) -> Iterator[None]:
    """Call a function with what is running, now and then, instead of showing it on stderr.

    Parameters
    ----------
    report : callable
        Takes the stages, the outermost first. It is called from another thread.
    """
    _observers.append(report)
    try:
        yield
    finally:
        _observers.remove(report)


def duration(seconds: float) -> str:
    """Return a duration in words, rounded.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.2, 41, 130, 6000)]
    ['1 s', '41 s', '2 min', '1.7 h']
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def _shown(task: _Task) -> Iterator[_Task]:
    """Show a task until the end of the block; the outermost task reports on all within it."""
    outermost = not _running
    _running.append(task)
    try:
        if outermost:
            with _reporting():
                yield task
        else:
            yield task
    finally:
        _running.remove(task)


@contextmanager
def _reporting() -> Iterator[None]:
    """Report on running tasks from a separate thread, as one item may take minutes."""
    over = threading.Event()
    report = _tell if _observers else _draw if sys.stderr.isatty() else _print
    thread = threading.Thread(target=report, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _print(over: threading.Event) -> None:
    """Print a line, and another when it has changed."""
    last, wait = "", FIRST
    while not over.wait(wait):
        line, wait = "; ".join(map(str, list(_running))), EVERY
        if line != last:
            print(line, file=sys.stderr, flush=True)
        last = line


def _tell(over: threading.Event) -> None:
    """Tell the innermost observer, as often as a bar is drawn."""
    report, last = _observers[-1], ""
    while not over.wait(_FRAME):
        tasks = list(_running)
        line = "; ".join(map(str, tasks))
        if line != last:
            report([Stage(task.label, task.done, task.total, str(task)) for task in tasks])
        last = line


def _draw(over: threading.Event) -> None:
    """Keep a bar for each task on the terminal, and remove them at the end."""
    if over.wait(_FRAME):
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    columns = TextColumn("{task.fields[words]}", markup=False), BarColumn(bar_width=30)
    # What is printed meanwhile goes above the bar, unless it goes to a file.
    bar = Progress(
        *columns, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty()
    )
    drawn: dict[_Task, TaskID] = {}
    with bar:
        while not over.wait(_FRAME):
            now = list(_running)
            for task in now:
                if task not in drawn:
                    drawn[task] = bar.add_task("", total=task.total, words=str(task))
                bar.update(drawn[task], completed=task.done, words=str(task))
            for task in drawn.keys() - now:
                bar.remove_task(drawn.pop(task))
