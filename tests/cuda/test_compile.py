"""Every kernel variant compiles for the architectures in use; the hot ones stay in registers."""

import pytest

from tests.support.simulated import SIMULATED

pytest.importorskip("numba_cuda")
torch = pytest.importorskip("torch")
if SIMULATED:
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

from fastsw._cuda.runtime import compile as compilation  # noqa: E402
from tests.support import offline  # noqa: E402


@pytest.fixture(scope="module")
def launches():
    """Every kernel that a call can launch, with the types of its arguments, by name."""
    return offline.launches()


NAMES = [
    ("align_32_uniform", "float32"),
    ("align_32_general", "float32"),
    ("align_64_general", "float64"),
    *((name, dtype) for name in ("tangent_64_general", "viterbi", "dtw")
      for dtype in ("float32", "float64")),
]  # fmt: skip

#: The kernels of single precision, which answer nearly every call. Functions that they call, for
#: pairs of a range that is hardly ever met, may spill.
HOT = {"align_32_uniform", "align_32_general"}


#: Instructions in the loops of linear space over blocks of 2 x 4 cells a lane, on sm_90: forward,
#: backward with forward again, each in a strip that is its pair's only one, and among others. Not
#: all of them are executed: what waits for other strips and what reads rows of any alignment count.
BUDGET = [340, 440, 510, 610]


def test_the_list_of_kernels_is_complete(launches):
    assert set(launches) == set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("variant", NAMES, ids="-".join)
def test_every_kernel_compiles_without_a_gpu(variant, launches, tmp_path, record_property, capsys):
    offline.need_compiler()
    kernel, kinds = launches[variant]
    for capability, text in offline.ptx(kernel, kinds).items():
        assert f".target sm_{capability[0]}{capability[1]}" in text
        assert compilation.entry_name(text).startswith("_Z")
        used = offline.resources(text, capability, tmp_path)
        if used is None:
            continue
        record_property(f"sm_{capability[0]}{capability[1]}", used)
        with capsys.disabled():
            print(f"\n  {'-'.join(variant)} sm_{capability[0]}{capability[1]}: {used}", end="")
        assert used["shared"] <= 48 * 1024
        threads = 32 * kernel.warps * kernel.resident
        assert used["registers"] * threads <= 65536
        if variant[0] in HOT:
            assert used["spills"] == 0
        if variant[0] == "align_32_uniform" and capability == (9, 0):
            within_budget(offline.assembled(text, capability, tmp_path)[0], tmp_path, capsys)


def within_budget(code, folder, capsys):
    """Hold the inner loops of linear space, by their eight powers of two, to their budget."""
    loops = offline.loops(code, folder)
    if loops is None:
        return
    counted = [
        (len(loop), sum("MUFU.EX2" in i for i in loop), "SHFL" in "".join(loop)) for loop in loops
    ]
    found = sorted(size for size, powers, exchanged in counted if powers == 8 and exchanged)[:4]
    with capsys.disabled():
        print(f"\n  loops of linear space: {found} instructions", end="")
    assert len(found) == len(BUDGET)
    assert all(size <= most for size, most in zip(found, BUDGET, strict=True))
