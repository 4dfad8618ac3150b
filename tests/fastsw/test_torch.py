"""Torch tensors: derivatives of first and second order, operators, compilation, memory."""

import shutil
import tracemalloc

import numba
import numpy as np
import pytest

import fastsw
from tests.support.oracle import MODES, expected, within
from tests.support.process import finish, start

torch = pytest.importorskip("torch")
from torch.autograd import gradcheck, gradgradcheck  # noqa: E402

from tests.support.recorder import Recorder  # noqa: E402
from tests.support.torch_calls import EVERY_FORM, Call, directions, hessian_product  # noqa: E402

FUNCTIONS = {"score": fastsw.score, "posterior": fastsw.posterior, "entropy": fastsw.entropy}


@pytest.mark.smoke(2)
@pytest.mark.parametrize("forms", EVERY_FORM, ids="+".join)
@pytest.mark.parametrize("mode", MODES)
def test_derivatives_of_score_are_exact(mode, forms):
    call = Call(forms=forms, mode=mode, lengths=torch.tensor([[3, 4], [2, 3]]))
    assert gradcheck(call.of_leaves(fastsw.score), call.leaves, check_forward_ad=True)
    assert gradgradcheck(call.of_leaves(fastsw.score), call.leaves)


@pytest.mark.smoke(2)
@pytest.mark.parametrize("forms", EVERY_FORM, ids="+".join)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", ["posterior", "entropy"])
def test_derivatives_of_posterior_and_entropy_are_exact(function, mode, forms):
    call = Call(forms=forms, mode=mode, lengths=torch.tensor([[3, 4], [2, 3]]))
    assert gradcheck(call.of_leaves(FUNCTIONS[function]), call.leaves, check_forward_ad=True)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.0, 0.05, 1.0])
@pytest.mark.parametrize("mode", MODES)
def test_torch_answers_as_numpy_does(mode, temperature, dtype):
    shape = 9, 21, 18
    call = Call(shape, ("sides-vector", "pair-cell"), dtype, mode=mode, temperature=temperature)
    call.options["lengths"] = np.random.default_rng(0).integers(1, 19, (9, 2))
    similarity, options = call.numpy()
    options["temperature"] = float(options["temperature"])
    for name, function in FUNCTIONS.items():
        found = call(function)
        assert found.dtype == dtype
        np.testing.assert_array_equal(
            found.detach().numpy(), function(similarity, **options), err_msg=name
        )
    score, gradients = call(fastsw.value_and_grad)
    wanted_score, wanted = fastsw.value_and_grad(similarity, **options)
    call(fastsw.score).sum().backward()
    flat = [gradients.similarity, *gradients.gap_open, gradients.gap_extend, gradients.temperature]
    wanted_flat = [wanted.similarity, *wanted.gap_open, wanted.gap_extend, wanted.temperature]
    np.testing.assert_array_equal(score.detach().numpy(), wanted_score)
    bound = 2e-5 if dtype == torch.float32 else 1e-12
    for found, other, leaf in zip(flat, wanted_flat, call.leaves, strict=True):
        assert found.dtype == leaf.grad.dtype == dtype
        scale = 1 + np.abs(other)
        within(found.detach().numpy(), other, bound * scale)
        within(leaf.grad.numpy(), other, bound * scale)
    first = fastsw.traceback(similarity, **without_temperature(options))
    second = fastsw.traceback(call.leaves[0], **without_temperature(call.arguments()[1]))
    assert [a.pairs.tolist() for a in first] == [a.pairs.tolist() for a in second]
    drawn = [f.pairs.tolist() for f in fastsw.sample(similarity, **options, size=2, seed=1)[0]]
    drawn_again = call(lambda s, **o: fastsw.sample(s, **o, size=2, seed=1))[0]
    assert drawn == [f.pairs.tolist() for f in drawn_again]


def without_temperature(options):
    return {name: value for name, value in options.items() if name != "temperature"}


