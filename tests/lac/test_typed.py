"""What public functions return has a type."""

import inspect
import re
from importlib import import_module

import pytest

PACKAGES = [
    "lac",
    "lac.app",
    "lac.data",
    "lac.encoder",
    "lac.evaluation",
    "lac.losses",
    "lac.pictures",
]


def returned(package):
    """What the public functions of a package, and of its classes, return, by name."""
    for name in import_module(package).__all__:
        value = getattr(import_module(package), name)
        functions = {name: value} if inspect.isfunction(value) else {}
        if inspect.isclass(value):
            functions = {f"{name}.{key}": f for key, f in vars(value).items()}
        for key, function in functions.items():
            function = getattr(function, "fget", None) or getattr(function, "__func__", function)
            if inspect.isfunction(function) and not key.partition(".")[2].startswith("_"):
                yield key, function.__annotations__.get("return", "nothing")


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_function_returns_what_may_be_anything(package):
    found = {key: inspect.formatannotation(kind) for key, kind in returned(package)}
    # Arrays of any shape and type are written as they are.
    untyped = {key for key, kind in found.items() if re.search(r"\bAny\b|^nothing$", kind)}
    assert untyped == set()
