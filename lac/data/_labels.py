"""`labels.json`, the split and the phases beside the files of a folder; every key is optional::

    {"phase_names": ["reach", "lift"],
     "split": {"train": ["a"], "val": ["b"]},
     "clips": {"a": {"phase": [0, 0, 1]}, "b": {"phase": ["reach", "lift", "lift"],
                                                "action": "tidy"}}}

Clips go by their file name without suffix, whose accented letters may be composed or decomposed
here as there. A phase is an index into `phase_names` or a name. Where clips show several actions,
`action` tells which; each action is then evaluated alone. Beside `phase` there may be `progress`,
how far each frame has come in its phase, from 0 to 1, where that does not go by time.
"""

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lac.data._names import normal
from lac.data.clip import SPLITS, Clip, Collection, Content, hold_out


def read_labelled(file: Path, paths: dict[str, Path], *, content: Content) -> Collection:
    """Return the clips at `paths`, by name, with what `labels.json` says of them.

    Raises
    ------
    ValueError
        If the file is not of the form above or does not fit the clips.

    Warns
    -----
    UserWarning
        If the split leaves clips out.
    """
    with _errors_of(file):
        labels = _Labels(_content(file))
        split = labels.split(paths)
        entries = labels.entries(paths)
        phases, actions = labels.phases(entries), labels.actions(entries)
        progress = labels.progress(entries, phases)
    left_out = [name for name in paths if name not in split]
    if left_out:
        warnings.warn(
            f"{file}: `split` leaves out {len(left_out)} clips: {', '.join(left_out)}",
            stacklevel=3,
        )
    clips = (
        Clip(
            name,
            paths[name],
            split[name],
            phases.get(name),
            actions.get(name),
            progress.get(name),
        )
        for name in sorted(split)
    )
    return Collection(tuple(clips), labels.phase_names if phases else None, content)


