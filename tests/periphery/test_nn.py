"""`fastsw.nn.SmithWaterman`: owned penalties, and agreement with the functions."""

import subprocess
import sys

import pytest

import fastsw

torch = pytest.importorskip("torch")


@pytest.fixture
def similarity():
    return torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


LENGTHS = torch.tensor([[4, 5], [3, 2]])
OPTIONS = [
    {"gap_open": 1.3, "gap_extend": 0.1, "temperature": 0.7},
    {"gap_open": (1.3, 0.4), "gap_extend": 0.1, "mode": "global"},
    {"gap_open": 0.9, "gap_extend": (0.3, 0.2), "temperature": 2.0, "mode": "fitting"},
]


@pytest.mark.parametrize("ownership", ["fixed", "learned"])
@pytest.mark.parametrize("options", OPTIONS, ids=["local", "global", "fitting"])
def test_module_answers_as_the_functions_do(similarity, options, ownership):
    align = fastsw.nn.SmithWaterman(
        penalties=ownership, temperature_mode=ownership, dtype=torch.float64, **options
    )
    plain = {"temperature": 1.0} | options
    for method in ("posterior", "entropy"):
        wanted = getattr(fastsw, method)(similarity, lengths=LENGTHS, **plain)
        assert torch.equal(getattr(align, method)(similarity, lengths=LENGTHS), wanted)
    wanted = fastsw.score(similarity, lengths=LENGTHS, **plain)
    # A recorded call runs the gradient kernel, whose sums run in another order.
    torch.testing.assert_close(align(similarity, lengths=LENGTHS), wanted, rtol=1e-12, atol=1e-12)
    del plain["temperature"]
    found = align.traceback(similarity, lengths=LENGTHS)
    wanted = fastsw.traceback(similarity, lengths=LENGTHS, **plain)
    assert [str(a) for a in found] == [str(a) for a in wanted]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_learned_values_start_exactly_where_they_were_put(dtype):
    align = fastsw.nn.SmithWaterman(
        gap_open=(11.0, 1e-3),
        gap_extend=0.1,
        temperature=0.3,
        penalties="learned",
        temperature_mode="learned",
        dtype=dtype,
    )
    assert torch.equal(align.gap_open, torch.tensor((11.0, 1e-3), dtype=dtype))
    assert torch.equal(align.gap_extend, torch.tensor(0.1, dtype=dtype))
    assert torch.equal(align.temperature, torch.tensor(0.3, dtype=dtype))


def test_learned_values_stay_positive(similarity):
    align = fastsw.nn.SmithWaterman(
        gap_open=(0.5, 0.5), gap_extend=0.5, penalties="learned", temperature_mode="learned"
    )
    optimiser = torch.optim.SGD(align.parameters(), lr=2.0)
    for _ in range(20):
        optimiser.zero_grad()
        # Maximised, the score wants free gaps and much heat; minimised, cold.
        (align.temperature - align(similarity).sum()).backward()
        optimiser.step()
    assert len(list(align.parameters())) == 3
    for value in (align.gap_open, align.gap_extend, align.temperature):
        assert (value > 0).all()
    assert (align.gap_open < 0.5).all()


def test_fixed_values_are_not_parameters(similarity):
    align = fastsw.nn.SmithWaterman(gap_open=-0.2, gap_extend=0.0, temperature=0.0)
    assert not list(align.parameters())
    assert not align(similarity).requires_grad


@pytest.mark.parametrize("ownership", ["fixed", "learned"])
def test_state_survives_a_round_trip(similarity, ownership):
    settings = {"penalties": ownership, "temperature_mode": ownership}
    align = fastsw.nn.SmithWaterman(gap_open=(2.0, 3.0), gap_extend=0.2, **settings)
    with torch.no_grad():
        for parameter in align.parameters():
            parameter.sub_(0.8)
    other = fastsw.nn.SmithWaterman(gap_open=(1.0, 1.0), gap_extend=1.0, **settings)
    other.load_state_dict(align.state_dict())
    assert torch.equal(other.gap_open, align.gap_open)
    assert torch.equal(other(similarity), align(similarity))


@pytest.mark.parametrize("options", OPTIONS, ids=["local", "global", "fitting"])
def test_gradients_of_all_that_is_learned_are_exact(similarity, options):
    align = fastsw.nn.SmithWaterman(
        penalties="learned", temperature_mode="learned", dtype=torch.float64, **options
    )
    names = [name for name, _ in align.named_parameters()]

    def call(similarity, *values):
        return torch.func.functional_call(
            align, dict(zip(names, values, strict=True)), similarity, {"lengths": LENGTHS}
        )

    leaves = [
        similarity.requires_grad_(),
        *(p.detach().clone().requires_grad_() for p in align.parameters()),
    ]
    assert torch.autograd.gradcheck(call, leaves)


