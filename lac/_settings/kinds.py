"""Conversion of what is written on a command line or in YAML to the types of settings."""

import types
import typing
from pathlib import Path
from typing import Any, Literal, Union

from lac._settings.sketch import Unknown

_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    Path: "a path",
    type(None): "null",
}


def read(text: str) -> Any:
    """Return a text parsed as YAML, or the text itself where it is not valid YAML."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def convert(value: Any, kind: Any, *, text: str | None = None) -> Any:
    """Convert a value to a type.

    Parameters
    ----------
    value : object
        As YAML has it.
    kind : type
        Of the types that settings have; unknown ones take anything.
    text : str, optional
        How it was written.

    Raises
    ------
    TypeError
        If it is not of the type; the message says what is.

    Examples
    --------
    >>> convert("1e-3", float), convert([1, 0.5], tuple[float, ...]), convert(None, int | None)
    (0.001, (1.0, 0.5), None)
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        for one in arguments:
            try:
                return convert(value, one, text=text)
            except TypeError:
                continue
    elif origin is Literal:
        for choice in arguments:
            if value == choice or (text or str(value)) == str(choice):
                return choice
    elif origin in (tuple, list):
        if isinstance(value, list | tuple):
            any_number = origin is list or ... in arguments
            kinds = arguments[:1] * len(value) if any_number else arguments
            if len(kinds) == len(value):
                return origin(convert(v, k) for v, k in zip(value, kinds, strict=True))
    elif kind in (str, Path):
        if isinstance(value, str | int | float):
            return kind(text if text is not None else str(value))
    elif kind is float:
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except ValueError:
                pass
    elif kind in (int, bool, type(None)):
        if type(value) is kind:
            return value
    else:  # of a module that is not imported, or of no interest here
        return value
    raise TypeError(f"must be {in_words(kind)}, got {(text if text is not None else value)!r}")


def in_words(kind: Any) -> str:
    """Say what values a type takes.

    Examples
    --------
    >>> in_words(int | None), in_words(Literal["last", "best"]), in_words(tuple[float, float])
    ('a whole number or null', 'one of last, best', 'a list of numbers')
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(in_words(one) for one in arguments)
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in (tuple, list):
        return f"a list of {in_words(arguments[0]).removeprefix('a ')}s"
    return _WORDS.get(kind, "something else" if kind is Unknown else str(kind))
