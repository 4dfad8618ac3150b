"""One device for the tests of this folder: a GPU, or Numba's simulator where that is switched on.

In the simulator the operators' CPU kernels are replaced by those of the CUDA backend, so that the
public functions run them on CPU tensors.
"""

import sys
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1] / "fastsw")]

from simulated import SIMULATED

#: Not for doctest: they need the simulator, and numba-cuda's compiler.
collect_ignore = ["simulator.py", "offline.py", "cubins.py"]

if SIMULATED:
    import simulator  # noqa: F401

torch = pytest.importorskip("torch")


@pytest.fixture(scope="session")
def device():
    """The device that tensors are put on."""
    if SIMULATED:
        from fastsw._cuda import _operators
        from fastsw._frontends import torch_operators

        for name in ("score", "align", "align_tangent", "soft_dtw", "soft_dtw_gradient"):
            operator = getattr(torch_operators, name)
            operator.register_kernel("cpu")(getattr(_operators, name))
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda")
