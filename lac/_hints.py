"""What to type instead, or next: the nearest known name, and how commands are called here."""

import os
import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path


def call(module: str) -> str:
    """Return how a module is run from here with the Python that runs, as a shell takes it.

    What `python` is called may be another one, or nothing, where a virtual environment is used
    without being activated.
    """
    found = shutil.which("python")
    own = sys.executable or found or "python"  # embedded, Python may not know its file
    there = found is not None and os.path.samefile(found, own)
    if there and os.path.samefile(os.path.dirname(str(found)), os.path.dirname(own)):
        return f"python -m {module}"
    below = os.path.relpath(own)
    near = os.sep in below and not below.startswith(os.pardir)
    return f"{shlex.quote(below if near else own)} -m {module}"


def program(command: str = "") -> str:
    """Return how `lac`, or a command of it, was called: as a program, or as a module."""
    started = Path(sys.argv[0])
    if started.parts[-2:] == ("lac", "__main__.py"):
        return f"python -m lac {command}".rstrip()
    if started.stem == "lac" or not command:
        return f"lac {command}".rstrip()
    return f"python -m lac.{command}"


def no_such(name: str, known: Sequence[str], *, kind: str) -> str:
    """Say that a name is unknown, and which known one is nearest to it.

    Examples
    --------
    >>> no_such("--plto=a.png", ["--plot", "--pairs"], kind="option")
    'no option --plto; did you mean --plot?'
    """
    name = name.partition("=")[0] if name.startswith("-") else name
    return f"no {kind} {name}{did_you_mean(name, known)}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name nearest to a name, None if none is near."""
    folded = {other.lower(): other for other in known}
    cutoff = 0.6 if len(name) == 3 else 0.7  # one letter of three may be another
    near = get_close_matches(name.lower(), folded, n=1, cutoff=cutoff)
    return folded[near[0]] if near else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known name was meant; return nothing if none is near."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def existing(path: Path) -> Path:
    """Refuse a path that does not exist."""
    if not path.exists():
        near = did_you_mean(path.name, _neighbours(path))
        raise FileNotFoundError(f"{path}: no such file{near}")
    return path


def _neighbours(path: Path) -> list[str]:
    """Return the names beside a path."""
    try:
        return [other.name for other in path.parent.iterdir()]
    except OSError:
        return []
