"""Forward mode, `torch.func` and `torch.autograd.functional`, beside plain PyTorch recurrences.

`plain_torch` differentiates every recurrence by torch itself, in every mode and to any order; what
these tests state as right is what it answers.
"""

import functools

import pytest

import fastsw
from tests.support import plain_torch
from tests.support.oracle import MODES

torch = pytest.importorskip("torch")
from torch.autograd import forward_ad, functional, gradcheck, gradgradcheck  # noqa: E402
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vjp, vmap  # noqa: E402

from tests.support.recorder import Recorder  # noqa: E402
from tests.support.torch_calls import Call, directions  # noqa: E402

OPTIONS = dict(gap_open=1.0, gap_extend=0.5)
FORMS = [("scalar", "scalar"), ("sides-vector", "pair-cell"), ("cell", "sides-mixed")]
LENGTHS = torch.tensor([[3, 4], [2, 3]])

#: Float64 kernels agree with plain float64 torch to rounding; second derivatives lose some more.
close = functools.partial(torch.testing.assert_close, rtol=1e-8, atol=1e-10)


@pytest.fixture(autouse=True)
def _quiet():
    """Torch warns that its older vmap loops over the batch."""
    torch._C._debug_only_display_vmap_fallback_warnings(False)


def draw(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


class Warping:
    """A random call of `soft_dtw` whose cost and temperature are the leaves of a graph."""

    def __init__(self, **options):
        self.leaves = [draw(2, 3, 4).abs(), torch.tensor(0.7, dtype=torch.float64)]
        self.options = options

    def of_leaves(self, function):
        return lambda cost, temperature: function(cost, temperature=temperature, **self.options)

    def detached(self):
        return tuple(self.leaves)


def alignments():
    for mode in MODES:
        for forms in FORMS:
            yield pytest.param(
                lambda mode=mode, forms=forms: (
                    Call(forms=forms, mode=mode, lengths=LENGTHS),
                    fastsw.score,
                    plain_torch.score,
                ),
                id=f"score-{mode}-{'+'.join(forms)}",
            )


def warpings():
    for bandwidth in (None, 1):
        yield pytest.param(
            lambda bandwidth=bandwidth: (
                Warping(lengths=LENGTHS, bandwidth=bandwidth),
                fastsw.soft_dtw,
                plain_torch.soft_dtw,
            ),
            id=f"soft_dtw-{bandwidth}",
        )


VALUES = pytest.mark.parametrize("drawn", [*alignments(), *warpings()])


def test_the_forward_derivative_is_the_posterior_along_the_tangent():
    similarity, tangent = draw(5, 7), draw(5, 7, seed=1)
    wanted = (fastsw.posterior(similarity, **OPTIONS) * tangent).sum()
    assert abs(float(wanted)) > 0.05
    score = functools.partial(fastsw.score, **OPTIONS)
    close(jvp(score, (similarity,), (tangent,))[1], wanted)
    close((jacfwd(score)(similarity) * tangent).sum(), wanted)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(similarity, tangent)
        close(forward_ad.unpack_dual(score(dual)).tangent, wanted)


def along(function, leaves, tangents):
    """Central difference along a direction."""
    step = 1e-6
    ahead, behind = (
        function(*(leaf + sign * step * t for leaf, t in zip(leaves, tangents, strict=True)))
        for sign in (1, -1)
    )
    return (ahead - behind) / (2 * step)


@pytest.mark.parametrize("forms", FORMS, ids="+".join)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["score", "posterior", "entropy", "value_and_grad"])
def test_forward_derivatives_of_every_answer_are_its_differences(name, mode, forms):
    call = Call(forms=forms, mode=mode, lengths=LENGTHS)

    def answer(*leaves):
        found = call(getattr(fastsw, name), *leaves)
        flat = torch.utils._pytree.tree_leaves(found)
        return torch.cat([part.reshape(-1) for part in flat])

    leaves = call.detached()
    tangents = directions(leaves)
    found = jvp(answer, leaves, tangents)[1]
    # Central differences: 1e-12 of truncation, and rounding of 1e-16 over a step of 1e-6.
    torch.testing.assert_close(found, along(answer, leaves, tangents), rtol=1e-6, atol=1e-8)
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, t) for p, t in zip(leaves, tangents, strict=True)]
        close(forward_ad.unpack_dual(answer(*duals)).tangent, found)


