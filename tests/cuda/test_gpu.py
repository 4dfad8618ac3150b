"""What only a GPU can show: streams, graphs, order of results, sizes, memory, latency of errors.

Tests that compile more than GPU kernels, for a CPU or by torch, are marked `slow`.
"""

import threading

import numpy as np
import pytest

import fastsw
from tests.support.oracle import MODES, best_path, cell_tables, expected, within
from tests.support.simulated import SIMULATED

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.gpu

if SIMULATED:
    pytest.skip("these need a GPU", allow_module_level=True)

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

from tests.support.recorder import Recorder  # noqa: E402
from tests.support.torch_calls import Call, directions, hessian_product  # noqa: E402

OPTIONS = dict(gap_open=1.0, gap_extend=0.25)


def on(device, *arguments, **options):
    """A random call whose leaves are on the device."""
    call = Call(*arguments, **options)
    call.leaves = [leaf.detach().to(device).requires_grad_() for leaf in call.leaves]
    return call


@pytest.mark.parametrize(
    "forms", [("scalar", "scalar"), ("sides-vector", "pair-cell"), ("cell", "pair")], ids="+".join
)
@pytest.mark.parametrize("mode", MODES)
def test_derivatives_are_exact(mode, forms, device):
    call = on(device, forms=forms, mode=mode, lengths=torch.tensor([[3, 4], [2, 3]]))
    for function in (fastsw.score, fastsw.posterior, fastsw.entropy):
        assert gradcheck(lambda *leaves, f=function: call(f, *leaves), call.leaves)
    assert gradgradcheck(lambda *leaves: call(fastsw.score, *leaves), call.leaves)


@pytest.mark.parametrize("mode", MODES)
def test_operators_pass_opcheck(mode, device):
    call = on(device, forms=("sides-vector", "scalar"), mode=mode)
    with Recorder() as recorder:
        hessian_product(call, [d.to(device) for d in directions(call.leaves)])
        with torch.no_grad():
            call(fastsw.score)
    operators = recorder.operators()
    assert len(operators) == 3
    for operator, arguments in operators.items():
        detached = [
            a.detach().requires_grad_(a.is_floating_point() and "tangent" not in operator.name())
            if isinstance(a, torch.Tensor)
            else a
            for a in arguments
        ]
        torch.library.opcheck(operator, detached)


@pytest.mark.slow
def test_compiled_functions_answer_the_same(device):
    similarity = torch.randn((3, 20, 30), device=device, requires_grad=True)

    def loss(s):
        scores = fastsw.score(s * 1.5, **OPTIONS)
        return scores.sum() + fastsw.posterior(s, **OPTIONS).square().sum()

    compiled = torch.compile(loss, fullgraph=True)
    (wanted,) = torch.autograd.grad(loss(similarity), similarity)
    (found,) = torch.autograd.grad(compiled(similarity), similarity)
    torch.testing.assert_close(found, wanted)


def everything(similarity, **options):
    """Score, gradients and a second derivative, as one list of tensors."""
    leaf = similarity.detach().requires_grad_()
    score, gradients = fastsw.value_and_grad(similarity, **options)
    posterior = fastsw.posterior(leaf, **options)
    (second,) = torch.autograd.grad(posterior.square().sum(), leaf)
    return [score, gradients.similarity, gradients.temperature, second]


def test_answers_are_the_same_bit_for_bit(device):
    similarity = torch.randn((70, 130, 90), device=device)
    first = everything(similarity, **OPTIONS)
    for _ in range(5):
        for one, other in zip(everything(similarity, **OPTIONS), first, strict=True):
            assert torch.equal(one, other)


def test_a_batch_equals_its_pairs(device):
    similarity = torch.randn((40, 65, 70), device=device)
    score, gradients = fastsw.value_and_grad(similarity, **OPTIONS)
    for b in range(0, 40, 7):
        alone, own = fastsw.value_and_grad(similarity[b], **OPTIONS)
        assert torch.equal(alone, score[b])
        assert torch.equal(own.similarity, gradients.similarity[b])


def test_the_current_stream_is_used(device):
    similarity = torch.randn((8, 200, 200), device=device)
    wanted = fastsw.posterior(similarity, **OPTIONS)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    later = torch.zeros_like(similarity)
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        later.copy_(similarity)
        found = fastsw.posterior(later, **OPTIONS)
    stream.synchronize()
    assert torch.equal(found, wanted)