@pytest.mark.parametrize("options", OPTIONS, ids=["local", "global", "fitting"])
def test_forward_derivatives_are_those_of_reverse_mode(similarity, options):
    align = fastsw.nn.SmithWaterman(
        penalties="learned", temperature_mode="learned", dtype=torch.float64, **options
    )
    learned = {name: p.detach() for name, p in align.named_parameters()}

    def call(learned, similarity):
        return torch.func.functional_call(align, learned, similarity, {"lengths": LENGTHS})

    found = torch.func.jacfwd(call, (0, 1))(learned, similarity)
    wanted = torch.func.jacrev(call, (0, 1))(learned, similarity)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)
    posteriors = align.posterior(similarity, lengths=LENGTHS).detach()
    for b in range(2):
        torch.testing.assert_close(found[1][b, b], posteriors[b], rtol=1e-10, atol=1e-12)
        assert not found[1][b, 1 - b].any()


@pytest.mark.parametrize("low", [torch.bfloat16, torch.float16])
def test_a_scaled_loss_of_half_precision_has_finite_gradients(similarity, low):
    gradients = []
    for dtype in (low, torch.float32):
        align = fastsw.nn.SmithWaterman(gap_open=0.5, gap_extend=0.25, penalties="learned")
        align.to(dtype)
        leaf = similarity.to(low).to(dtype)
        leaf[:, 1, 1] = -torch.inf
        leaf.requires_grad_()
        (align(leaf, lengths=LENGTHS) * 65536).sum().backward()
        gradients.append([leaf.grad, *(p.grad for p in align.parameters())])
    for found, wanted in zip(*gradients, strict=True):
        # Penalties by softplus are chained in the parameters' dtype: a few roundings.
        torch.testing.assert_close(found, wanted.to(low), rtol=4 * torch.finfo(low).eps, atol=1e-3)
    assert gradients[0][0].isfinite().all() and not gradients[0][0][:, 1, 1].any()


def test_cells_beyond_the_lengths_do_not_matter(similarity):
    align = fastsw.nn.SmithWaterman(gap_open=1.0, gap_extend=0.5)
    padded = similarity.clone()
    padded[1, 3:], padded[1, :, 2:] = torch.nan, torch.nan
    assert torch.equal(align(padded, lengths=LENGTHS), align(similarity, lengths=LENGTHS))


def test_repr_shows_options_and_values():
    align = fastsw.nn.SmithWaterman(gap_open=(1.0, 2.5), gap_extend=0.1, penalties="learned")
    assert repr(align).startswith(
        "SmithWaterman(\n  gap_open=(1, 2.5), gap_extend=0.1, temperature=1, mode='local', "
        "penalties='learned', temperature_mode='fixed'"
    )


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"mode": "semi"}, ValueError, "`mode`"),
        ({"penalties": True}, ValueError, "`penalties`"),
        ({"temperature_mode": "free"}, ValueError, "`temperature_mode`"),
        ({"gap_open": 0.0, "penalties": "learned"}, ValueError, "`gap_open`"),
        ({"gap_extend": (1.0, -1.0), "penalties": "learned"}, ValueError, "`gap_extend`"),
        ({"gap_extend": float("nan")}, ValueError, "`gap_extend`"),
        ({"gap_open": (1.0, 2.0, 3.0)}, ValueError, "`gap_open`"),
        ({"gap_open": "dear"}, TypeError, "`gap_open`"),
        ({"gap_open": torch.ones(4, 5)}, TypeError, "`gap_open`"),
        ({"temperature": -1.0}, ValueError, "`temperature`"),
        ({"temperature": (1.0, 1.0)}, TypeError, "`temperature`"),
        ({"temperature": 0.0, "temperature_mode": "learned"}, ValueError, "`temperature`"),
    ],
)
def test_bad_options_are_refused_by_name(options, error, name):
    with pytest.raises(error, match=name):
        fastsw.nn.SmithWaterman(**options)


@pytest.mark.slow
@pytest.mark.subprocess
def test_importing_fastsw_imports_neither_torch_nor_matplotlib():
    code = (
        "import sys, fastsw; from fastsw import *;"
        "assert not {'torch', 'matplotlib'} & set(sys.modules);"
        "fastsw.nn; assert 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_absent_torch_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "fastsw.nn", raising=False)
    monkeypatch.delattr(fastsw, "nn", raising=False)
    with pytest.raises(ImportError, match=r"fastsw\[torch\]"):
        _ = fastsw.nn
