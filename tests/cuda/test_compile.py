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