@pytest.mark.parametrize("mode", MODES)
def test_gradients_carry_each_pairs_upstream_weight(mode):
    call = Call((5, 7, 6), ("sides-vector", "cell"), mode=mode)
    weights = torch.linspace(-2.0, 3.0, 5, dtype=torch.float64)
    call(fastsw.score).mul(weights).sum().backward()
    similarity, options = call.numpy()
    total = np.zeros((7, 6))
    for b in range(5):
        one = dict(options, gap_open=tuple(side[b : b + 1] for side in options["gap_open"]))
        wanted = expected(similarity[b : b + 1], **one)
        np.testing.assert_allclose(
            call.leaves[0].grad[b].numpy(), float(weights[b]) * wanted.similarity[0], atol=1e-12
        )
        total += float(weights[b]) * wanted.gap_extend
    np.testing.assert_allclose(call.leaves[3].grad.numpy(), total, atol=1e-11)


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 20.0])
@pytest.mark.parametrize("shape", [(1, 50, 45), (10, 20, 33)], ids=str)
@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives_of_larger_pairs_are_differences_of_first(
    mode, shape, temperature, masked
):
    rng = np.random.default_rng(2)
    call = Call(
        shape,
        ("sides-vector", "scalar"),
        mode=mode,
        temperature=temperature,
        lengths=rng.integers(3, min(shape[1:]), (shape[0], 2)),
    )
    if masked:
        with torch.no_grad():
            call.leaves[0][torch.from_numpy(rng.random(shape) < 0.2)] = -torch.inf
    direction = directions(call.leaves)
    products = hessian_product(call, direction)
    step = 1e-5 * min(temperature, 1.0)

    def gradients_at(sign):
        moved = [
            (leaf + sign * step * d).detach().requires_grad_()
            for leaf, d in zip(call.leaves, direction, strict=True)
        ]
        return torch.autograd.grad(call(fastsw.score, *moved).sum(), moved)

    for product, ahead, behind in zip(products, gradients_at(1), gradients_at(-1), strict=True):
        wanted = (ahead - behind) / (2 * step)
        # Central differences: relative error step**2 / T**2 = 1e-10, rounding 1e-13 / step.
        torch.testing.assert_close(
            product, wanted, rtol=1e-5, atol=1e-6 * float(wanted.abs().max())
        )
    single = Call.__new__(Call)
    single.forms, single.options = call.forms, call.options
    single.leaves = [leaf.detach().float().requires_grad_() for leaf in call.leaves]
    for product, wanted in zip(
        hessian_product(single, [d.float() for d in direction]), products, strict=True
    ):
        # float32: inputs rounded to 6e-8 move second derivatives by 6e-8 |S| / T of their size,
        # and posteriors of 2e-5 enter them, relative to the largest.
        error = (product.double() - wanted).abs().max()
        assert error <= 2e-4 * wanted.abs().max() / min(temperature, 1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("temperature", [0.005, 0.1, 5.0])
@pytest.mark.parametrize("batch", [1, 9])
@pytest.mark.parametrize("mode", MODES)
def test_second_derivatives_are_the_same_for_penalties_spelt_out_by_cell(
    mode, batch, temperature, dtype
):
    """Penalties per side and per cell take different kernels; here they have the same values."""
    shape = batch, 35, 30
    call = Call(shape, ("sides-vector", "sides-scalar"), mode=mode, temperature=temperature)
    with torch.no_grad():
        for leaf in call.leaves[1:-1]:
            leaf.abs_()
        call.leaves[0][:, :4, -4:] = 6.0 * temperature  # a block that little can follow
    direction = directions(call.leaves)[0]
    products = []
    for by_cell, kind in ((False, dtype), (True, torch.float64)):
        similarity, options = call.arguments([leaf.detach().to(kind) for leaf in call.leaves])
        if by_cell:
            columns, rows = options["gap_open"]
            options["gap_open"] = (
                columns[:, None, :].expand(shape).contiguous(),
                rows[:, :, None].expand(shape).contiguous(),
            )
        similarity.requires_grad_()
        posterior = fastsw.posterior(similarity, **options)
        products.append(torch.autograd.grad((posterior * direction).sum(), similarity)[0])
    error = (products[0].double() - products[1]).abs().max()
    # Covariances of probabilities, over T: the bound of a probability, over T, and relative to
    # the largest. Rounding of size |S| / T enters each probability's exponent.
    size = max(1.0, 1.0 / temperature) / temperature + float(products[1].abs().max())
    assert error <= (1e-4 if dtype == torch.float32 else 1e-11) * size


def test_temperature_zero_has_a_path_as_gradient_and_no_curvature():
    call = Call((3, 5, 6), ("sides-vector", "scalar"), temperature=0.0)
    gradients = torch.autograd.grad(call(fastsw.score).sum(), call.leaves, create_graph=True)
    assert set(gradients[0].unique().tolist()) == {0.0, 1.0}
    seconds = torch.autograd.grad(
        sum((g * g).sum() for g in gradients), call.leaves, allow_unused=True
    )
    assert all(second is None or not second.any() for second in seconds)


@pytest.mark.smoke(2)
@pytest.mark.parametrize(
    "forms", [("scalar", "scalar"), ("sides-vector", "pair-cell")], ids="+".join
)
@pytest.mark.parametrize("mode", MODES)
def test_operators_pass_opcheck(mode, forms):
    call = Call(forms=forms, mode=mode)
    with Recorder() as recorder:
        hessian_product(call, directions(call.leaves))
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


@pytest.mark.smoke(1)
@pytest.mark.parametrize(
    ("backend", "mode"), [("aot_eager", m) for m in MODES] + [("inductor", "local")]
)
def test_compiled_functions_answer_the_same(backend, mode):
    if backend == "inductor" and not shutil.which("c++"):
        pytest.skip("inductor needs a C++ compiler")
    call = Call((3, 5, 4), ("sides-vector", "scalar"), mode=mode)
    lengths = torch.tensor([[5, 4], [2, 3], [1, 4]])

    def loss(*leaves):
        similarity, options = call.arguments([leaf * 1.5 for leaf in leaves])
        options["lengths"] = lengths
        of_score = fastsw.score(similarity, **options).sum()
        options |= dict(temperature=0.7, lengths=None)  # as most calls have it
        return of_score + fastsw.posterior(similarity, **options).square().sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=backend)
    wanted = torch.autograd.grad(loss(*call.leaves), call.leaves)
    found = torch.autograd.grad(compiled(*call.leaves), call.leaves)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*call.leaves), loss(*call.leaves))


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_autocast_does_not_lower_precision(low):
    call = Call((3, 30, 31), ("sides-vector", "scalar"), torch.float32)
    outside = call(fastsw.score), torch.autograd.grad(call(fastsw.score).sum(), call.leaves)
    with torch.autocast("cpu", dtype=low):
        inside = call(fastsw.score), torch.autograd.grad(call(fastsw.score).sum(), call.leaves)
        assert call(fastsw.posterior).dtype == torch.float32
    torch.testing.assert_close(inside, outside, rtol=0, atol=0)


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_half_precision_computes_in_float32(low):
    call = Call((3, 30, 31), ("sides-vector", "scalar"), low, temperature=0.5)
    full = Call.__new__(Call)
    full.forms, full.options = call.forms, call.options
    full.leaves = [leaf.detach().float().requires_grad_() for leaf in call.leaves]
    score = call(fastsw.score)
    assert score.dtype == torch.float32
    torch.testing.assert_close(score, full(fastsw.score), rtol=0, atol=0)
    score.sum().backward()
    full(fastsw.score).sum().backward()
    for leaf, other in zip(call.leaves, full.leaves, strict=True):
        assert leaf.grad.dtype == low
        # One rounding to the dtype of the leaf.
        torch.testing.assert_close(
            leaf.grad.float(), other.grad, rtol=torch.finfo(low).eps, atol=torch.finfo(low).tiny
        )
    assert call(fastsw.posterior).dtype == low
    assert call(fastsw.entropy).dtype == torch.float32
    value, gradients = call(fastsw.value_and_grad)
    assert value.dtype == torch.float32 and gradients.similarity.dtype == low


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_upstream_gradients_of_half_precision_are_applied_in_float32(low):
    """65536, the first scale of torch.amp.GradScaler, is beyond float16."""
    call = Call((3, 12, 11), ("sides-scalar", "scalar"), low, lengths=torch.tensor([[9, 8]] * 3))
    with torch.no_grad():
        call.leaves[0][:, 2:5, 3:6] = -torch.inf
    full = [leaf.detach().float().requires_grad_() for leaf in call.leaves]
    # Each pair's gradient of the shared penalties overflows float16; their sum need not.
    weights = torch.tensor([65536.0, -65536.0, 0.25])
    for upstream in (torch.full((3,), 65536.0), weights):
        (call(fastsw.score) * upstream).sum().backward()
        (call(fastsw.score, *full) * upstream).sum().backward()
        for leaf, other in zip(call.leaves, full, strict=True):
            # One rounding to the dtype of the leaf; sums of 3 in float32 lose little.
            torch.testing.assert_close(
                leaf.grad, other.grad.to(low), rtol=torch.finfo(low).eps, atol=1e-4
            )
        of_similarity = call.leaves[0].grad
        assert not of_similarity[:, 2:5, 3:6].any() and not of_similarity[:, 9:].any()
        assert torch.isfinite(of_similarity).any()
        for leaf in (*call.leaves, *full):
            leaf.grad = None


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_first_and_second_derivatives_of_half_precision_are_added_in_float32(low):
    call = Call((3, 12, 11), ("sides-scalar", "scalar"), low)
    full = [leaf.detach().float().requires_grad_() for leaf in call.leaves]

    def slopes(leaves):
        value, gradients = call(fastsw.value_and_grad, *leaves)
        loss = 65536.0 * value.sum() + 1000.0 * gradients.similarity.float().sum()
        return torch.autograd.grad(loss, leaves)

    for found, wanted in zip(slopes(call.leaves), slopes(full), strict=True):
        # One rounding to the dtype of the leaf.
        torch.testing.assert_close(found, wanted.to(low), rtol=torch.finfo(low).eps, atol=1e-3)