def phases_by_name(
    file: Path, paths: dict[str, Path]
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return what `labels.json` says of the clips at `paths`, by name, and the phases of each.

    Raises
    ------
    ValueError
        As `read_labelled`.
    """
    with _errors_of(file):
        content = _content(file)
        labels = _Labels(content)
        labels.split(paths)
        entries = labels.entries(paths)
        phases = labels.phases(entries)
        labels.progress(entries, phases)
    named = {
        name: [labels.phase_names[index] for index in indices] for name, indices in phases.items()
    }
    return {**content, "clips": entries}, named


def _content(file: Path) -> Any:
    """Return what a file says, nothing if it is not there."""
    return json.loads(file.read_bytes()) if file.exists() else {}


@contextmanager
def _errors_of(file: Path) -> Iterator[None]:
    """Say of which file is wrong what is found to be wrong in the block."""
    try:
        yield
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is not valid JSON: {error}") from error
    except _LabelsError as error:
        raise ValueError(f"{file}: {error}") from None


class _LabelsError(ValueError):
    """What is wrong with `labels.json`; the caller adds the file."""


class _Labels:
    """The content of `labels.json`, checked key by key."""

    def __init__(self, content: object):
        self._content = _typed(content, dict, "the whole file")
        names = _typed(self._content.get("phase_names", []), list, "`phase_names`")
        self.phase_names = tuple(_name(name, "`phase_names`: a name") for name in names)
        if repeated := _repeated(self.phase_names):
            raise _LabelsError(f"`phase_names` must differ from each other, got {repeated!r} twice")

    def split(self, files: dict[str, Path]) -> dict[str, str]:
        """Map clip names to their split, drawing one where the file gives none."""
        if "split" not in self._content:
            return hold_out(list(files))
        split: dict[str, str] = {}
        for key, names in _typed(self._content["split"], dict, "`split`").items():
            if key not in SPLITS:
                raise _LabelsError(f"`split` may have the keys {', '.join(SPLITS)}, got {key!r}")
            for given in _typed(names, list, f"`split.{key}`"):
                name = _name(given, f"`split.{key}`: a clip")
                self._known(name, files, f"`split.{key}`")
                if name in split:
                    raise _LabelsError(
                        f"`split` must name a clip once, got {name!r} in {split[name]} and {key}"
                    )
                split[name] = key
        return split

    def entries(self, files: dict[str, Path]) -> dict[str, dict[str, Any]]:
        """Map the names of clips to what the file tells of them."""
        entries: dict[str, dict[str, Any]] = {}
        for given, entry in _typed(self._content.get("clips", {}), dict, "`clips`").items():
            name = normal(given)
            self._known(name, files, "`clips`")
            if name in entries:
                raise _LabelsError(f"`clips` must name a clip once, got {name!r} twice")
            entries[name] = _typed(entry, dict, f"`clips.{name}`")
        return entries

    def phases(self, entries: dict[str, dict[str, Any]]) -> dict[str, np.ndarray]:
        """Map the names of labelled clips to phase indices (T,)."""
        phases = {}
        for name, entry in entries.items():
            if "phase" in entry:
                where = f"clips.{name}.phase"
                values = _typed(entry["phase"], list, f"`{where}`")
                phases[name] = np.array(
                    [self._phase(value, f"`{where}[{t}]`") for t, value in enumerate(values)],
                    dtype=np.int64,
                )
        return phases

    def actions(self, entries: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Map the names of clips to their actions, where the file tells them."""
        return {
            name: _name(entry["action"], f"`clips.{name}.action`")
            for name, entry in entries.items()
            if "action" in entry
        }

    def progress(
        self, entries: dict[str, dict[str, Any]], phases: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Map the names of clips to how far frames have come in their phase, where it is told."""
        found = {}
        for name, entry in entries.items():
            if "progress" not in entry:
                continue
            where = f"clips.{name}.progress"
            values = _typed(entry["progress"], list, f"`{where}`")
            if name not in phases or len(values) != len(phases[name]):
                raise _LabelsError(f"`{where}` must be one number for each frame of `phase`")
            for t, value in enumerate(values):
                if type(value) not in (int, float) or not 0 <= value <= 1:
                    raise _LabelsError(
                        f"`{where}[{t}]` must be a number from 0 to 1, got {value!r}"
                    )
            found[name] = np.array(values, np.float64)
            within = np.diff(phases[name]) == 0
            if (np.diff(found[name])[within] < 0).any():
                raise _LabelsError(f"`{where}` must not fall within a phase")
        return found

    def _phase(self, value: object, where: str) -> int:
        """Return the index of a phase that may be given by name."""
        if isinstance(value, str) and normal(value) in self.phase_names:
            return self.phase_names.index(normal(value))
        if type(value) is int and 0 <= value < len(self.phase_names):
            return value
        if not self.phase_names:
            raise _LabelsError(f"{where} needs `phase_names`, got none")
        raise _LabelsError(
            f"{where} must be one of `phase_names` or its index, 0 to"
            f" {len(self.phase_names) - 1}, got {value!r}"
        )

    def _known(self, name: str, files: dict[str, Path], where: str) -> None:
        """Refuse the name of a clip that is not there."""
        if name not in files:
            beside = next(iter(files.values())).parent.name
            raise _LabelsError(f"{where} names clip {name!r}, which is not in {beside}/")


def _name(value: object, where: str) -> str:
    """Return a name, composed as those of files are."""
    return normal(_typed(value, str, where))


def _typed(value: Any, kind: type, where: str) -> Any:
    """Return a JSON value of the kind wanted."""
    if not isinstance(value, kind):
        names: dict[type, str] = {dict: "an object", list: "a list", str: "a string"}
        raise _LabelsError(f"{where} must be {names[kind]}, got {str(value)[:40]!r}")
    return value


def _repeated(names: tuple[str, ...]) -> str | None:
    """Return a name that is there twice."""
    return next((name for name, count in Counter(names).items() if count > 1), None)
