"""Compilation of kernels on first use, and a disk cache that notices every edit.

Numba's own cache looks only at the file that defines a function, so an edit of a helper in another
file leaves stale machine code behind. Here a cached kernel is keyed by the contents of all modules
that kernels are made of, the versions and options of the compilers, the processor and the argument
types.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import logging
import marshal
import os
import pickle
import pkgutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import njit
from numba.core import caching, compiler, serialize

from fastsw._cpu._parts import KERNEL, PART
from fastsw._cpu._team import entry_of
from fastsw._cpu._waiting import Compilation

logger = logging.getLogger("fastsw")

#: Modules of this folder that only call kernels.
_NO_KERNELS = {"__init__", "_dispatch", "_threads", "_waiting", "_warping"}

#: Settings of `numba.config` that change the code of a kernel; the processor's name and features
#: come with those of the code generator.
CODE_SETTINGS = (
    "BOUNDSCHECK",
    "DEBUGINFO_DEFAULT",
    "DEBUG_NRT",
    "DEBUG_NRT_STACK_LIMIT",
    "ENABLE_PROFILING",
    "EXTEND_VARIABLE_LIFETIMES",
    "FULL_TRACEBACKS",
    "LLVM_REFPRUNE_FLAGS",
    "LLVM_REFPRUNE_PASS",
    "LOOP_VECTORIZE",
    "OPT",
    "SLP_VECTORIZE",
    "USING_SVML",
)

_OPTIONS = {"nogil": True, "error_model": "numpy"}
_CHECKSUM = hashlib.sha256().digest_size
_compiling = threading.Lock()

#: References to arrays are not counted: it takes atomic operations, and callers hold the arrays.
_FRUGAL = {**_OPTIONS, "_nrt": False}

#: A function that kernels call; compiled as part of them.
helper = njit(**_OPTIONS, **PART)


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
        return njit(**_FRUGAL, **PART)(self._named(function))

    def inlined(self, function):
        """Always expanded in its caller."""
        return njit(forceinline=True, **_FRUGAL, **PART)(self._named(function))

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
                    if numba.config.DISABLE_JIT:
                        raise RuntimeError(
                            "`NUMBA_DISABLE_JIT` must be 0 or unset, because fastsw computes in "
                            f"compiled kernels; got {numba.config.DISABLE_JIT}"
                        )
                    dispatcher = njit(**self._options, **KERNEL)(self._entry())
                    dispatcher._cache = _DiskCache(self.name)
                    self._dispatcher = dispatcher
        try:
            return self._dispatcher(*arguments)
        except BaseException:
            self._dispatcher._cache.end()
            raise

    def _entry(self):
        return self._function


class _Shared(_Kernel):
    """A kernel that several threads may run together; called with a mailbox and seats."""

    def _entry(self):
        entry = entry_of(njit(**self._options, **PART)(self._function), self.name)
        entry.__qualname__ += f"_{self.name}"
        return entry


class _DiskCache(caching._Cache):
    """One file per compiled kernel and signature, named by all that it depends on."""

    def __init__(self, name):
        self._name = name
        self._enabled = True
        self._compilation: Compilation | None = None

    @property
    def cache_path(self):
        return str(cache_folder())

    def enable(self):
        self._enabled = True

    def disable(self):
        self._enabled = False

    def flush(self):
        if folder := cache_folder():
            for path in folder.glob(f"{self._name}-*.bin"):
                path.unlink(missing_ok=True)

    def _file(self, signature, codegen):
        options = settings(numba.config, CODE_SETTINGS)
        parts = source_stamp(), str(signature), codegen.magic_tuple(), options
        return f"{self._name}-{digest_of(*parts)}.bin"

    def load_overload(self, sig, target_context):
        target_context.refresh()
        file = self._file(sig, target_context.codegen())
        found = self._kept(file, target_context)
        if found is None:
            self._compilation = Compilation(self._name, cache_folder(), file)
            if self._compilation.waited:
                found = self._kept(file, target_context)
                if found is not None:
                    self.end()
        return found

    def _kept(self, file, target_context):
        """The compiled kernel of a file of the cache, if it is there and whole."""
        payload = kept(file) if self._enabled else None
        if payload is None:
            return None
        try:
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception as error:  # of a foreign file: compile anew, and say so
            logger.warning("ignoring an unreadable kernel cache file (%s)", error)
        return None

    def save_overload(self, sig, data):
        if self._enabled:
            keep(self._file(sig, data.codegen), serialize.dumps(data._reduce()))
        self.end()

    def end(self):
        """Compilation is over, or has failed."""
        if self._compilation is not None:
            self._compilation.end()
            self._compilation = None


def keep(name: str, payload: bytes) -> None:
    """Add a file to the cache at once, or say why that is not possible."""
    folder, temporary = cache_folder(), None
    if folder is None:
        return
    try:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            temporary = file.name
            file.write(hashlib.sha256(payload).digest() + payload)
        os.replace(temporary, folder / name)
    except OSError as error:
        _regret(f"compiled kernels cannot be kept in {folder}: {error}")
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def kept(name: str) -> bytes | None:
    """Content of a file of the cache; None where it is not there, or not as it was written."""
    folder = cache_folder()
    if folder is None:
        return None
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        logger.warning("ignoring an unreadable kernel cache file (%s)", error)
        return None
    checksum, payload = content[:_CHECKSUM], content[_CHECKSUM:]
    if hashlib.sha256(payload).digest() != checksum:
        logger.warning("ignoring a damaged kernel cache file (%s)", folder / name)
        return None
    return payload


@functools.cache
def _regret(message: str) -> None:
    """Warn once of each thing."""
    logger.warning("%s", message)


def settings(config, names: tuple[str, ...]) -> tuple:
    """Settings of a Numba, by name; None for what this version does not know."""
    return tuple((name, repr(getattr(config, name, None))) for name in names)


def digest_of(*parts) -> str:
    """Digest of things that have a representation."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


