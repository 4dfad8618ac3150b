"""Forward and gradient of one problem size by fastsw and by installed peers.

Each function takes a shape's name and gives a call without arguments, warmed up, or raises
`NotImplementedError` where the peer is absent. Peers get what suits them: their own dtype,
precomputed costs, and buffers made beforehand where they let the caller hold them.
"""

import numpy as np

import fastsw

from .common import OPTIONS, need_torch, similarity, size


def fastsw_numpy(shape, threads):
    """Soft Smith-Waterman, affine gaps, float32; the public NumPy call."""
    matrix = similarity(shape)
    return warm(lambda: fastsw.value_and_grad(matrix, **OPTIONS))


def tslearn(shape, threads):
    """Soft-DTW, float64: its compiled functions for batches, on buffers that are reused."""
    fast = imported("tslearn.metrics.soft_dtw_fast")
    pairs, rows, columns = size(shape)
    cost = np.zeros((pairs, rows + 1, columns + 1))
    cost[:, :rows, :columns] = similarity(shape, np.float64) ** 2
    table = np.zeros((pairs, rows + 2, columns + 2))
    gradient = np.zeros((pairs, rows + 2, columns + 2))

    def call():
        fast._njit_soft_dtw_batch(cost[:, :rows, :columns], table, 1.0)
        fast._njit_soft_dtw_grad_batch(cost, table, gradient, 1.0)

    return warm(call)


def ddtw(shape, threads):
    """Soft-DTW, float32, through torch; its Numba backend."""
    package = imported("ddtw")
    cost = leaf(shape, threads)
    loss = package.SDTW(gamma=1.0, normalization="none", backend="cpu_numba")

    def call():
        cost.grad = None
        loss(C=cost).sum().backward()

    return warm(call)


def pysdtw(shape, threads):
    """Soft-DTW, float32, through torch."""
    function = imported("pysdtw.sdtw_cpu").SoftDTWcpu
    cost = leaf(shape, threads)
    lengths = need_torch().tensor([size(shape)[1:]] * size(shape)[0])

    def call():
        cost.grad = None
        function.apply(cost, lengths, 1.0, 0.0).sum().backward()

    return warm(call)


def nwgrad(shape, threads):
    """Soft Smith-Waterman of letters, affine gaps, float32; gradient in the letters' matrix."""
    package = imported("nwgrad")
    pairs, rows, columns = size(shape)
    letters = np.array(list("ACDEFGHIKLMNPQRSTVWY"))
    rng = np.random.default_rng(0)
    costs = {"gap_open_a": 0.9, "gap_extend_a": 0.1, "gap_open_b": 0.9, "gap_extend_b": 0.1}
    parameters = package.AlignParams(rng.standard_normal((20, 20)), "".join(letters), **costs)

    def strings(length):
        return ["".join(rng.choice(letters, length)) for _ in range(pairs)]

    batch = package.SeqPairBatch(
        strings(rows),
        strings(columns),
        parameters,
        n_threads=threads,
        gap_model="affine",
        mode="local",
        grad_mode="soft",
    )

    def call():
        batch.set_params(parameters)  # forgets the last answer
        batch.score_and_grad()
        batch.compute_grad()

    return warm(call)


CONTENDERS = {
    "fastsw": fastsw_numpy,
    "tslearn": tslearn,
    "ddtw": ddtw,
    "pysdtw": pysdtw,
    "nwgrad": nwgrad,
}


def imported(name):
    """An installed module; skip where it is absent."""
    try:
        return __import__(name, fromlist=["_"])
    except ImportError as error:
        raise NotImplementedError(f"needs {name.partition('.')[0]}") from error


def leaf(shape, threads):
    """Squared similarities as a tensor that asks for its gradient."""
    torch = need_torch()
    torch.set_num_threads(threads)
    return torch.from_numpy(similarity(shape) ** 2).requires_grad_()


def warm(call):
    """The call, after a first one that compiles."""
    call()
    return call