def test_nothing_waits_for_the_device(device):
    similarity = torch.randn((8, 70, 60), device=device, requires_grad=True)
    lengths = torch.full((8, 2), 50, device=device)
    gap = torch.rand((), device=device, requires_grad=True)

    def call():
        score = fastsw.score(similarity, gap_open=gap, gap_extend=0.5, lengths=lengths)
        posterior = fastsw.posterior(similarity, gap_open=gap, gap_extend=0.5, lengths=lengths)
        (score.sum() + posterior.square().sum()).backward()

    call()
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_graph_captures_forward_and_backward(device):
    similarity = torch.randn((4, 64, 64), device=device, requires_grad=True)
    lengths = torch.tensor([[64, 64], [10, 60], [64, 1], [33, 32]], device=device)

    def step():
        similarity.grad = None
        score = fastsw.score(similarity, **OPTIONS, lengths=lengths)
        score.sum().backward()
        return score

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        score = step()
    gradient = similarity.grad
    for seed in range(3):
        torch.manual_seed(seed)
        with torch.no_grad():
            similarity.copy_(torch.randn((4, 64, 64)))
        graph.replay()
        wanted, own = fastsw.value_and_grad(similarity.detach(), **OPTIONS, lengths=lengths)
        assert torch.equal(score, wanted) and torch.equal(gradient, own.similarity)


def launches(call):
    """Kernels that a call launches, by torch's profiler; clears of memory left out."""
    call()
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    return sum(
        e.device_type == torch.autograd.DeviceType.CUDA and "Memset" not in e.name
        for e in profile.events()
    )


def test_a_tiny_problem_takes_one_launch_forward_and_one_backward(device):
    leaf = torch.randn((2, 64, 64), device=device, requires_grad=True)
    upstream = torch.ones(2, device=device)
    assert launches(lambda: fastsw.score(leaf, **OPTIONS)) == 1
    score = fastsw.score(leaf, **OPTIONS)
    assert launches(lambda: torch.autograd.grad(score, leaf, upstream, retain_graph=True)) == 1


def test_the_number_of_launches_does_not_grow_with_the_sides(device):
    small, large = (torch.randn((1, n, n), device=device) for n in (64, 4096))
    counts = [launches(lambda s=s: fastsw.value_and_grad(s, **OPTIONS)) for s in (small, large)]
    assert counts[0] == counts[1] and counts[0] > 0


@pytest.mark.parametrize("shape", [(1, 4096, 300), (2, 1500, 1400), (1, 1, 5000), (1, 5000, 1)])
@pytest.mark.parametrize("mode", MODES)
def test_long_pairs_are_exact(mode, shape, device):
    similarity = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    wanted = expected(similarity, **OPTIONS, mode=mode)
    score, gradients = fastsw.value_and_grad(
        torch.from_numpy(similarity).to(device), **OPTIONS, mode=mode
    )
    within(score.cpu().numpy(), wanted.score, 2e-6 * np.maximum(1.0, np.abs(wanted.score)))
    within(gradients.similarity.cpu().numpy(), wanted.similarity, 2e-5)


def test_a_batch_larger_than_the_grid_is_answered(device):
    similarity = torch.randn((50_000, 12, 11), device=device)
    score = fastsw.score(similarity, **OPTIONS)
    wanted = expected(similarity[::997].double().cpu().numpy(), **OPTIONS).score
    within(score[::997].cpu().numpy(), wanted, 2e-6 * np.maximum(1.0, np.abs(wanted)))


def test_memory_of_a_gradient_is_some_bytes_a_cell(device):
    similarity = torch.randn((2, 3000, 3000), device=device)
    fastsw.posterior(similarity, **OPTIONS)
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    fastsw.posterior(similarity, **OPTIONS)
    # The gradient, 4 bytes a cell; what enters the tiles of both precisions, 6 and 11.
    assert torch.cuda.max_memory_allocated() - before < 24 * similarity.numel()


def test_the_tensors_own_device_is_used():
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two GPUs")
    similarity = torch.randn((2, 40, 50), device="cuda:1")
    with torch.cuda.device(0):
        found = fastsw.posterior(similarity, **OPTIONS)
    assert found.device == similarity.device
    within(found.cpu().numpy(), expected(similarity.cpu().numpy(), **OPTIONS).similarity, 2e-5)


