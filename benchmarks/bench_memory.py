"""Peak memory: of the whole process as asv measures it, and of a call alone."""

from pathlib import Path

import numpy as np

import fastsw

from .common import OPTIONS, need_torch, similarity, size, use_threads


class PeakMemory:
    """Peak memory of the process, inputs and imports included, two threads, float32."""

    params = [["16x256x256", "4x1024x1024", "1x4096x4096"]]
    param_names = ["shape"]

    def setup(self, shape):
        use_threads(2)
        self.similarity = similarity(shape)

    def peakmem_forward(self, shape):
        fastsw.score(self.similarity, **OPTIONS)

    def peakmem_forward_gradient(self, shape):
        fastsw.value_and_grad(self.similarity, **OPTIONS)

    def peakmem_double_backward(self, shape):
        torch = need_torch()
        leaf = torch.from_numpy(self.similarity).requires_grad_()
        score = fastsw.score(leaf, **OPTIONS).sum()
        (gradient,) = torch.autograd.grad(score, leaf, create_graph=True)
        torch.autograd.grad(gradient, leaf, torch.ones_like(gradient))

    def peakmem_soft_dtw_forward_backward(self, shape):
        torch = need_torch()
        if not hasattr(fastsw, "soft_dtw"):
            raise NotImplementedError("fastsw has no soft_dtw")
        leaf = torch.from_numpy(self.similarity**2).requires_grad_()
        fastsw.soft_dtw(leaf, temperature=1.0).sum().backward()


class MemoryAboveInputs:
    """Peak of resident memory during a call above what was there before, MB, two threads."""

    params = [["score 1x16384x16384", "value_and_grad 1x4096x4096"]]
    param_names = ["call"]
    unit = "MB"

    def setup(self, call):
        name, shape = call.split()
        use_threads(2)
        self.function = getattr(fastsw, name)
        pairs, rows, columns = size(shape)
        block = min(rows, 1024)
        tile = similarity(f"{pairs}x{block}x{block}")
        self.similarity = np.tile(tile, (1, rows // block, columns // block))
        self.function(tile, **OPTIONS)

    def track_peak(self, call):
        try:
            Path("/proc/self/clear_refs").write_text("5")  # the peak starts at the present
        except OSError as refusal:
            raise NotImplementedError("needs Linux") from refusal
        before = self.resident("VmRSS")
        kept = self.function(self.similarity, **OPTIONS)
        del kept
        return self.resident("VmHWM") - before

    def resident(self, field):
        """A field of the process's status, MB."""
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise NotImplementedError(f"needs {field}")
