"""One device for the tests of this folder: a GPU, or Numba's simulator where that is switched on.

In the simulator the operators' CPU kernels are replaced by those of the CUDA backend, so that the
public functions run them on CPU tensors.
"""

import pytest

from tests.support.simulated import SIMULATED

if SIMULATED:
    from tests.support import simulator  # noqa: F401

torch = pytest.importorskip("torch")


@pytest.fixture(scope="session")
def device():
    """The device that tensors are put on."""
    if SIMULATED:
        from fastsw import _cuda
        from fastsw._frontends import torch_operators

        for name in ("score", "align", "align_tangent", "soft_dtw", "soft_dtw_gradient"):
            operator = getattr(torch_operators, name)
            operator.register_kernel("cpu")(getattr(_cuda, name))
        return torch.device("cpu")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return torch.device("cuda")
