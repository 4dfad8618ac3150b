"""What `lac.load` takes: run directories, and the names of encoders that need no training."""

import os
from os import PathLike
from pathlib import Path
from typing import Literal

from lac._hints import did_you_mean
from lac._run_directory import RunDirectory

FROZEN = ("lite0", "small", "pixels")


def is_frozen(run: str | PathLike[str]) -> bool:
    """Tell whether `run` is the name of a frozen encoder, not a directory."""
    return isinstance(run, str) and run in FROZEN


def require(run: str | PathLike[str], checkpoint: Literal["last", "best"]) -> None:
    """Refuse what `lac.load` would refuse, without loading anything.

    Raises
    ------
    FileNotFoundError, ValueError
        See `lac.load`.
    """
    directory = RunDirectory(run)
    if not is_frozen(run):
        if not directory.config.exists():
            raise FileNotFoundError(_neither_run_nor_name(run))
        directory.require(checkpoint)
    elif directory.config.exists():
        raise ValueError(
            f"`run` must name one thing, got {run!r}: a frozen encoder and a run directory here;"
            f" write {os.curdir}{os.sep}{run} for the run, or rename it"
        )
    elif checkpoint != "last":
        raise ValueError(f"`checkpoint` must be 'last' for frozen {run!r}, got {checkpoint!r}")


def _neither_run_nor_name(run: str | PathLike[str]) -> str:
    """Say what `run` may be, and which name is nearest to what was given."""
    place = "" if Path(run).exists() else ", where nothing is"
    names = ", ".join(map(repr, FROZEN))
    return (
        f"`run` must be a run directory of lac.train or one of {names},"
        f" got {str(run)!r}{place}{did_you_mean(str(run), FROZEN)}"
    )