ANSWERS = {
    "score": lambda s, o: fastsw.score(s, **o),
    "posterior": lambda s, o: fastsw.posterior(s, **o),
    "entropy": lambda s, o: fastsw.entropy(s, **o),
    "value_and_grad": lambda s, o: fastsw.value_and_grad(s, **o),
    "soft_dtw": lambda s, o: fastsw.soft_dtw(s, lengths=o.get("lengths")),
    "traceback": lambda s, o: [a.pairs.tolist() for a in fastsw.traceback(s, **o)],
    "sample": lambda s, o: [a.pairs.tolist() for a in fastsw.sample(s, size=2, seed=0, **o)[0]],
    "gradient": lambda s, o: torch.func.grad(lambda t: fastsw.score(t, **o).sum())(s),
    "tangent": lambda s, o: torch.func.jvp(lambda t: fastsw.posterior(t, **o), (s,), (s,))[1],
    "second": lambda s, o: torch.autograd.functional.hvp(
        lambda t: fastsw.score(t, **o).sum(), s, s
    )[1],
    "vmap": lambda s, o: torch.func.vmap(lambda t: fastsw.soft_dtw(t))(s),
}


@pytest.mark.parametrize(
    "options",
    [
        dict(gap_open=1.0, gap_extend=0.5),
        dict(gap_open=[1.0, 2.0], gap_extend=(0.5, np.full((2, 4), 0.4)), lengths=[[4, 3], [2, 2]]),
        dict(gap_open=1.0, gap_extend=0.5, lengths=(np.array([4, 3]), torch.tensor([2, 3]))),
    ],
    ids=["numbers", "arrays", "mixed"],
)
@pytest.mark.parametrize("name", ANSWERS)
def test_the_default_device_changes_nothing(name, options):
    similarity = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    wanted = ANSWERS[name](similarity, options)
    with torch.device("meta"):
        found = ANSWERS[name](similarity, options)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    torch.set_default_device("meta")
    try:
        found = ANSWERS[name](similarity, options)
    finally:
        torch.set_default_device(None)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_penalties_of_another_precision_keep_their_own():
    similarity = torch.randn(2, 5, 4, requires_grad=True)
    gap_open = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    gap_extend = torch.rand(2, dtype=torch.bfloat16).requires_grad_()
    fastsw.score(similarity, gap_open=gap_open, gap_extend=gap_extend).sum().backward()
    assert similarity.grad.dtype == torch.float32
    assert gap_open.grad.dtype == torch.float64
    assert gap_extend.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(
    "layout",
    [
        lambda a: a.transpose(-1, -2).contiguous().transpose(-1, -2),
        lambda a: a.repeat_interleave(2, -1)[..., ::2],
        lambda a: torch.cat([a, a])[: len(a)],
    ],
    ids=["transposed", "strided", "sliced"],
)
def test_memory_layout_changes_nothing(layout):
    call = Call((9, 12, 7), ("pair-cell", "sides-vector"))
    moved = [layout(leaf) if leaf.ndim > 1 else leaf for leaf in call.leaves]
    wanted = torch.autograd.grad(call(fastsw.score).sum(), call.leaves)
    found = torch.autograd.grad(call(fastsw.score, *moved).sum(), call.leaves)
    torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_expanded_tensors_gather_their_gradients():
    row = torch.randn(1, 6, 7, dtype=torch.float64, requires_grad=True)
    batch = fastsw.score(row.expand(4, 6, 7), gap_open=1.0, gap_extend=0.5)
    batch.sum().backward()
    wanted = 4 * fastsw.posterior(row.detach(), gap_open=1.0, gap_extend=0.5)
    torch.testing.assert_close(row.grad, wanted)


