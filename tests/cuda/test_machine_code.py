"""Where machine code of GPU kernels comes from: compilers, or the disk. Needs neither of a GPU."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.simulated import SIMULATED

pytest.importorskip("numba_cuda")
if SIMULATED:
    pytest.skip("the simulator compiles nothing", allow_module_level=True)

import cuda.bindings.nvvm
import cuda.core
from numba.cuda.core import config
from numba.cuda.cudadrv import nvvm

from fastsw import _cache as cache
from fastsw._cuda.runtime import compile as compilation
from fastsw._cuda.runtime.memory import Part

MEMORY = SimpleNamespace(index=0, capability=(9, 0), dtype=lambda part: part.dtype)
ARGUMENTS = [Part(0, 1, np.dtype(np.float32)), 3]


class Compilers:
    """Compilers whose builds show in all they make, and how often they made a kernel."""

    def __init__(self):
        self.compiler = self.linker = "V13.0.88"
        self.missing = None
        self.count = 0

    def check(self):
        if self.missing is not None:
            raise self.missing

    def library(self):
        """Stands for `nvvm.NVVM`."""
        self.check()
        return SimpleNamespace(get_ir_version=lambda: (2, 0, 3, 2), data_layout="e-p:64:64:64")

    def unit(self, options):
        """Stands for `nvvm.CompilationUnit`."""
        made = f"// {self.compiler}\n\0".encode()
        return SimpleNamespace(add_module=lambda module: None, compile=lambda: made)

    def ptx(self, kernel, kinds, capability):
        """Stands for `Kernel.ptx`."""
        self.check()
        self.count += 1
        return f"// {self.compiler}\n.visible .entry {kernel.name}("

    def link(self, ptx, options):
        """Stands for `cuda.core.Linker`."""
        made = f"code by {self.linker} of {ptx.decode()}".encode()
        return SimpleNamespace(link=lambda kind: SimpleNamespace(code=made))


def _builds_anew():
    """As a new process, which asks the compilers."""
    for answer in (cache.cache_folder, compilation.source_stamp, compilation._builds):
        answer.cache_clear()


@pytest.fixture
def compilers(monkeypatch, tmp_path):
    found = Compilers()
    monkeypatch.setenv("FASTSW_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(nvvm, "NVVM", found.library)
    monkeypatch.setattr(nvvm, "CompilationUnit", found.unit)
    monkeypatch.setattr(cuda.bindings.nvvm, "version", lambda: found.check() or (2, 0))
    monkeypatch.setattr(compilation.Kernel, "ptx", lambda *arguments: found.ptx(*arguments))
    monkeypatch.setattr(cuda.core, "Linker", found.link)
    monkeypatch.setattr(cuda.core, "LinkerOptions", lambda arch: arch)
    objects = SimpleNamespace(
        from_ptx=lambda ptx: ptx,
        from_cubin=lambda code: SimpleNamespace(get_kernel=lambda name: (name, code)),
    )
    monkeypatch.setattr(cuda.core, "ObjectCode", objects)
    _builds_anew()
    yield found
    _builds_anew()


def load(**options):
    """Entry name and code of a kernel, as a new process gets them."""
    _builds_anew()
    kernel = compilation.Kernel(None, "tiny", **dict(warps=1) | options)
    return kernel._load(MEMORY, ARGUMENTS)


def test_machine_code_is_kept(compilers):
    first = load()
    assert first[0] == "tiny" and b"code by V13.0.88" in first[1]
    assert load() == first
    assert compilers.count == 1


@pytest.mark.parametrize("which", ["compiler", "linker"])
def test_another_build_of_a_compiler_compiles_anew(compilers, which):
    """Releases that the interface's version, 2.0 for years, does not tell apart."""
    load()
    setattr(compilers, which, "V13.0.100")
    assert b"V13.0.100" in load()[1]
    assert compilers.count == 2


@pytest.mark.parametrize("bounds", [dict(resident=4), dict(warps=2)], ids=str)
def test_the_bounds_of_a_launch_are_part_of_the_key(compilers, bounds):
    load()
    load(**bounds)
    assert compilers.count == 2


