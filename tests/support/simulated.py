"""Whether the tests of this folder run in Numba's CUDA simulator."""

import os

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
