"""Kernels count subnormal numbers as 0, and leave the thread that calls them as it was."""

import platform

import numpy as np
import pytest

import fastsw

OPTIONS = {"gap_open": 1.0, "gap_extend": 0.1}
KNOWN = platform.machine().lower() in ("x86_64", "amd64", "arm64", "aarch64")


def path_and_far_cells(dtype):
    """A pair whose path is far more likely than what lies beside it."""
    rng = np.random.default_rng(0)
    return (rng.standard_normal((1, 200, 200)) + 3.0 * np.eye(200)).astype(dtype)


def keeps_subnormals():
    half = np.array([1e-39], np.float32) * np.float32(0.5)
    return half[0] > 0 and (np.array([1e-310]) * 0.5)[0] > 0


@pytest.mark.skipif(not KNOWN, reason="subnormal numbers are flushed on x86 and aarch64 only")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_posterior_is_subnormal(dtype):
    temperature = {"float32": 1.0, "float64": 0.1}[dtype]
    pair = path_and_far_cells(dtype)
    posterior = fastsw.posterior(pair, temperature=temperature, **OPTIONS)
    assert (posterior == 0).any() and (posterior > 0).any()
    assert not ((posterior > 0) & (posterior < np.finfo(dtype).tiny)).any()


@pytest.mark.parametrize(
    "call",
    [
        lambda: fastsw.value_and_grad(path_and_far_cells("float32"), **OPTIONS),
        lambda: fastsw.score(np.zeros((40, 20, 20), np.float32), **OPTIONS),
        lambda: fastsw.value_and_grad(path_and_far_cells("float32"), temperature=1e-4, **OPTIONS),
        lambda: fastsw.soft_dtw(path_and_far_cells("float32") ** 2),
        lambda: fastsw.traceback(path_and_far_cells("float32"), **OPTIONS),
    ],
    ids=["rows as lanes", "pairs as lanes", "log space", "soft-DTW", "best path"],
)
def test_the_caller_keeps_its_subnormal_numbers(call):
    assert keeps_subnormals()
    call()
    assert keeps_subnormals()
