"""The measurement of a GPU, without one: that no failure hides another part's figures."""

import json
import os
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu.sh"


def measure(tmp_path, *failing):
    """Run the script with programs that do nothing; Python fails where it is told to."""
    python = tmp_path / "python"
    cases = "".join(f'    *"{text}"*) exit 3 ;;\n' for text in failing)
    python.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\ncase "$*" in\n{cases}    *) ;;\nesac\n'
    )
    python.chmod(0o755)
    sanitizer = tmp_path / "compute-sanitizer"
    sanitizer.write_text(f'#!/bin/sh\necho "compute-sanitizer $@" >> {tmp_path}/calls\n')
    sanitizer.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PYTHON": str(python), "CUBINS": str(tmp_path), "PATH": path}
    command = ["bash", str(SCRIPT), str(tmp_path / "results")]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return run, (tmp_path / "calls").read_text().splitlines()


@pytest.mark.subprocess
def test_every_part_runs_although_one_fails(tmp_path):
    run, calls = measure(tmp_path, "not slow", "adopt")
    assert run.returncode == 1
    assert "failed: cubins (status 3)" in run.stdout and "failed: tests (status 3)" in run.stdout
    for part in ("cubins adopt", "-m not slow", "benchmarks.gpu --folder", "-m slow"):
        assert any(part in call for call in calls), calls


@pytest.mark.subprocess
def test_a_run_without_a_failure_says_so(tmp_path):
    run, _ = measure(tmp_path)
    assert run.returncode == 0 and "every part passed" in run.stdout


@pytest.mark.subprocess
def test_memcheck_passes_over_what_the_driver_refuses_to_cuda_bindings(tmp_path):
    _, calls = measure(tmp_path)
    memcheck, racecheck = (c for c in calls if c.startswith("compute-sanitizer"))
    assert "--tool memcheck --report-api-errors=no --error-exitcode 9" in memcheck
    assert "--tool racecheck --error-exitcode 9" in racecheck


def test_all_parts_take_less_than_eight_minutes():
    """By their limits, with carried machine code; the last part gets what is left of 470 s."""
    limits = dict(re.findall(r"^ *part \"?\$?(\w+)\"? (\d+) ", SCRIPT.read_text(), re.M))
    assert set(limits) == {"wheels", "build", "cubins", "tests", "figures", "tool"}
    seconds = {name: int(limit) for name, limit in limits.items()}
    assert sum(seconds.values()) + seconds["tool"] < 470


@pytest.fixture
def gpu(monkeypatch):
    """The measurements, of a GPU that takes a millisecond for everything."""
    monkeypatch.syspath_prepend(ROOT)
    from benchmarks import gpu

    for name in ("get_device_name", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, lambda: "a GPU")
    for name in ("milliseconds", "graph_milliseconds", "jax_milliseconds"):
        monkeypatch.setattr(gpu, name, lambda *arguments, **options: 1.0)
    for name in ("copy_bandwidth", "eager_microseconds"):
        monkeypatch.setattr(gpu, name, lambda: 1e12)
    monkeypatch.setattr(gpu, "training_step", lambda: {"loss_ms": 1.0})
    monkeypatch.setattr(gpu, "rotated", lambda function, shape: None)
    return gpu


def report_of(gpu, folder, seconds=60.0):
    """The report as it was written, and what failed."""
    report = gpu.measured(SimpleNamespace(folder=folder, tests=None, seconds=seconds, commit=None))
    assert json.loads((folder / "gpu.json").read_text()) == report
    return report, gpu.failures(report)


def test_small_shapes_are_timed_by_replays_of_a_graph_too(gpu, tmp_path):
    report, failed = report_of(gpu, tmp_path)
    assert failed == []
    rows = {row["shape"]: row for row in report["rows"]}
    assert {"forward_ms", "forward_graph_ms", "gradient_graph_ms"} <= set(rows["2x64x64"])
    assert "gradient_graph_ms" not in rows["1x16384x16384"]
    assert rows["64x64x64"]["gradient_gcells"] == pytest.approx(64**3 / 1e6)
    assert "| 2x64x64 | 1 |" in (tmp_path / "gpu.md").read_text()


def test_a_figure_that_fails_leaves_the_others(gpu, tmp_path, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("no graphs today")

    monkeypatch.setattr(gpu, "graph_milliseconds", broken)
    monkeypatch.setattr(gpu, "jax_milliseconds", broken)
    report, failed = report_of(gpu, tmp_path)
    assert all(row["forward_ms"] == 1.0 for row in report["rows"])
    assert failed and all("graph_ms" in line and "no graphs today" in line for line in failed)


def test_what_there_was_no_time_for_is_said(gpu, tmp_path):
    report, failed = report_of(gpu, tmp_path, seconds=-1.0)
    assert "no time left" in report["eager_us"]
    assert len(failed) == 2 + len(gpu.SHAPES)  # peers may be left out