@pytest.mark.smoke(3)
@VALUES
def test_autograd_checks_pass_in_both_modes(drawn):
    call, function, _ = drawn()
    leaves = [leaf.detach().requires_grad_() for leaf in call.leaves]
    checked = dict(check_batched_grad=True)
    assert gradcheck(
        call.of_leaves(function),
        leaves,
        check_forward_ad=True,
        check_batched_forward_grad=True,
        **checked,
    )
    assert gradgradcheck(call.of_leaves(function), leaves, check_fwd_over_rev=True, **checked)


def summed(function):
    return lambda *leaves: function(*leaves).sum()


def pulled_back(function, *leaves):
    """Vector-Jacobian product."""
    value, pull = vjp(function, *leaves)
    return pull(torch.linspace(-2.0, 3.0, len(value), dtype=value.dtype))


FIRST = {
    "grad": lambda f, n: grad(summed(f), n),
    "vjp": lambda f, n: functools.partial(pulled_back, f),
    "jacrev": jacrev,
    "jacfwd": jacfwd,
    "jvp": lambda f, n: lambda *leaves: jvp(f, leaves, directions(leaves))[1],
}
SECOND = {
    "hessian": lambda f, n: hessian(summed(f), n),
    "jacfwd(jacrev)": lambda f, n: jacfwd(jacrev(f, n), n),
    "jacrev(jacfwd)": lambda f, n: jacrev(jacfwd(f, n), n),
    "jacrev(jacrev)": lambda f, n: jacrev(jacrev(f, n), n),
    "jacfwd(jacfwd)": lambda f, n: jacfwd(jacfwd(f, n), n),
    "jvp(grad)": lambda f, n: (
        lambda *leaves: jvp(grad(summed(f), n), leaves, directions(leaves))[1]
    ),
    "grad(jvp)": lambda f, n: grad(
        summed(lambda *leaves: jvp(f, leaves, directions(leaves))[1]), n
    ),
}


@pytest.mark.parametrize("transform", FIRST | SECOND)
@VALUES
def test_transforms_equal_those_of_plain_torch(drawn, transform):
    call, function, plain = drawn()
    leaves = call.detached()
    wanted, found = (
        (FIRST | SECOND)[transform](call.of_leaves(f), tuple(range(len(leaves))))(*leaves)
        for f in (plain, function)
    )
    close(found, wanted)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("transform", FIRST)
def test_transforms_of_the_posterior_are_second_derivatives(transform, mode):
    call = Call((2, 3, 2), ("sides-vector", "pair"), mode=mode)
    everything = tuple(range(len(call.leaves)))

    def plain(*leaves):
        return grad(summed(call.of_leaves(plain_torch.score)))(*leaves)

    wanted, found = (
        FIRST[transform](lambda *leaves, f=f: f(*leaves).reshape(-1), everything)(*call.detached())
        for f in (plain, call.of_leaves(fastsw.posterior))
    )
    close(found, wanted)


@pytest.mark.smoke(3)
@VALUES
def test_functional_products_and_matrices_equal_those_of_plain_torch(drawn):
    call, function, plain = drawn()
    leaves = call.detached()
    tangents = directions(leaves)
    mine, theirs = (call.of_leaves(f) for f in (function, plain))
    for product in (functional.hvp, functional.vhp):
        close(
            product(summed(mine), leaves, tangents)[1], product(summed(theirs), leaves, tangents)[1]
        )
    close(functional.jvp(mine, leaves, tangents)[1], functional.jvp(theirs, leaves, tangents)[1])
    for vectorize, strategy in ((False, "reverse"), (True, "reverse"), (True, "forward")):
        wanted = functional.jacobian(theirs, leaves)
        options = dict(vectorize=vectorize)
        found = functional.jacobian(mine, leaves, strategy=f"{strategy}-mode", **options)
        close(found, wanted)
        wanted = functional.hessian(summed(theirs), leaves)
        options["outer_jacobian_strategy"] = f"{strategy}-mode"
        close(functional.hessian(summed(mine), leaves, **options), wanted)


