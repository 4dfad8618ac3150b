"""Compilation of kernels on first use, and a disk cache that notices every edit.

Numba's own cache looks only at the file that defines a function, so an edit of a helper in another
file leaves stale machine code behind. Here a cached kernel is keyed by the contents of all sources
that kernels are made of, by Numba's version, the processor and the argument types.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import pickle
import sys
import tempfile
import threading
from pathlib import Path

import llvmlite
import numba
from numba import njit
from numba.core import caching, compiler, serialize

from fastsw._cpu._team import entry_of

logger = logging.getLogger("fastsw")

#: Modules of this folder that only call kernels.
_NO_KERNELS = {"__init__", "_dispatch", "_threads", "_warping"}

_OPTIONS = {"nogil": True, "error_model": "numpy"}
_compiling = threading.Lock()
_announced = False

#: References to arrays are not counted: it takes atomic operations, and callers hold the arrays.
_FRUGAL = {**_OPTIONS, "_nrt": False}

#: A function that kernels call; compiled as part of them.
helper = njit(**_OPTIONS)


def serial_kernel(function):
    """Make a function an entry point, compiled and cached at its first call."""
    return functools.wraps(function)(_Kernel(function, function.__name__, _OPTIONS))


def kernel(function):
    """Make a function(seat, *arguments) an entry point that `_threads` calls.

    Threads may run it together, each with a seat of its own.
    """
    return functools.wraps(function)(_Shared(function, function.__name__, _OPTIONS))


class Variant:
    """Decorators for the functions of one kernel variant, which carry its name in their symbols.

    They may not allocate.

    Numba tells functions of the same name apart by a number that it counts up in each process. Two
    variants that different processes put into the cache can have the same number, and a third
    process that links both would run either for both.
    """

    def __init__(self, *parts):
        self._suffix = "_".join(map(str, parts))

    def _named(self, function):
        function.__qualname__ += f"_{self._suffix}"
        return function

    def helper(self, function):
        """See `helper`."""
        return njit(**_FRUGAL)(self._named(function))

    def inlined(self, function):
        """Always expanded in its caller."""
        return njit(forceinline=True, **_FRUGAL)(self._named(function))

    def kernel(self, function):
        """See `kernel`."""
        return _Shared(self._named(function), f"{function.__name__}_{self._suffix}", _FRUGAL)


class _Kernel:
    """A Numba dispatcher that is created at the first call, so that import compiles nothing."""

    def __init__(self, function, name, options):
        self._function = function
        self._options = options
        self.name = name
        self._dispatcher = None

    def __call__(self, *arguments):
        if self._dispatcher is None:
            with _compiling:
                if self._dispatcher is None:
                    dispatcher = njit(**self._options)(self._entry())
                    dispatcher._cache = _DiskCache(self.name)
                    self._dispatcher = dispatcher
        return self._dispatcher(*arguments)

    def _entry(self):
        return self._function


class _Shared(_Kernel):
    """A kernel that several threads may run together; called with a mailbox and seats."""

    def _entry(self):
        entry = entry_of(njit(**self._options)(self._function), self.name)
        entry.__qualname__ += f"_{self.name}"
        return entry


class _DiskCache(caching._Cache):
    """One file per compiled kernel and signature, named by all that it depends on."""

    def __init__(self, name):
        self._name = name
        self._enabled = True

    @property
    def cache_path(self):
        return str(cache_folder())

    def enable(self):
        self._enabled = True

    def disable(self):
        self._enabled = False

    def flush(self):
        for path in cache_folder().glob(f"{self._name}-*.bin"):
            path.unlink(missing_ok=True)

    def _path(self, signature, codegen):
        key = repr((source_stamp(), str(signature), codegen.magic_tuple()))
        digest = hashlib.sha256(key.encode()).hexdigest()[:24]
        return cache_folder() / f"{self._name}-{digest}.bin"

    def load_overload(self, sig, target_context):
        target_context.refresh()
        if self._enabled:
            try:
                payload = self._path(sig, target_context.codegen()).read_bytes()
                return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
            except FileNotFoundError:
                pass
            except Exception as error:  # a torn or foreign file: compile anew, and say so
                logger.warning("ignoring an unreadable kernel cache file (%s)", error)
        _announce()
        return None

    def save_overload(self, sig, data):
        if not self._enabled:
            return
        keep(self._path(sig, data.codegen), serialize.dumps(data._reduce()))


def keep(path: Path, payload: bytes) -> None:
    """Write a file of the cache at once, or say why that is not possible."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            temporary = file.name
            file.write(payload)
        os.replace(temporary, path)
    except OSError as error:
        logger.warning("compiled kernels cannot be cached in %s: %s", path.parent, error)
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _announce():
    """Say once a process that kernels are being compiled."""
    global _announced
    if not _announced:
        _announced = True
        logger.warning(
            "compiling kernels for this machine; this happens once, they are kept in %s",
            cache_folder(),
        )


@functools.cache
def source_stamp() -> str:
    """Digest of the sources of all kernels and of the versions that compile them."""
    return stamp_of("_cpu", _NO_KERNELS, (numba.__version__, llvmlite.__version__, sys.version))


def stamp_of(backend: str, without: set[str], versions: tuple) -> str:
    """Digest of a backend's sources, of those that all share, and of versions."""
    digest = hashlib.sha256()
    package = Path(__file__).parent.parent
    sources = [path for path in package.glob(f"{backend}/*.py") if path.stem not in without]
    for path in sorted([package / "_recurrence.py", package / "_reference.py", *sources]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    digest.update(repr(versions).encode())
    return digest.hexdigest()


@functools.cache
def cache_folder() -> Path:
    """Folder of compiled kernels: ``FASTSW_CACHE_DIR``, the user's cache, or a temporary folder."""
    wanted = os.environ.get("FASTSW_CACHE_DIR")
    if wanted:
        candidates = [Path(wanted)]
    else:
        default = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
        base = os.environ.get("XDG_CACHE_HOME") or default or Path.home() / ".cache"
        candidates = [Path(base) / "fastsw"]
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    candidates.append(Path(tempfile.gettempdir()) / f"fastsw-{owner}")
    for folder in candidates:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_strangers(folder)
            with tempfile.NamedTemporaryFile(dir=folder):
                return folder
        except OSError as error:
            if next(folder.glob("*.bin"), None) and not isinstance(error, _StrangerError):
                return folder  # shipped ready-made: read from it, and fail to add to it
            logger.warning("cannot use %s for compiled kernels: %s", folder, error)
    return Path(tempfile.mkdtemp(prefix="fastsw-"))


class _StrangerError(OSError):
    """A folder that somebody else may write to."""


def _refuse_strangers(folder: Path) -> None:
    """Refuse a folder whose files others could have planted: they are unpickled."""
    if not hasattr(os, "getuid"):
        return
    status = folder.stat()
    if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
        raise _StrangerError(f"owned by user {status.st_uid}, mode {status.st_mode & 0o777:o}")
