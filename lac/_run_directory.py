"""The run directory: its files, written so that a kill at any moment leaves it usable.

config.yaml          the resolved configuration
checkpoints/         last.ckpt, and best.ckpt by validation loss
csv/, tensorboard/   logs
metrics.json         written last: its presence says that the run is finished
evaluation.json      what lac.evaluate measured last
figures/
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lac._atomic import written_whole

if TYPE_CHECKING:
    from lac.evaluation._record import Report


class RunDirectory:
    """The paths of a run, and its settings, checkpoints and reports.

    Parameters
    ----------
    path : str or path
        The directory; need not exist.
    """

    def __init__(self, path: str | os.PathLike[str]):
        """Remember the path."""
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.ckpt"
        self.best = self.checkpoints / "best.ckpt"
        self.metrics = self.path / "metrics.json"
        self.evaluation = self.path / "evaluation.json"
        self.figures = self.path / "figures"
        self.logged = self.path / "csv" / "metrics.csv"

    def write_settings(self, settings: str) -> None:
        """Write `config.yaml`."""
        with written_whole(self.config) as unfinished:
            unfinished.write_text(settings)

    def write_report(self, file: Path, report: "Report") -> None:
        """Write `metrics.json` or `evaluation.json`."""
        with written_whole(file) as unfinished:
            unfinished.write_text(json.dumps(report, indent=1) + "\n")

    def read_report(self, file: Path) -> "Report":
        """Return the content of `metrics.json` or `evaluation.json`.

        Raises
        ------
        ValueError
            If it is damaged.
        """
        try:
            report: Report = json.loads(file.read_text())
        except ValueError as error:
            raise ValueError(f"{file} is not valid JSON: {error}") from error
        return report

    def read_settings(self) -> dict[str, Any]:
        """Return the resolved configuration, nested.

        Raises
        ------
        FileNotFoundError
            If this is no run directory.
        ValueError
            If the configuration is damaged.
        """
        if not self.config.exists():
            raise FileNotFoundError(f"`run` must be a run directory of lac.train, got {self.path}")
        import yaml

        try:
            settings = yaml.safe_load(self.config.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ValueError(f"{self.config} is not valid YAML: {error}") from error
        if not isinstance(settings, dict):
            raise ValueError(f"{self.config} must hold settings by name, got {settings!r}")
        return settings

    def require(self, checkpoint: Literal["last", "best"]) -> None:
        """Refuse a directory that is no run or lacks the checkpoint, without loading anything.

        Raises
        ------
        FileNotFoundError, ValueError
            As `read_settings` and `read_checkpoint` do.
        """
        self.read_settings()
        self._checkpoint(checkpoint)

    def _checkpoint(self, which: Literal["last", "best"]) -> Path:
        """Return the file of a checkpoint, which must exist."""
        file = self.last if which == "last" else self.best
        if not file.exists():
            raise FileNotFoundError(f"`checkpoint` must be one that {self.path} has, got {which!r}")
        return file

    def read_checkpoint(self, which: Literal["last", "best"] = "last") -> dict[str, Any]:
        """Return a checkpoint on the CPU, read as plain tensors: no code in it is run.

        Raises
        ------
        FileNotFoundError
            If the run has no such checkpoint.
        ValueError
            If the file is no checkpoint, or names more than plain data.
        """
        import torch

        file = self._checkpoint(which)
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a broken file may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise ValueError(f"{file} is not a checkpoint that can be read, {reason}") from error
        return state


def next_run(parent: Path, name: str) -> Path:
    """Return the first of parent/name-1, parent/name-2, ... that does not exist yet."""
    number = 1
    while (parent / f"{name}-{number}").exists():
        number += 1
    return parent / f"{name}-{number}"


def flat_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted names and values of nested settings."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat_settings(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_yaml(file: Path) -> Mapping[str, Any]:
    """Read a configuration file.

    Raises
    ------
    ValueError
        If it is damaged, or holds no settings.
    """
    import yaml

    try:
        settings = yaml.safe_load(file.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{file} is not valid YAML: {reason}") from error
    if not isinstance(settings, Mapping):
        raise ValueError(f"{file} must hold settings by name, got {settings!r}")
    return settings