@pytest.mark.filterwarnings("ignore")  # torch warns that it loops over the batch
@pytest.mark.parametrize("function", FUNCTIONS)
def test_vmap_equals_the_batch(function):
    call = Call((4, 6, 5), ("pair", "sides-vector"))
    similarity, options = call.arguments()

    def one(matrix, gap_open, columns, rows):
        return FUNCTIONS[function](matrix, gap_open=gap_open, gap_extend=(columns, rows))

    columns, rows = options["gap_extend"]
    found = torch.func.vmap(one)(similarity, options["gap_open"], columns, rows)
    options["temperature"] = 1.0
    wanted = FUNCTIONS[function](similarity, **options)
    torch.testing.assert_close(found, wanted)
    mapped = torch.autograd.grad(found.square().sum(), call.leaves[:4])
    batched = torch.autograd.grad(wanted.square().sum(), call.leaves[:4])
    torch.testing.assert_close(mapped, batched)


def test_nothing_of_the_size_of_the_similarity_is_copied():
    similarity = torch.randn(2, 700, 900)
    options = dict(gap_open=1.0, gap_extend=0.1)
    fastsw.score(similarity, **options)
    with Recorder() as recorder:
        tracemalloc.start()
        try:
            fastsw.score(similarity, **options)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < similarity.nbytes / 2  # a copy would be all of it
    copies = {"clone", "copy_", "_to_copy", "contiguous", "detach_copy"}
    assert not [
        function
        for function, arguments in recorder.calls
        if function.name().split("::")[1].split(".")[0] in copies
        and any(isinstance(a, torch.Tensor) and a.numel() > 1000 for a in arguments)
    ]