@functools.cache
def source_stamp() -> str:
    """Digest of the modules of all kernels and of the versions that compile them."""
    versions = numba.__version__, llvmlite.__version__, np.__version__, sys.version
    return digest_of(modules_stamp("_cpu", _NO_KERNELS), versions)


def modules_stamp(backend: str, without: set[str]) -> str:
    """Digest of a backend's modules and of those that all share.

    They may come from a folder, from an archive, or as bytecode alone.
    """
    package = importlib.import_module(f"fastsw.{backend}")
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    own = (f"fastsw.{backend}.{name}" for name in names if name not in without)
    return digest_of(
        *((name, _content(name)) for name in ("fastsw._recurrence", "fastsw._reference", *own))
    )


def _content(module: str):
    """Source of a module, or its bytecode where there is no source."""
    loader: Any = find_spec(module).loader  # type: ignore[union-attr]
    source = loader.get_source(module)
    # Version 2 of the format has no references, which depend on what else the process holds.
    return marshal.dumps(loader.get_code(module), 2) if source is None else source


@functools.cache
def cache_folder() -> Path | None:
    """Folder of compiled kernels: ``FASTSW_CACHE_DIR``, the user's cache, or a temporary folder.

    None where none of them can be used; every process then compiles its own.
    """
    for folder in _candidates():
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_strangers(folder)
            with tempfile.NamedTemporaryFile(dir=folder):
                return folder
        except OSError as error:
            if _ready_made(folder) and not isinstance(error, _StrangerError):
                return folder  # read from it, and fail to add to it
            logger.warning("cannot use %s for compiled kernels: %s", folder, error)
    logger.warning("compiled kernels have no place, so they are not kept; set FASTSW_CACHE_DIR")
    return None


def _candidates() -> Iterator[Path]:
    """Folders that may hold compiled kernels, the preferred one first."""
    wanted = os.environ.get("FASTSW_CACHE_DIR")
    base = os.environ.get("XDG_CACHE_HOME")
    if not base and os.name == "nt":
        base = os.environ.get("LOCALAPPDATA")
    if wanted:
        yield Path(wanted)
    elif base:
        yield Path(base) / "fastsw"
    else:
        with contextlib.suppress(RuntimeError):  # a user without a home, as in many containers
            yield Path.home() / ".cache" / "fastsw"
    owner = os.getuid() if hasattr(os, "getuid") else "user"
    with contextlib.suppress(OSError):  # no temporary folder can be written to
        yield Path(tempfile.gettempdir()) / f"fastsw-{owner}"


def _ready_made(folder: Path) -> bool:
    """Whether kernels were shipped in a folder."""
    return any(path.suffix in (".bin", ".cubin") for path in folder.glob("*"))


class _StrangerError(OSError):
    """A folder that somebody else may write to."""


def _refuse_strangers(folder: Path) -> None:
    """Refuse a folder whose files others could have planted: they are unpickled."""
    if not hasattr(os, "getuid"):
        return
    status = folder.stat()
    if status.st_uid not in (os.getuid(), 0) or status.st_mode & 0o022:
        raise _StrangerError(f"owned by user {status.st_uid}, mode {status.st_mode & 0o777:o}")