def test_per_sample_gradients_are_those_of_a_loop():
    similarity, penalty = draw(6, 5, 4), draw(6, seed=1).abs()

    def one(matrix, gap):
        return fastsw.score(matrix, gap_open=gap, gap_extend=0.5)

    found = vmap(grad(one, (0, 1)))(similarity, penalty)
    for k in range(6):
        wanted = grad(one, (0, 1))(similarity[k], penalty[k])
        close(tuple(f[k] for f in found), wanted)
    shared = vmap(grad(one, (0, 1)), (0, None))(similarity, penalty[0])
    close(shared[1], torch.stack([grad(one, 1)(matrix, penalty[0]) for matrix in similarity]))


MAPPED = {
    "similarity": (0, None, None, None),
    "gap_open": (None, 0, None, None),
    "lengths": (None, None, 0, None),
    "temperature": (None, None, None, 0),
    "all": (0, 0, 0, 0),
}


@pytest.mark.parametrize("batched", [False, True], ids=["matrix", "batch"])
@pytest.mark.parametrize("mapped", MAPPED)
@pytest.mark.parametrize("name", ["score", "posterior", "entropy", "hvp"])
def test_anything_can_be_mapped(name, mapped, batched):
    pair = (2,) if batched else ()
    whole = (
        draw(3, *pair, 5, 4),
        draw(3, *pair, seed=1).abs(),
        torch.tensor([[5, 4], [2, 3], [4, 1]])[:, None].expand(3, 2, 2)
        if batched
        else torch.tensor([[5, 4], [2, 3], [4, 1]]),
        torch.tensor([0.3, 1.0, 4.0], dtype=torch.float64),
    )
    axes = MAPPED[mapped]

    def answer(similarity, gap_open, lengths, temperature):
        options = dict(gap_open=gap_open, gap_extend=0.5, lengths=lengths, temperature=temperature)
        if name != "hvp":
            return getattr(fastsw, name)(similarity, **options)
        slope = grad(lambda s: fastsw.score(s, **options).sum())
        return jvp(slope, (similarity,), (torch.ones_like(similarity),))[1]

    fixed = [w if a is not None else w[0] for w, a in zip(whole, axes, strict=True)]
    found = vmap(answer, axes)(*fixed)
    rows = [
        answer(*(f if a is None else f[k] for f, a in zip(fixed, axes, strict=True)))
        for k in range(3)
    ]
    close(found, torch.stack(rows))


def test_maps_within_maps_equal_the_batch():
    similarity, temperature = draw(3, 2, 5, 4), torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    gap = draw(2, seed=1).abs()

    def one(matrix, g, t):
        return fastsw.score(matrix, gap_open=g, gap_extend=0.5, temperature=t)

    nested = vmap(vmap(one, (0, 0, None)), (0, None, 0))
    found = nested(similarity, gap, temperature)
    wanted = torch.stack(
        [
            fastsw.score(s, gap_open=gap, gap_extend=0.5, temperature=t)
            for s, t in zip(similarity, temperature, strict=True)
        ]
    )
    close(found, wanted)
    slopes = jacrev(nested, (0, 1, 2))(similarity, gap, temperature)
    close(jacfwd(nested, (0, 1, 2))(similarity, gap, temperature), slopes)
    warped = vmap(vmap(lambda c, t: fastsw.soft_dtw(c, temperature=t), (0, None)))
    close(
        warped(similarity, temperature),
        torch.stack(
            [
                fastsw.soft_dtw(c, temperature=t)
                for c, t in zip(similarity, temperature, strict=True)
            ]
        ),
    )


def test_a_mapped_call_records_for_the_graph_around_it():
    similarity = draw(3, 2, 5, 4).requires_grad_()
    temperature = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64, requires_grad=True)

    def one(matrices, t):
        return fastsw.score(matrices, temperature=t, **OPTIONS)

    found = torch.autograd.grad(vmap(one)(similarity, temperature).sum(), (similarity, temperature))
    rows = [one(s, t).sum() for s, t in zip(similarity, temperature, strict=True)]
    close(found, torch.autograd.grad(sum(rows), (similarity, temperature)))