@pytest.mark.subprocess
def test_numpy_users_never_import_torch():
    script = (
        "import sys, numpy, fastsw\n"
        "call = dict(gap_open=1.0, gap_extend=0.5)\n"
        "fastsw.score(numpy.zeros((2, 3, 4)), **call)\n"
        "fastsw.value_and_grad(numpy.zeros((2, 3, 4)), **call)\n"
        "fastsw.traceback(numpy.zeros((3, 4)), **call)\n"
        "fastsw.sample(numpy.zeros((3, 4)), **call, size=1, seed=0)\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    code, _, errors = finish(start(script))
    assert code == 0, errors


def test_a_tensor_used_twice_in_a_graph_gathers_both_gradients():
    call = Call((3, 6, 5))
    similarity = call.leaves[0]
    penalty = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)

    def loss(s, p):
        score = fastsw.score(s, gap_open=p, gap_extend=p, temperature=p)
        posterior = fastsw.posterior(s, gap_open=2 * p, gap_extend=p)
        return (posterior * score[:, None, None]).sum() + fastsw.entropy(
            s * p, gap_open=p, gap_extend=p
        ).sum()

    assert gradcheck(loss, (similarity, penalty))
    value = loss(similarity, penalty)
    first = torch.autograd.grad(value, (similarity, penalty), retain_graph=True)
    again = torch.autograd.grad(value, (similarity, penalty))
    torch.testing.assert_close(first, again, rtol=0, atol=0)


def test_a_change_in_place_between_forward_and_backward_is_refused():
    similarity = torch.randn(2, 4, 5, requires_grad=True)
    doubled = similarity * 2
    score = fastsw.score(doubled, gap_open=1.0, gap_extend=0.5)
    posterior = fastsw.posterior(doubled, gap_open=1.0, gap_extend=0.5)
    doubled.mul_(3)
    with pytest.raises(RuntimeError, match="inplace"):
        (score.sum() + posterior.square().sum()).backward()


def test_no_graph_is_kept_where_none_is_wanted():
    call = Call()
    with torch.no_grad():
        assert not call(fastsw.score).requires_grad
        assert not call(fastsw.posterior).requires_grad
    with torch.inference_mode():
        assert torch.isfinite(call(fastsw.score)).all()
    detached = [leaf.detach() for leaf in call.leaves]
    assert not call(fastsw.score, *detached).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 300, 280), (33, 40, 41)], ids=str)
def test_answers_are_the_same_bit_for_bit(shape, dtype):
    call = Call(shape, ("scalar", "sides-vector"), dtype)
    direction = [d.to(dtype) for d in directions(call.leaves)]

    def everything():
        gradients = torch.autograd.grad(call(fastsw.score).sum(), call.leaves)
        return [
            call(fastsw.score),
            call(fastsw.entropy),
            *gradients,
            *hessian_product(call, direction),
        ]

    threads = numba.get_num_threads()
    first = everything()
    try:
        for count in (threads, 1):
            numba.set_num_threads(count)
            for one, other in zip(everything(), first, strict=True):
                assert torch.equal(one, other)
    finally:
        numba.set_num_threads(threads)
