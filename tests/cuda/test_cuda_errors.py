"""Errors that tell what to install or change; none of these tests needs a GPU."""

import importlib.util

import pytest

import fastsw

torch = pytest.importorskip("torch")


def test_missing_numba_cuda_names_the_extra(monkeypatch):
    from fastsw import _torch

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastsw\[cuda\]'"):
        _torch.gpu.__wrapped__()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION: unsupported toolchain", "older than the compiler"),
        ("Failure finding libnvvm.so", r"pip install 'fastsw\[cuda\]'"),
        ("something else", "something else"),
    ],
)
def test_errors_of_the_driver_say_what_to_do(said, advice):
    pytest.importorskip("numba_cuda")
    from fastsw._cuda import _compile

    with pytest.raises(RuntimeError, match=advice):
        raise _compile._explained(RuntimeError(said))


def test_out_of_memory_says_how_much_was_needed(monkeypatch):
    pytest.importorskip("numba_cuda")
    import offline

    def full(*arguments, **options):
        raise torch.OutOfMemoryError("no room")

    memory = offline.Host()
    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(torch.OutOfMemoryError, match=r"needs 8 MiB .* \(2, 1048576\).*no room"):
        memory.empty((2, 2**20), "float32")


def test_the_tensors_own_device_becomes_the_current_one(monkeypatch):
    pytest.importorskip("numba_cuda")
    from fastsw._cuda._memory import TorchMemory

    monkeypatch.setattr(TorchMemory, "_machine", lambda memory: (memory.device.index, (9, 0), 132))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert TorchMemory(torch.device("cuda:1")).current().idx == 1
    with TorchMemory(torch.device("cuda:0")).current() as nothing:
        assert nothing is None


def test_penalties_on_another_device_are_refused():
    elsewhere = torch.ones(2, device="meta")
    for name in ("gap_open", "gap_extend", "lengths"):
        options = dict(gap_open=1.0, gap_extend=0.5) | {name: elsewhere}
        with pytest.raises(ValueError, match=f"`{name}` must be on the device of `similarity`"):
            fastsw.score(torch.zeros((2, 3, 4)), **options)


@pytest.mark.parametrize("options", [dict(device="tpu"), dict(dtypes=("float16",))])
def test_warmup_refuses_what_it_does_not_know(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        fastsw.warmup(**options)