@pytest.mark.parametrize("name", ["OPT", "CUDA_DEBUGINFO_DEFAULT", "BOUNDSCHECK"])
def test_settings_that_change_code_are_part_of_the_key(compilers, monkeypatch, name):
    load()
    with monkeypatch.context() as patch:
        patch.setattr(config, name, 1 if name != "OPT" else type(config.OPT)(0))
        load()
        assert compilers.count == 2
    load()
    assert compilers.count == 2


MISSING = [
    nvvm.NvvmSupportError("libNVVM is not available"),
    RuntimeError('Failure finding "libnvvm.so": No such file: libnvvm.so*'),
    RuntimeError('Failure finding "libnvrtc.so": No such file: libnvrtc.so*'),
    RuntimeError(nvvm.MISSING_LIBDEVICE_FILE_MSG),
]


@pytest.mark.parametrize("error", MISSING, ids=["binding", "libnvvm", "nvrtc", "libdevice"])
def test_without_a_compiler_kept_machine_code_runs(compilers, error):
    wanted = load()
    compilers.missing = error
    assert load() == wanted


def test_without_a_compiler_other_kernels_are_not_taken(compilers):
    load(resident=4)
    compilers.missing = MISSING[0]
    with pytest.raises(RuntimeError, match=r"compiler is missing: pip install 'fastsw\[cuda\]'"):
        load()


@pytest.mark.parametrize("error", MISSING, ids=["binding", "libnvvm", "nvrtc", "libdevice"])
def test_a_missing_compiler_is_explained_where_it_is_needed(compilers, error):
    compilers.missing = error
    with pytest.raises(RuntimeError, match=r"compiler is missing: pip install 'fastsw\[cuda\]'"):
        load()


def test_another_error_of_the_compiler_is_not_passed_over(compilers):
    load()
    compilers.compiler, compilers.missing = "V13.1.0", None
    _builds_anew()
    compilation.toolchain(MEMORY.capability)
    compilers.missing = RuntimeError("invalid instruction")
    kernel = compilation.Kernel(None, "tiny", warps=1)
    with pytest.raises(RuntimeError, match="could not be compiled or loaded: invalid instruction"):
        kernel._load(MEMORY, ARGUMENTS)


def test_damaged_machine_code_is_compiled_anew(compilers, tmp_path, caplog):
    wanted = load()
    (file,) = (tmp_path / "cache").glob("*.cubin")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert load() == wanted
    assert compilers.count == 2 and "damaged" in caplog.text


def test_machine_code_shipped_in_a_folder_that_cannot_be_written_to_is_used(
    compilers, tmp_path, monkeypatch
):
    wanted = load()

    def refuse(**options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(cache.tempfile, "NamedTemporaryFile", refuse)
    assert load() == wanted
    assert compilers.count == 1


@pytest.mark.parametrize("compiler", ["another one", "none"])
def test_machine_code_from_another_machine_is_adopted(compilers, tmp_path, monkeypatch, compiler):
    import torch

    from tests.support import cubins

    monkeypatch.setenv("FASTSW_CACHE_DIR", str(tmp_path / "carried"))
    wanted = load()
    monkeypatch.setenv("FASTSW_CACHE_DIR", str(tmp_path / "cache"))
    _builds_anew()
    kinds = compilation.kinds_of(MEMORY, ARGUMENTS)
    kernels = [compilation.Kernel(None, "tiny", 1), compilation.Kernel(None, "other", 1)]
    monkeypatch.setattr(cubins.offline, "launches", lambda: {k.name: (k, kinds) for k in kernels})
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: MEMORY.capability)
    compilers.compiler = "V13.1.0"
    compilers.missing = MISSING[0] if compiler == "none" else None
    assert cubins.adopt(tmp_path / "carried")  # of the other kernel there is none
    assert load() == wanted and compilers.count == 1


def test_the_compilers_that_are_here_tell_their_build():
    """The real one: its release, which `nvvm.version()` does not give, is in what it makes."""
    from tests.support import offline

    offline.need_compiler()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compilation, "_linked", lambda ptx, capability: b"")
        compilation._builds.cache_clear()
        ptx, _ = compilation._builds((9, 0))
    compilation._builds.cache_clear()
    assert "release" in ptx and "Compiler Build ID" in ptx