def test_a_thread_without_a_context_aligns(device):
    """Memory that torch has at hand, so that nothing of torch sets the context first."""
    from cuda.bindings import driver

    similarity = torch.randn((2, 40, 50), device=device)
    wanted = fastsw.posterior(similarity, **OPTIONS)
    fastsw.posterior(similarity, **OPTIONS)  # leaves memory for one more
    torch.cuda.synchronize()
    found = []

    def work():
        driver.cuCtxSetCurrent(driver.CUcontext(0))
        found.append(fastsw.posterior(similarity, **OPTIONS))
        torch.cuda.synchronize()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert torch.equal(found[0], wanted)


def test_errors_name_what_is_wrong(device):
    similarity = torch.zeros((2, 3, 4), device=device)
    with pytest.raises(ValueError, match=r"`gap_open` must be on the device of `similarity`"):
        fastsw.score(similarity, gap_open=torch.ones(2), gap_extend=0.5)
    with pytest.raises(ValueError, match="`temperature` must be finite and at least 0"):
        fastsw.score(similarity, **OPTIONS, temperature=-1.0)
    with pytest.raises(ValueError, match="`lengths` must lie between 0 and the 3 rows"):
        fastsw.score(similarity, **OPTIONS, lengths=np.array([[4, 4], [1, 1]]))


def test_out_of_memory_says_how_much_the_alignment_needs(device):
    """Room for the similarity but not for what a gradient takes, some 16 bytes a cell."""
    torch.cuda.empty_cache()
    similarity = torch.zeros((4, 2048, 2048), device=device)
    fastsw.score(similarity[:1, :4, :4], **OPTIONS)
    torch.cuda.synchronize()
    total = torch.cuda.get_device_properties(device).total_memory
    room = torch.cuda.memory_reserved() + similarity.nbytes // 2
    torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        with pytest.raises(torch.OutOfMemoryError, match=r"the alignment needs .* MiB"):
            fastsw.posterior(similarity, **OPTIONS)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert fastsw.posterior(similarity, **OPTIONS).isfinite().all()


@pytest.mark.parametrize("function", [fastsw.score, fastsw.posterior, fastsw.entropy])
def test_cupy_arrays_give_cupy_arrays(function, device):
    cupy = pytest.importorskip("cupy")
    table = np.random.default_rng(0).standard_normal((2, 9, 7)).astype(np.float32)
    found = function(cupy.asarray(table), **OPTIONS)
    assert isinstance(found, cupy.ndarray)
    wanted = function(torch.from_numpy(table).to(device), **OPTIONS).cpu().numpy()
    np.testing.assert_array_equal(cupy.asnumpy(found), wanted)


def test_paths_of_tensors_on_the_device(device):
    similarity = torch.randn((3, 20, 25), generator=torch.Generator().manual_seed(0))
    table = similarity.double().numpy()
    tables = cell_tables(OPTIONS["gap_open"], OPTIONS["gap_extend"], table.shape)
    for mode in MODES:
        paths = fastsw.traceback(similarity.to(device), **OPTIONS, mode=mode)
        for b, path in enumerate(paths):
            assert path.pairs.tolist() == best_path(table[b], tables[:, b], mode)[1]


@pytest.mark.slow
def test_samples_of_tensors_on_the_device_are_drawn_on_the_host(device):
    similarity = torch.randn((3, 20, 25), generator=torch.Generator().manual_seed(0))
    for mode in MODES:
        drawn = fastsw.sample(similarity.to(device), **OPTIONS, mode=mode, size=3, seed=1)
        again = fastsw.sample(similarity, **OPTIONS, mode=mode, size=3, seed=1)
        assert [[a.pairs.tolist() for a in d] for d in drawn] == [
            [a.pairs.tolist() for a in d] for d in again
        ]


@pytest.mark.slow
def test_a_graph_captures_after_a_warm_up(device):
    fastsw.warmup(device, dtypes=("float32",))
    similarity = torch.randn((4, 64, 64), device=device)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        posterior = fastsw.posterior(similarity, **OPTIONS)
    graph.replay()
    assert torch.equal(posterior, fastsw.posterior(similarity, **OPTIONS))