def test_forward_over_reverse_and_reverse_over_forward_agree():
    """Dual tensors that also require a gradient, outside of `torch.func`."""
    call = Call(forms=("sides-vector", "pair"))
    leaves = [leaf.detach().requires_grad_() for leaf in call.leaves]
    tangents = directions(leaves)
    plain = jvp(
        grad(summed(call.of_leaves(plain_torch.score)), tuple(range(5))), call.detached(), tangents
    )
    with forward_ad.dual_level():
        duals = [forward_ad.make_dual(p, t) for p, t in zip(leaves, tangents, strict=True)]
        value = call(fastsw.score, *duals).sum()
        firsts = torch.autograd.grad(value, duals, create_graph=True)
        close(tuple(firsts), plain[0])
        close(tuple(forward_ad.unpack_dual(f).tangent for f in firsts), plain[1])
        tangent = forward_ad.unpack_dual(value).tangent
        close(torch.autograd.grad(tangent, leaves), plain[1])


@pytest.mark.parametrize("mode", MODES)
def test_temperature_zero_moves_along_its_path_and_does_not_curve(mode):
    similarity, tangent = draw(2, 5, 7), draw(2, 5, 7, seed=1)
    score = functools.partial(fastsw.score, temperature=0.0, mode=mode, **OPTIONS)
    path = fastsw.posterior(similarity, temperature=0.0, mode=mode, **OPTIONS)
    assert set(path.unique().tolist()) == {0.0, 1.0}
    close(jvp(score, (similarity,), (tangent,))[1], (path * tangent).sum((1, 2)))
    assert not hessian(summed(score))(similarity).any()


def test_tangents_of_cells_that_are_not_read_are_not_read():
    similarity, tangent = draw(2, 5, 7), draw(2, 5, 7, seed=1)
    lengths = torch.tensor([[3, 7], [5, 2]])
    score = functools.partial(fastsw.score, lengths=lengths, **OPTIONS)
    wanted = jvp(score, (similarity,), (tangent,))[1]
    for dirty in (similarity, tangent):
        dirty[0, 3:] = torch.nan
        dirty[1, :, 2:] = torch.inf
    assert torch.isfinite(wanted).all()
    close(jvp(score, (similarity,), (tangent,))[1], wanted)
    posterior = functools.partial(fastsw.posterior, lengths=lengths, **OPTIONS)
    moved = jvp(posterior, (similarity,), (tangent,))[1]
    assert torch.isfinite(moved).all() and not moved[0, 3:].any()


def test_a_poisoned_pair_has_tangents_that_are_nan_and_its_neighbour_has_not():
    similarity = draw(2, 5, 7)
    similarity[0, 1, 1] = torch.nan
    score = functools.partial(fastsw.score, **OPTIONS)
    found = jvp(score, (similarity,), (torch.ones_like(similarity),))[1]
    assert found[0].isnan() and found[1].isfinite()


THIRD = {
    "jacfwd thrice": lambda f: jacfwd(jacfwd(jacfwd(f))),
    "jacrev thrice": lambda f: jacrev(jacrev(jacrev(f))),
    "jacfwd of hessian": lambda f: jacfwd(hessian(f)),
    "jacrev of hessian": lambda f: jacrev(hessian(f)),
    "jvp of hvp": lambda f: lambda x: jvp(lambda y: jvp(grad(f), (y,), (x,))[1], (x,), (x,))[1],
    "backward of hvp": lambda f: (
        lambda x: torch.autograd.grad(
            functional.hvp(f, x.requires_grad_(), x.detach(), create_graph=True)[1].sum(), x
        )
    ),
    "backward thrice": lambda f: lambda x: backward_thrice(f, x.requires_grad_()),
}


def backward_thrice(f, x):
    value = f(x)
    for _ in range(3):
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        value = (slope * slope).sum()
    return slope


@pytest.mark.parametrize("transform", THIRD)
@pytest.mark.parametrize("name", ["score", "soft_dtw"])
def test_third_derivatives_are_refused(name, transform):
    value = functools.partial(fastsw.score, **OPTIONS) if name == "score" else fastsw.soft_dtw
    with pytest.raises(NotImplementedError, match="third derivatives do not exist"):
        THIRD[transform](value)(draw(3, 2))


