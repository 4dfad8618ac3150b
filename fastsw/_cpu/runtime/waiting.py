"""What happens while a kernel is compiled: other processes wait for it, and the user is told.

Processes that start together, such as the ranks of a training, need the same kernels at the same
time. One of them compiles each, the others load what it kept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: every process compiles for itself
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger("fastsw")

#: Seconds of compilation, or of waiting, before the user is told.
PATIENCE = 1.0

#: Seconds after which a process no longer waits for another one.
_LONGEST_WAIT = 300.0

#: What kernels do, by the first part of their names.
_FAMILIES = {
    "add_up": "sums of gradients",
    "align": "the robust alignment",
    "cut": "the choice of kernels",
    "doubt": "the choice of kernels",
    "survey": "the choice of kernels",
    "max_plus": "scores at temperature 0",
    "viterbi_paths": "the alignment at temperature 0",
    "dtw": "soft-DTW",
    "draw_alignments": "sampling",
    "viterbi_dtw": "DTW at temperature 0",
    "intra_pair": "the alignment",
    "inter_pair": "the alignment of many small pairs",
    "plan": "the range check",
    "warp": "the robust soft-DTW",
}

_told: set[str] = set()


def _family(name: str) -> str:
    """What a kernel does, in words."""
    known = max((k for k in _FAMILIES if f"{name}_".startswith(f"{k}_")), key=len, default=None)
    return f"the kernel {name}" if known is None else _FAMILIES[known]


def _tell(name: str, folder: Path | None) -> None:
    """Say once of each family of kernels what takes so long, and how it need not."""
    family = _family(name)
    if family in _told:
        return
    _told.add(family)
    advice = "" if folder is None else f", and kept in {folder}"
    logger.warning(
        "compiling %s for this machine: some seconds, once%s; "
        "`python -m fastsw warmup` compiles ahead what scores and first derivatives need, and with "
        "`--all` what second derivatives do",
        family,
        advice,
    )


class Compilation:
    """The compilation of one kernel, or the wait for another process that is at it.

    Parameters
    ----------
    name : str
        Of the kernel.
    folder : Path, optional
        Where kernels are kept.
    file : str
        Name of the kernel's file there.

    Attributes
    ----------
    waited : bool
        Whether another process was at it, and has probably kept the kernel.
    """

    def __init__(self, name: str, folder: Path | None, file: str):
        self._timer = threading.Timer(PATIENCE, _tell, (name, folder))
        self._timer.daemon = True
        self._timer.start()
        self._path = None if folder is None else folder / f"{file}.lock"
        self._handle: int | None = None
        try:
            self.waited = self._take_turn()
        except BaseException:  # the user lost patience
            self.end()
            raise

    def _take_turn(self) -> bool:
        """Lock the kernel's file against other processes; whether one had to be waited for."""
        if fcntl is None or self._path is None:
            return False
        with contextlib.suppress(OSError):  # a read-only folder, a file system without locks
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            try:
                return self._lock(handle)
            finally:
                if self._handle is None:
                    os.close(handle)
        return False

    def _lock(self, handle: int) -> bool:
        """Lock an open file, unless that takes too long; whether it had to be waited for."""
        end, waited = time.monotonic() + _LONGEST_WAIT, False
        while time.monotonic() < end:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._handle = handle
                return waited
            except BlockingIOError:
                waited = True
                time.sleep(0.02)
        return False

    def end(self) -> None:
        """Let others look for the kernel."""
        self._timer.cancel()
        handle, self._handle = self._handle, None
        if handle is None or self._path is None:
            return
        with contextlib.suppress(OSError):  # a folder that has become read-only
            self._path.unlink(missing_ok=True)
        fcntl.flock(handle, fcntl.LOCK_UN)  # a process that was forked since would hold it on
        os.close(handle)
