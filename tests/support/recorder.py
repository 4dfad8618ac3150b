"""What torch runs below a call."""

from torch.utils._python_dispatch import TorchDispatchMode


class Recorder(TorchDispatchMode):
    """Every operator that runs, with its arguments."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.calls.append((function, arguments))
        return function(*arguments, **(options or {}))

    def operators(self):
        """The package's own operators that ran, each with the arguments of its last run."""
        return {f: a for f, a in self.calls if f.namespace == "fastsw"}
