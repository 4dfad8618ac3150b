"""Settings as a command line and files have them, checked before anything heavy is imported.

What a check here lets pass is parsed and checked again by Lightning's parser, in full.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lac.data
from lac._hints import nearest, program
from lac._run_directory import RunDirectory, flat_settings, read_yaml
from lac._settings.kinds import convert, read
from lac._settings.options import (
    DEFAULT_LOSS,
    LOSSES,
    NOT_OURS,
    TRAINER_DEFAULTS,
    RunOptions,
    changed,
    find_preset,
    loss_class,
    refuse_what_cannot_train,
)
from lac._settings.sketch import Sketch, sketch, sketch_of

_ENCODER = "lac.encoder.Encoder"
_KNOWN = (_ENCODER, *LOSSES.values())
_SEE = "{} --help lists the settings"
_FLAGS = ("help", "help-all", "print_config")


class Settings:
    """What a command line and its configuration files say, checked as far as light imports allow.

    Parameters
    ----------
    args : sequence of str
        The command line.

    Attributes
    ----------
    flags : set of str
        Which of `help`, `help-all` and `print_config` are asked for.
    values : dict of str to object
        What is set, by dotted name without `init_args`.

    Raises
    ------
    FileNotFoundError
        If a configuration file or the run's is missing.
    ValueError
        If there is no setting of a name, or a value is not of its type.
    """

    def __init__(self, args: Sequence[str]):
        """Read all words and files; check names and types."""
        self.flags: set[str] = set()
        self.values: dict[str, Any] = {}
        self._classes = {"model.encoder": _ENCODER, "model.loss": LOSSES[DEFAULT_LOSS]}
        self._incomplete = False  # a group of settings stands in a file of its own
        words: list[tuple[str, str]] = []
        for name, given in _pairs(args, self.flags):
            if given is None:
                raise ValueError(self._without_value(name))
            words.append((name, given))
        if self.flags & {"help", "help-all"}:
            return
        run = next((RunDirectory(value) for name, value in words if name == "run"), None)
        self._started = run if run is not None and run.config.exists() else None
        configurations = [find_preset(value) for name, value in words if name in ("config", "c")]
        if self._started is not None:
            self._read(self._started.read_settings(), str(self._started.config))
        self._before = dict(self.values)
        for file in configurations:
            self._read(read_yaml(Path(file)), file)
        for name, value in words:
            if name not in ("config", "c"):
                self._set(name, read(value), f"--{name}", text=value)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a setting, or its default."""
        if name in self.values:
            return self.values[name]
        group, _, own = name.rpartition(".")
        if group == "trainer" and own in TRAINER_DEFAULTS:
            return TRAINER_DEFAULTS[own]
        described = self.described(group)
        if described is None or own not in described.parameters:
            return None
        return described.parameters[own].default

    def check(self) -> None:
        """Refuse what the parts that take the settings would refuse, with the same message.

        Raises
        ------
        FileNotFoundError, ValueError
            Of the first thing that is wrong.
        """
        if self._incomplete:
            return
        RunOptions(**self._of_group(""))
        refuse_what_cannot_train(self.__getitem__)
        data = self._of_group("data")
        if "data.augmentation" not in self.values:
            data["augmentation"] = self._built("data.augmentation")
        sketch_of("lac.data", "ClipDataModule").check(
            **data, rendered=self._built("data.rendered"), seed=self._seed()
        )
        self._built("model")
        if self._classes["model.encoder"] == _ENCODER:
            encoder = self._of_group("model.encoder")
            if self["data.source"] == "features" and encoder.get("channels") is None:
                encoder["channels"] = 1  # it is read from the first file
            sketch_of("lac.encoder", "Encoder").check(**encoder)
            transformer = sketch_of("lac.encoder", "TemporalTransformer")
            shared = {name: self[f"model.encoder.{name}"] for name in transformer.parameters}
            transformer.check(**shared)
        self._built("model.loss")
        self._refuse_changes()
        if self["data.source"] != "rendered":
            from lac.data.sources import read_source

            read_source(self["data.source"], Path(self["data.root"]), action=self["data.action"])

    def _seed(self) -> int:
        """Return the seed that decides everything."""
        seed = self.values.get("seed_everything", 0)
        return seed if type(seed) is int else 0

    def _refuse_changes(self) -> None:
        """Refuse plain values other than those that the run was started with."""
        if self._started is None:
            return
        for name, value in self.values.items():
            before = self._before.get(name)
            if isinstance(value, int | float | str) and value != before and name != "run":
                raise ValueError(changed(self._started.path, name, before, value))

    def _built(self, group: str) -> Any:
        """Check the settings of a group; return the object they make if its module is light."""
        described = self.described(group)
        return None if described is None else described.check(**self._of_group(group))

    def _of_group(self, group: str) -> dict[str, Any]:
        """Return the settings of a group by their own names."""
        described = self.described(group)
        names = {} if described is None else described.parameters
        prefix = f"{group}." if group else ""
        return {name: self.values[prefix + name] for name in names if prefix + name in self.values}

    def described(self, group: str) -> Sketch | None:
        """Return the sketch of a group of settings, None for a class that is not lac's."""
        if group in self._classes:
            module, _, name = self._classes[group].rpartition(".")
            return sketch_of(module, name) if self._classes[group] in _KNOWN else None
        return GROUPS[group]() if group in GROUPS else None

    def _read(self, settings: Mapping[str, Any], file: str) -> None:
        """Set what a file sets."""
        classes_first = sorted(
            flat_settings(settings), key=lambda entry: not entry[0].endswith(".class_path")
        )
        for name, value in classes_first:
            self._set(name, value, f"`{name}` in {file}")

    def _set(self, name: str, value: Any, where: str, *, text: str | None = None) -> None:
        """Set one value, if the setting exists and takes it."""
        name = ".".join(part for part in name.split(".") if part != "init_args").removesuffix("+")
        group, _, own = name.rpartition(".")
        if name in self._classes or (own == "class_path" and group in self._classes):
            self._choose(name.removesuffix(".class_path"), value, where)
        elif name.partition(".")[0] in NOT_OURS:
            self.values[name.partition(".")[0]] = value
        elif name == "seed_everything":
            self._take(name, value, int | bool | None, text)
        elif name in ("trainer", "data", "model") or name.endswith(".help"):
            self._incomplete = True
        elif name in GROUPS and not isinstance(value, str | int | float):
            for key, entry in flat_settings(value or {}):
                self._set(f"{name}.{key}", entry, where)
            if value is None:
                self.values[name] = None
        elif group in self._classes and self.described(group) is None:
            self._incomplete = True
        elif name.count(".") > 1 and name.startswith("trainer."):
            pass  # of a class of Lightning's
        else:
            described = self.described(group)
            if described is None or own not in described.parameters or name == "data.seed":
                near = self._nearest(name)
                hint = (
                    f"did you mean {near}?"
                    if near
                    else f"{program('train')} --help lists the settings"
                )
                raise ValueError(f"no setting {where}; {hint}")
            self._take(name, value, described.parameters[own].annotation, text)

    def _take(self, name: str, value: Any, kind: Any, text: str | None) -> None:
        """Convert a value to the type of its setting, and keep it."""
        try:
            self.values[name] = convert(value, kind, text=text)
        except TypeError as error:
            raise ValueError(f"`{name}` {error}") from None

    def _choose(self, part: str, value: Any, where: str) -> None:
        """Choose the class of a part, and drop the settings that it does not have."""
        if isinstance(value, Mapping):
            for name, entry in flat_settings(value):
                self._set(f"{part}.{name}", entry, where)
            return
        chosen = loss_class(str(value)) if part == "model.loss" else str(value)
        if "." not in chosen:
            chosen = f"lac.encoder.{chosen}"
        if chosen != value and not where.startswith("--"):
            raise ValueError(f"{where} must be written {chosen}, got {value!r}")
        if chosen != self._classes[part]:
            self._classes[part] = chosen
            described = self.described(part)
            has = {} if described is None else described.parameters
            for name in [name for name in self.values if name.startswith(f"{part}.")]:
                if name.rpartition(".")[2] not in has:
                    del self.values[name]

    def _without_value(self, name: str) -> str:
        """Say that a name is unknown, or else that its value is missing."""
        near = None if name in self.names() else self._nearest(name)
        if near:
            return f"no setting --{name}; did you mean {near}?"
        return f"`{name}` must be given a value, got none"

    def _nearest(self, name: str) -> str | None:
        """Return the option nearest to a name, compared as a whole or by its last part."""
        known = list(self.names())
        last = {
            own: other
            for other in reversed(known)
            for group, _, own in [other.rpartition(".")]
            if group != "trainer" or own in TRAINER_DEFAULTS  # of Lightning's, those used here
        }
        near = nearest(name, known) or last.get(nearest(name.rpartition(".")[2], last) or "")
        return f"--{near}" if near else None

    def names(self) -> Iterator[str]:
        """Yield the dotted names of all known settings."""
        yield from ("config", "seed_everything", "help", "help-all", "print_config")
        for group in (*GROUPS, *self._classes):
            described = self.described(group)
            for own in {} if described is None else described.parameters:
                name = f"{group}.{own}" if group else own
                if name != "data.seed":
                    yield name


GROUPS: Mapping[str, Callable[[], Sketch]] = {
    "": lambda: sketch(RunOptions),
    "data": lambda: sketch_of("lac.data", "ClipDataModule"),
    "data.augmentation": lambda: sketch(lac.data.Augmentation),
    "data.rendered": lambda: sketch(lac.data.Rendered),
    "model": lambda: sketch_of("lac._module", "EmbeddingModule"),
    "trainer": lambda: sketch_of("lightning.pytorch.trainer.trainer", "Trainer"),
}


def _pairs(args: Sequence[str], flags: set[str]) -> Iterator[tuple[str, str | None]]:
    """Yield names and values of a command line; note the flags, which take no value.

    The value is None where the last name has none.
    """
    rest = iter(args)
    for word in rest:
        name, assigned, value = word.partition("=")
        name = {"-h": "--help", "-c": "--config"}.get(name, name)
        if not name.startswith("--"):
            raise ValueError(f"no place for {word!r}; {_SEE.format(program('train'))}")
        name = name.removeprefix("--")
        if name in _FLAGS:
            flags.add(name)
        elif assigned:
            yield name, value
        else:
            following = next(rest, None)
            yield name, following
