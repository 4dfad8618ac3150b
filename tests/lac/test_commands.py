"""Command lines answer at once: help and errors need no heavy import, and say what to do next."""

import subprocess
import sys
from importlib import import_module

import pytest

HEAVY = ("lightning", "kornia", "torch", "matplotlib", "sklearn", "scipy", "transformers", "numba")
PACKAGES = ("data", "encoder", "evaluation", "losses", "pictures")
COMMANDS = ("embed", "align", "compare", "data")


def imported(*args):
    """Which heavy packages a Python process has imported at its end, and what it printed."""
    ending = f"print('imported', *(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    program = f"import sys, atexit; atexit.register(lambda: {ending}); {args[0]}"
    process = subprocess.run(
        [sys.executable, "-c", program, *args[1:]], capture_output=True, text=True, timeout=60
    )
    *output, last = (process.stdout + process.stderr).splitlines()
    assert last.startswith("imported"), process.stderr
    return last.split()[1:], "\n".join(output)


def called(command, *args):
    """The same of a command."""
    run = f"import runpy; runpy.run_module('lac.{command}', run_name='__main__', alter_sys=True)"
    return imported(run, *args)


def test_importing_lac_imports_nothing_heavy():
    packages = ", ".join(f"lac.{part}" for part in PACKAGES)
    assert imported(f"import {packages}") == ([], "")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command):
    heavy, output = called(command, "--help")
    assert heavy == []
    assert "examples:" in output and f"python -m lac.{command}" in output
    assert len(output.splitlines()) < 80


@pytest.mark.parametrize("name", ["lac", *(f"lac.{part}" for part in PACKAGES)])
def test_lazy_names_are_there_and_listed(name):
    package = import_module(name)
    assert {*package.__all__} <= {*dir(package)}
    assert "TYPE_CHECKING" not in dir(package)
    for attribute in package.__all__:
        assert getattr(package, attribute) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
