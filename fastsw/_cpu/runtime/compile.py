"""Compilation of kernels on first use, and the cache of what was compiled; see `fastsw._cache`.

Numba's own cache looks only at the file that defines a function, so an edit of a helper in another
file leaves stale machine code behind. Here a cached kernel is keyed by the contents of all modules
that kernels are made of, the versions and options of the compilers, the processor and the argument
types.
"""

from __future__ import annotations

import functools
import logging
import pickle
import sys
import threading

import llvmlite
import numba
import numpy as np
from numba import njit
from numba.core import caching, compiler, serialize

from fastsw._cache import (
    CODE_SETTINGS,
    cache_folder,
    digest_of,
    keep,
    kept,
    modules_stamp,
    settings,
)
from fastsw._cpu.runtime.handoff import entry_of
from fastsw._cpu.runtime.parts import KERNEL, PART
from fastsw._cpu.runtime.subnormals import flush_subnormals, restore
from fastsw._cpu.runtime.waiting import Compilation

logger = logging.getLogger("fastsw")

#: Modules of the backend that only call kernels.
_NO_KERNELS = {
    "backend",
    "inputs",
    "panels",
    "routing",
    "runtime.thread_pool",
    "runtime.waiting",
    "warping",
}

_OPTIONS = {"nogil": True, "error_model": "numpy"}
_compiling = threading.Lock()

#: References to arrays are not counted: it takes atomic operations, and callers hold the arrays.
_FRUGAL = {**_OPTIONS, "_nrt": False}

#: A function that kernels call; compiled as part of them.
helper = njit(**_OPTIONS, **PART)

#: How `numba.extending.overload` compiles what kernels call, and what is expanded in its caller.
PART_OPTIONS = {**_FRUGAL, **PART}
EXPANDED_OPTIONS = {"forceinline": True, **PART_OPTIONS}

#: A function that is always expanded in its caller; it must close over nothing, see `Variant`.
inlined = njit(**EXPANDED_OPTIONS)


def serial_kernel(function):
    """Make a function an entry point, compiled and cached at its first call."""
    return functools.wraps(function)(_Kernel(function, function.__name__, _OPTIONS))


def kernel(function):
    """Make a function(thread, *arguments) an entry point that `thread_pool` calls.

    Threads may run it together, each with an index of its own.
    """
    return functools.wraps(function)(SharedKernel(function, function.__name__, _OPTIONS))


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
        return SharedKernel(self._named(function), f"{function.__name__}_{self._suffix}", _FRUGAL)

    def scaled_kernel(self, function):
        """See `kernel`; of scaled numbers, among which subnormal ones count as 0 (`subnormals`)."""
        return _Flushing(self._named(function), f"{function.__name__}_{self._suffix}", _FRUGAL)


class _Kernel:
    """A Numba dispatcher that is created at the first call, so that import compiles nothing."""

    def __init__(self, function, name, options):
        self._function = function
        self._options = options
        self.name = name
        self._dispatcher = None

    def __call__(self, *arguments):
        try:
            return self.compiled()(*arguments)
        except BaseException:
            self.give_up()
            raise

    def compiled(self):
        """The function that compiles what it is called with, or loads it, and runs it."""
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
        return self._dispatcher

    def give_up(self):
        """Let others compile what could not be compiled here."""
        if self._dispatcher is not None:
            self._dispatcher._cache.end()

    def _entry(self):
        return self._function


class SharedKernel(_Kernel):
    """A kernel that several threads may run together; called with a mailbox and their number."""

    def _entry(self):
        entry = entry_of(self._body(), self.name)
        entry.__qualname__ += f"_{self.name}"
        return entry

    def _body(self):
        """What each thread runs."""
        return njit(**self._options, **PART)(self._function)


class _Flushing(SharedKernel):
    """A kernel in which subnormal numbers count as 0. It may not raise."""

    def _body(self):
        body = super()._body()

        def flushing(thread, *arguments):
            word = flush_subnormals()
            body(thread, *arguments)
            restore(word)

        flushing.__qualname__ += f"_{self.name}"
        return njit(**self._options, **PART)(flushing)


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


@functools.cache
def source_stamp() -> str:
    """Digest of the modules of all kernels and of the versions that compile them."""
    versions = numba.__version__, llvmlite.__version__, np.__version__, sys.version
    return digest_of(modules_stamp("_cpu", _NO_KERNELS), versions)
