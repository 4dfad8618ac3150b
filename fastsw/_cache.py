"""The disk cache of compiled kernels, of both backends; it notices every edit.

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
import pkgutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

logger = logging.getLogger("fastsw")

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

_CHECKSUM = hashlib.sha256().digest_size


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


def settings(config: Any, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Settings of a Numba, by name; None for what this version does not know."""
    return tuple((name, repr(getattr(config, name, None))) for name in names)


def digest_of(*parts: Any) -> str:
    """Digest of things that have a representation."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def modules_stamp(backend: str, without: set[str]) -> str:
    """Digest of a backend's modules and of those that all share.

    They may come from a folder, from an archive, or as bytecode alone.
    """
    own = (f"fastsw.{backend}.{name}" for name in modules_of(backend) if name not in without)
    return digest_of(
        *((name, _content(name)) for name in ("fastsw._recurrence", "fastsw._types", *own))
    )


def modules_of(backend: str) -> list[str]:
    """Names of a backend's modules within it, packages left out."""
    prefix = f"fastsw.{backend}."
    package = importlib.import_module(f"fastsw.{backend}")
    return [
        module.name.removeprefix(prefix)
        for module in pkgutil.walk_packages(package.__path__, prefix)
        if not module.ispkg
    ]


def _content(module: str) -> Any:
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
