"""The help of `train`: the settings of lac by what they belong to, a line each."""

import re
import textwrap
from collections.abc import Iterator
from inspect import Parameter
from pathlib import Path
from typing import Literal, get_args, get_origin

from lac._hints import program
from lac._settings.options import DEFAULT_LOSS, LOSSES, presets
from lac._settings.settings import GROUPS, Settings

_WIDTH, _COLUMN = 100, 32
_SECTIONS = {
    "": "the run",
    "data": "clips, and the views that are drawn of them",
    "model": "training",
    "model.encoder": "the encoder",
    "model.loss": "the loss",
    "trainer": "Lightning's trainer",
}
_TRAINER = {
    "max_epochs": "Epochs of training",
    "accelerator": "cpu or cuda; cuda where there is one",
    "precision": "As bf16-mixed; 32-true by default",
    "accumulate_grad_batches": "Batches of one step of the optimiser",
}
_PLACEHOLDERS = {Path: "PATH", int: "N", float: "X", str: "NAME"}
_HEAD = """\
usage: {program} [VIDEOS_DIR] [--config FILE] [--run DIR] [--SETTING VALUE ...]

Train an embedding of the frames of the videos in VIDEOS_DIR, or of clips that lac draws; evaluate
it beside its baselines. Started again with the same --run it goes on. Values are the defaults.
"""
_TAIL = """
--print_config prints the settings as they would be used. --help-all explains them in full, and
all that Lightning has.

examples:
  {program} my_videos
  {program} --config grid --data.root DIR --model.loss tcc --run runs/mine
"""


def help_text() -> str:
    """Return the settings of lac, a line each, and examples."""
    settings = Settings([])
    called = program("train")
    lines = [_HEAD.format(program=called)]
    for group, title in _SECTIONS.items():
        lines += [f"{title}:", *_section(settings, group), ""]
    return "\n".join(lines).rstrip() + "\n" + _TAIL.format(program=called)


def _section(settings: Settings, group: str) -> Iterator[str]:
    """Yield the lines of a group of settings."""
    described = settings.described(group)
    assert described is not None
    if group == "":
        yield _line("config", "FILE", f"Settings in YAML, or one of {', '.join(presets())}")
        yield _line("seed_everything", "0", "Decides everything that is drawn at random")
    if group == "model.loss":
        known = ", ".join(LOSSES)
        text = f"One of {known}, or a class by its dotted name; settings of {DEFAULT_LOSS}:"
        yield _line("model.loss", DEFAULT_LOSS, text)
    for own, parameter in described.parameters.items():
        name = f"{group}.{own}" if group else own
        text = _in_short(described.descriptions.get(own, ""), parameter)
        if name in GROUPS:
            inner = settings.described(name)
            assert inner is not None
            yield _line(f"{name}.{{{','.join(inner.parameters)}}}", "", text)
        elif group == "trainer" and own in _TRAINER:
            yield _line(name, _shown(settings, name, parameter), _TRAINER[own])
        elif group != "trainer" and name not in _SECTIONS and name != "data.seed" and own != "loss":
            yield _line(name, _shown(settings, name, parameter), text)


def _shown(settings: Settings, name: str, parameter: Parameter) -> str:
    """Return the default of a setting, or what to put in its place."""
    if settings[name] is not None:
        return str(settings[name])
    kinds = get_args(parameter.annotation) or (parameter.annotation,)
    return next((word for kind, word in _PLACEHOLDERS.items() if kind in kinds), "VALUE")


def _in_short(text: str, parameter: Parameter) -> str:
    """Return the first sentence of a description, or the choices where it begins with one."""
    if get_origin(parameter.annotation) is Literal and text.startswith('`"'):
        return f"One of {', '.join(get_args(parameter.annotation))}"
    return re.split(r"(?<=\.) ", text, maxsplit=1)[0].rstrip(".")


def _line(name: str, value: str, text: str) -> str:
    """Return the line of a setting, two where its name is long."""
    option = f"  --{name} {value}".rstrip()
    short = textwrap.shorten(text, _WIDTH - _COLUMN, placeholder=" ...")
    if len(option) >= _COLUMN:
        return f"{option}\n{'':{_COLUMN}}{short}".rstrip()
    return f"{option:{_COLUMN}}{short}".rstrip()
