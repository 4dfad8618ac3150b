"""Scripts in processes of their own, on the package under test and nothing of the caller's."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import fastsw

PACKAGE = Path(fastsw.__file__).parent


def settings(package=PACKAGE, **environment):
    """Environment in which a copy of the package is the one that is imported."""
    added = {name: str(value) for name, value in environment.items()}
    return os.environ | {"PYTHONPATH": str(Path(package).parent)} | added


def start(script, **environment):
    """Start a script."""
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tempfile.gettempdir(),
        env=settings(**environment),
    )


def finish(process, *, timeout=300):
    """Wait for a script: exit code, output and errors."""
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        raise AssertionError(f"still running after {timeout} s: {errors[-2000:]}") from None
    return process.returncode, output, errors