@pytest.mark.parametrize("name", ["score", "soft_dtw"])
def test_the_derivative_of_a_hessian_product_in_its_direction_is_the_hessian(name):
    """The direction may require a gradient where the primals do too."""
    value = functools.partial(fastsw.score, **OPTIONS) if name == "score" else fastsw.soft_dtw
    matrix = draw(3, 2).requires_grad_()
    direction = draw(3, 2, seed=1).requires_grad_()
    (slope,) = torch.autograd.grad(value(matrix), matrix, create_graph=True)
    (product,) = torch.autograd.grad(slope, matrix, direction, create_graph=True)
    wanted = hessian(value)(matrix.detach())
    other = draw(3, 2, seed=2)
    (found,) = torch.autograd.grad(product, direction, other)
    close(found, (wanted * other).sum((2, 3)))


@pytest.mark.slow
def test_forward_mode_within_a_compiled_function_is_refused():
    similarity = draw(3, 2)
    score = functools.partial(fastsw.score, **OPTIONS)
    torch._dynamo.reset()
    compiled = torch.compile(
        lambda s: jvp(score, (s,), (s,))[1], backend="aot_eager", fullgraph=True
    )
    with pytest.raises(Exception, match="forward-mode derivatives cannot be compiled"):
        compiled(similarity)
    torch._dynamo.reset()
    compiled = torch.compile(score, backend="aot_eager", fullgraph=True)
    compiled(similarity)
    with (
        forward_ad.dual_level(),
        pytest.raises(Exception, match="forward-mode derivatives cannot be compiled"),
    ):
        compiled(forward_ad.make_dual(similarity, similarity))


def test_transforms_within_a_compiled_function_are_right_or_refused():
    similarity = draw(3, 5, 4)
    score = functools.partial(fastsw.score, **OPTIONS)
    torch._dynamo.reset()
    mapped = torch.compile(vmap(score), backend="aot_eager", fullgraph=True)
    close(mapped(similarity), score(similarity))
    torch._dynamo.reset()
    sloped = torch.compile(grad(score), backend="aot_eager", fullgraph=True)
    with pytest.raises(Exception, match=r"torch\.func\.grad"):
        sloped(similarity[0])


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_tangents_of_half_precision_are_computed_in_float32(low):
    similarity, tangent = draw(2, 30, 31).to(low), draw(2, 30, 31, seed=1).to(low)
    score = functools.partial(fastsw.score, **OPTIONS)
    value, moved = jvp(score, (similarity,), (tangent,))
    assert value.dtype == moved.dtype == torch.float32
    wanted = jvp(score, (similarity.float(),), (tangent.float(),))[1]
    torch.testing.assert_close(moved, wanted, rtol=0, atol=0)
    posterior = functools.partial(fastsw.posterior, **OPTIONS)
    found = jvp(posterior, (similarity,), (tangent,))[1]
    assert found.dtype == low
    wanted = jvp(posterior, (similarity.float(),), (tangent.float(),))[1]
    torch.testing.assert_close(found, wanted.to(low), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("asked", "slopes"),
    [
        (lambda s, t: fastsw.score(s, temperature=t, **OPTIONS).sum().backward(), [True]),
        (lambda s, t: fastsw.score(s, **OPTIONS).sum().backward(), [False]),
        (lambda s, t: fastsw.posterior(s, temperature=t, **OPTIONS), [False]),
        (lambda s, t: fastsw.entropy(s, **OPTIONS), [True]),
        (lambda s, t: fastsw.value_and_grad(s, **OPTIONS), [True]),
        (lambda s, t: grad(summed(functools.partial(fastsw.score, **OPTIONS)))(s), [False]),
        (
            lambda s, t: grad(lambda u: fastsw.score(s, temperature=u, **OPTIONS).sum())(t),
            [True],
        ),
        (
            lambda s, t: jacfwd(lambda u: fastsw.score(s, temperature=u, **OPTIONS))(t),
            [True],
        ),
    ],
)
def test_the_slope_in_the_temperature_is_exact_where_it_is_used(asked, slopes):
    similarity = draw(2, 4, 3).requires_grad_()
    temperature = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    with Recorder() as recorder:
        asked(similarity, temperature)
    found = [a[-1] for f, a in recorder.calls if f.name() == "fastsw::align"]
    assert found == slopes
