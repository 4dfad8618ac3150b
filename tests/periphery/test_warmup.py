"""Compilation ahead: what the command says, and that nothing is left to compile."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fastsw import _cache, _warmup
from fastsw.__main__ import main

AFTER = """
import numpy as np, fastsw
from numba.core import event
from fastsw._cpu.runtime import thread_pool
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
similarity, options = np.zeros((3, 50, 60), np.float32), {"gap_open": 1.0, "gap_extend": 0.5}
for temperature in (1.0, 0.3, 0.1, 0.03, 0.01, 0.001):
    fastsw.score(similarity, **options, temperature=temperature)
    fastsw.value_and_grad(similarity, **options, temperature=temperature)
    fastsw.soft_dtw(similarity + 1e3, temperature=temperature**2)
fastsw.traceback(similarity, **options)
fastsw.score(np.zeros((9, 50, 60), np.float32), **options)  # on several threads
thread_pool.compile_worker()
assert not recorder.buffer, recorder.buffer
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_after_the_command_nothing_is_left_to_compile(capsys):
    assert main(["warmup", "--dtypes", "float32", "--jobs", "2"]) == 0
    first, *steps, last = capsys.readouterr().out.splitlines()
    assert "2 processes" in first
    names = [step.name for step in _warmup.steps(["float32"], second=False)]
    assert sorted(" ".join(line.split()[3:-4]) for line in steps) == sorted(names)
    assert f"{len(names)} of {len(names)}" in steps[-1]
    assert str(_cache.cache_folder()) in last
    run = subprocess.run([sys.executable, "-c", AFTER], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_all_adds_second_derivatives():
    usual = {step.name for step in _warmup.steps(["float64"], second=False)}
    every = {step.name for step in _warmup.steps(["float64"], second=True)}
    assert usual < every and all(
        "second derivatives" in n or "their like" in n for n in every - usual
    )


def test_without_a_place_for_kernels_nothing_is_compiled(monkeypatch, capsys):
    monkeypatch.setattr(_cache, "cache_folder", lambda: None)
    assert main(["warmup"]) == 1
    assert "FASTSW_CACHE_DIR" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing on Windows")
def test_an_interrupt_ends_all_processes(tmp_path):
    run = subprocess.Popen(
        [sys.executable, "-m", "fastsw", "warmup", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"FASTSW_CACHE_DIR": str(tmp_path)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while not list(tmp_path.glob("*.bin")):  # a process is at work
        assert run.poll() is None
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate(timeout=60)  # the rest would take minutes
    assert run.returncode == 130
    assert f"interrupted; what has been compiled is in {tmp_path}" in errors


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_jobs_must_be_a_count(capsys, jobs):
    with pytest.raises(SystemExit) as end:
        main(["warmup", "--jobs", jobs])
    assert end.value.code == 2
    assert "--jobs" in capsys.readouterr().err
