"""`python -m fastsw info`: what it prints, and its exit code."""

import subprocess
import sys

import numba
import numpy as np
import pytest

import fastsw
from fastsw import _cache, _cpu
from fastsw.__main__ import main


def test_info_prints_the_installation_and_passes_the_self_test(capsys):
    assert main(["info"]) == 0
    printed = capsys.readouterr().out
    for fact in (fastsw.__version__, numba.__version__, np.__version__, "x float32", "CUDA"):
        assert fact in printed
    assert str(_cache.cache_folder()) in printed
    assert printed.count(" ok") >= 2
    assert "WRONG" not in printed


def off_by_a_little(found):
    found.similarity[0, 0, 0] += 1e-3
    return found


def broken(found):
    raise RuntimeError("no such instruction")


@pytest.mark.parametrize(
    ("fault", "finding"),
    [
        (off_by_a_little, "posterior in mode 'local' is off by 1.0e-03"),
        (broken, "RuntimeError in mode 'local': no such instruction"),
    ],
)
def test_info_tells_what_is_wrong(monkeypatch, capsys, fault, finding):
    gradients = _cpu.gradients
    monkeypatch.setattr(
        _cpu, "gradients", lambda inputs, **options: fault(gradients(inputs, **options))
    )
    assert main(["info"]) == 1
    assert finding in capsys.readouterr().out


@pytest.mark.subprocess
@pytest.mark.parametrize("arguments", [[], ["inform"]])
def test_an_unknown_command_gives_the_usage(arguments):
    run = subprocess.run(
        [sys.executable, "-m", "fastsw", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert "usage: python -m fastsw" in run.stderr
