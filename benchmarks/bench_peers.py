"""Peers beside fastsw: forward and gradient, one thread; absent ones are skipped."""

from . import peers
from .common import use_threads


class Peers:
    """See `peers.py` for what each one computes."""

    params = [list(peers.CONTENDERS), ["2x64x64", "4x1024x1024"]]
    param_names = ["peer", "shape"]
    timeout = 300

    def setup(self, peer, shape):
        use_threads(1)
        self.call = peers.CONTENDERS[peer](shape, 1)

    def time_forward_gradient(self, peer, shape):
        self.call()
