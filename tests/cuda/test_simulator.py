"""The tests of a device, in Numba's CUDA simulator."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.simulated import SIMULATED

FILES = "test_cell.py", "test_linear.py", "test_device.py"


@pytest.mark.skipif(SIMULATED, reason="runs inside of the simulator already")
@pytest.mark.simulator
@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("share", ["not slow", "slow"])
def test_kernels_pass_their_tests_in_the_simulator(share):
    if importlib.util.find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed")
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    tests = [Path(__file__).with_name(name) for name in FILES]
    options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "-m", share]
    command = [sys.executable, "-m", "pytest", *options, *map(str, tests)]
    run = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=900
    )
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert " passed" in run.stdout
