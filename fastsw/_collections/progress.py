"""How far long work is, on stderr: a bar on a terminal, else a plain line now and then."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

#: Seconds between two plain lines.
EVERY = 5.0


def followed(items: Iterable[Item], count: Callable[[], int], progress: bool) -> Iterable[Item]:
    """Items, with a word on how many are done if that is asked for."""
    return shown(items, "Aligning tiles of pairs", count()) if progress else items


def shown(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield items and tell how many are done, and how long the others will take."""
    if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
        return _drawn(items, label, total)
    return _told(items, label, total)


def _drawn(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """A bar, which is removed at the end."""
    from rich.console import Console
    from rich.progress import track

    yield from track(items, label, total, console=Console(stderr=True), transient=True)


def _told(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Plain lines."""
    began = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= EVERY:
            last = now
            left = (now - began) / done * (total - done)
            print(
                f"{label}: {done} of {total}, about {left:.0f} s left", file=sys.stderr, flush=True
            )
