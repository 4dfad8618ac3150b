"""Errors that tell what to install or change; none of these tests needs a GPU."""

import importlib.util
import threading
from types import SimpleNamespace

import pytest

import fastsw

torch = pytest.importorskip("torch")


def test_missing_numba_cuda_names_the_extra(monkeypatch):
    from fastsw._frontends import torch_tensors

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fastsw\[cuda\]'"):
        torch_tensors.gpu.__wrapped__()


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
    from fastsw._cuda.runtime import compile as compilation

    with pytest.raises(RuntimeError, match=advice):
        raise compilation._explained(RuntimeError(said))


def test_out_of_memory_says_how_much_was_needed(monkeypatch):
    pytest.importorskip("numba_cuda")
    from tests.support import offline

    def full(*arguments, **options):
        raise torch.OutOfMemoryError("no room")

    memory = offline.Host()
    monkeypatch.setattr(torch, "empty", full)
    with pytest.raises(torch.OutOfMemoryError, match=r"needs 8 MiB .* \(2, 1048576\).*no room"):
        memory.empty((2, 2**20), "float32")


def test_the_tensors_own_device_becomes_the_current_one(monkeypatch):
    pytest.importorskip("numba_cuda")
    from fastsw._cuda.runtime.memory import TorchMemory

    monkeypatch.setattr(TorchMemory, "_machine", lambda memory: (memory.device.index, (9, 0), 132))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    assert TorchMemory(torch.device("cuda:1")).current().idx == 1
    monkeypatch.setattr(TorchMemory, "_enter_driver_context", lambda memory: None)
    with TorchMemory(torch.device("cuda:0")).current() as nothing:
        assert nothing is None


@pytest.fixture
def driver(monkeypatch):
    """The driver's contexts, kept by thread as the driver does, without a driver."""
    pytest.importorskip("numba_cuda")
    from cuda.bindings import driver

    from fastsw._cuda.runtime.memory import TorchMemory

    thread, retained = threading.local(), []
    done = driver.CUresult.CUDA_SUCCESS

    def retain(device):
        retained.append(int(device))
        return done, driver.CUcontext(77)

    def enter(context):
        thread.context = int(context)
        return (done,)

    answers = dict(
        cuCtxGetCurrent=lambda: (done, driver.CUcontext(getattr(thread, "context", 0))),
        cuDeviceGet=lambda index: (done, driver.CUdevice(index)),
        cuDevicePrimaryCtxRetain=retain,
        cuCtxSetCurrent=enter,
    )
    for name, answer in answers.items():
        monkeypatch.setattr(driver, name, answer)
    monkeypatch.setattr(TorchMemory, "_machine", lambda memory: (0, (9, 0), 132))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    return SimpleNamespace(api=driver, retained=retained, thread=thread)


def test_a_thread_without_a_context_gets_the_one_that_torch_uses(driver):
    """Worker threads; and those of backward passes, where torch had no need of the context yet."""
    from fastsw._cuda.runtime.memory import TorchMemory

    memory, found = TorchMemory(torch.device("cuda:0")), []

    def work():
        with memory.current():
            found.append(int(driver.api.cuCtxGetCurrent()[1]))

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert found == [77, 77]
    assert driver.retained == [0]  # the device's primary context, once


def test_a_thread_keeps_the_context_it_has(driver):
    from fastsw._cuda.runtime.memory import TorchMemory

    driver.thread.context = 5
    with TorchMemory(torch.device("cuda:0")).current():
        assert driver.thread.context == 5
    assert driver.retained == []


def test_an_error_of_the_driver_is_named(driver, monkeypatch):
    from fastsw._cuda.runtime.memory import TorchMemory

    status = driver.api.CUresult.CUDA_ERROR_NOT_INITIALIZED
    monkeypatch.setattr(driver.api, "cuCtxGetCurrent", lambda: (status, None))
    with pytest.raises(RuntimeError, match="CUDA_ERROR_NOT_INITIALIZED"):
        TorchMemory(torch.device("cuda:0")).current()


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
