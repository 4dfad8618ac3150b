"""Errors that tell what to install or change; none of these tests needs a GPU."""

import importlib.util

import pytest

import fastsw

torch = pytest.importorskip("torch")


def test_missing_numba_cuda_names_the_extra(monkeypatch):
    from fastsw import _torch

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastsw\[cuda\]'"):
        _torch._gpu.__wrapped__()


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


@pytest.mark.parametrize("options", [dict(device="tpu"), dict(dtypes=("float16",))])
def test_warmup_refuses_what_it_does_not_know(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        fastsw.warmup(**options)
