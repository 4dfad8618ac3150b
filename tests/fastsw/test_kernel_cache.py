"""Where kernels of the CPU are kept, by what, and what happens where nothing can be kept."""

import compileall
import errno
import os
import re
import shutil
import threading
from pathlib import Path

import numba
import pytest
from numba.core import registry

from fastsw._cache import modules_stamp
from fastsw._cpu.runtime import compile, waiting
from tests.support.process import PACKAGE, finish, start

#: A process that compiles one small kernel, unless it is in the cache; prints how many functions
#: were compiled. What `{before}` holds runs first.
TINY = """
import ctypes, errno, os, pathlib, pwd, sys, tempfile, time
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
from fastsw._cpu.runtime.compile import serial_kernel
{before}

@serial_kernel
def twice(number):
    return number + number

assert twice(21) == 42
print(sum(e.is_start for _, e in recorder.buffer))
"""
UNAVAILABLE = 77


def tiny(before="", package=PACKAGE, **environment):
    """How many functions a new process compiles, and what it says."""
    script = TINY.format(before=before)
    code, output, errors = finish(start(script, package=package, **environment))
    if code == UNAVAILABLE:
        pytest.skip("this user may not mount file systems")
    assert code == 0, errors[-3000:]
    return int(output), errors


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache that holds the small kernel."""
    folder = tmp_path_factory.mktemp("warm")
    assert tiny(FASTSW_CACHE_DIR=folder)[0] == 1
    return folder


@pytest.fixture
def cache(warm, tmp_path):
    """A copy of it."""
    return Path(shutil.copytree(warm, tmp_path / "cache"))


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_warm_process_compiles_nothing(cache):
    assert tiny(FASTSW_CACHE_DIR=cache) == (0, "")


@pytest.mark.slow
@pytest.mark.subprocess
def test_slow_kernels_of_a_debugging_session_are_not_taken(tmp_path):
    assert tiny(FASTSW_CACHE_DIR=tmp_path, NUMBA_OPT="0")[0] == 1
    assert tiny(FASTSW_CACHE_DIR=tmp_path)[0] == 1
    assert tiny(FASTSW_CACHE_DIR=tmp_path, NUMBA_OPT="0") == (0, "")


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize(
    "setting",
    ["NUMBA_OPT=max", "NUMBA_CPU_NAME=generic", "NUMBA_CPU_FEATURES=+sse2", "NUMBA_DEBUGINFO=1"],
)
def test_other_settings_have_kernels_of_their_own(cache, setting):
    name, value = setting.split("=")
    assert tiny(FASTSW_CACHE_DIR=cache, **{name: value})[0] == 1


@pytest.mark.parametrize("name", compile.CODE_SETTINGS)
def test_settings_that_change_code_are_part_of_the_key(monkeypatch, name):
    if not hasattr(numba.config, name):
        pytest.skip("not a setting of this Numba")
    codegen = registry.cpu_target.target_context.codegen()
    key = compile._DiskCache("twice")._file
    before = key("(int64,)", codegen)
    assert key("(int64,)", codegen) == before
    monkeypatch.setattr(numba.config, name, "another value")
    assert key("(int64,)", codegen) != before


#: Settings that are read where code is generated, and do not change it: the first are part of the
#: code generator's own description, the others print, or concern the process.
IN_THE_DESCRIPTION = {"CPU_NAME", "CPU_FEATURES", "ENABLE_AVX"}
HARMLESS = {
    "ANNOTATE", "CHROME_TRACE", "CUDA_LOW_OCCUPANCY_WARNINGS", "DEBUG", "DEBUG_ARRAY_OPT",
    "DEBUG_CACHE", "DEBUG_JIT", "DEBUG_PRINT_AFTER", "DEBUG_PRINT_BEFORE", "DEBUG_PRINT_WRAP",
    "DEBUG_TYPEINFER", "DIFF_IR", "DISABLE_PERFORMANCE_WARNINGS", "DUMP_ASSEMBLY", "DUMP_CFG",
    "DUMP_FUNC_OPT", "DUMP_IR", "DUMP_LLVM", "DUMP_OPTIMIZED", "DUMP_SSA", "GDB_BINARY",
    "HIGHLIGHT_DUMPS", "HTML", "IS_32BITS", "IS_WIN32", "IS_WIN", "IS_OSX", "JIT_COVERAGE",
    "LLVM_PASS_TIMINGS", "MACHINE_BITS", "NRT_STATS", "PARALLEL_DIAGNOSTICS", "PYVERSION", "TRACE",
    "USE_LLVMLITE_MEMORY_MANAGER",
}  # fmt: skip
GENERATORS = (
    "base", "callconv", "cgutils", "codegen", "compiler", "compiler_machinery", "cpu", "debuginfo",
    "generators", "lowering", "options", "runtime/context", "runtime/nrtdynmod", "typed_passes",
)  # fmt: skip


def test_no_setting_of_this_numba_was_overlooked():
    core = Path(numba.__file__).parent / "core"
    sources = [(core / f"{name}.py").read_text() for name in GENERATORS]
    read = set(re.findall(r"\bconfig\.([A-Z][A-Z_0-9]*)", "".join(sources)))
    assert {"OPT", "LOOP_VECTORIZE", "BOUNDSCHECK", "CPU_NAME"} <= read
    assert read - set(compile.CODE_SETTINGS) - IN_THE_DESCRIPTION - HARMLESS == set()


def test_versions_are_part_of_the_key(monkeypatch):
    stamps = {compile.source_stamp()}
    for module, count in zip((numba, compile.llvmlite, compile.np), (2, 3, 4), strict=True):
        monkeypatch.setattr(module, "__version__", "0.0")
        stamps.add(compile.source_stamp.__wrapped__())
        assert len(stamps) == count


def without_sources(folder):
    """The package as bytecode alone."""
    shutil.copytree(PACKAGE, folder / "fastsw", ignore=shutil.ignore_patterns("__pycache__"))
    assert compileall.compile_dir(folder, legacy=True, quiet=1)
    for source in folder.rglob("*.py"):
        source.unlink()
    return folder / "fastsw"


def zipped(package):
    """An archive of a package; its path, and the package's in it."""
    archive = shutil.make_archive(
        str(package.parent.parent / "archive"), "zip", package.parent, package.name
    )
    return Path(archive) / package.name


@pytest.mark.slow
@pytest.mark.subprocess
def test_an_archive_has_the_kernels_of_its_sources(cache, tmp_path):
    package = tmp_path / "code" / "fastsw"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    inside = "import fastsw; assert '.zip' in fastsw.__file__"
    assert tiny(inside, package=zipped(package), FASTSW_CACHE_DIR=cache) == (0, "")


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.parametrize("form", ["folder", "archive"])
def test_bytecode_alone_has_kernels_of_its_own(cache, tmp_path, form):
    package = without_sources(tmp_path / "code")
    package = zipped(package) if form == "archive" else package
    inside = "import fastsw; assert fastsw.__file__.endswith('.pyc')"
    assert tiny(inside, package=package, FASTSW_CACHE_DIR=cache)[0] == 1
    assert tiny(inside, package=package, FASTSW_CACHE_DIR=cache) == (0, "")


@pytest.mark.subprocess
def test_without_a_compiler_the_variable_is_named():
    code, _, errors = finish(
        start(
            "import numpy as np, fastsw\n"
            "try: fastsw.score(np.eye(3), gap_open=1.0, gap_extend=0.5)\n"
            "except RuntimeError as error: assert 'NUMBA_DISABLE_JIT' in str(error), error\n"
            "else: raise AssertionError('no error')\n",
            NUMBA_DISABLE_JIT="1",
        )
    )
    assert code == 0, errors


#: A user that the machine does not know, as containers run by a number: no entry, no home.
NOBODY = """
for name in ("HOME", "XDG_CACHE_HOME", "FASTSW_CACHE_DIR"):
    os.environ.pop(name, None)

def unknown(user):
    raise KeyError(f"getpwuid(): uid not found: {user}")

pwd.getpwuid = unknown
"""


@pytest.mark.slow
@pytest.mark.subprocess
@pytest.mark.skipif(os.name == "nt", reason="users of Windows have a home")
def test_a_user_without_a_home_has_kernels_in_the_temporary_folder(tmp_path):
    assert tiny(NOBODY, TMPDIR=tmp_path)[0] == 1
    assert tiny(NOBODY, TMPDIR=tmp_path) == (0, "")
    (folder,) = tmp_path.iterdir()
    assert folder.name == f"fastsw-{os.getuid()}"


@pytest.mark.slow
@pytest.mark.subprocess
def test_processes_fill_one_cold_cache_at_once(tmp_path):
    """Each waits until all have come; one of them compiles for all."""
    wait = f"""
here = pathlib.Path({str(tmp_path)!r})
(here / f"ready-{{os.getpid()}}").touch()
while len(list(here.glob("ready-*"))) < 4:
    time.sleep(0.005)
"""
    cold = tmp_path / "cold"
    processes = [start(TINY.format(before=wait), FASTSW_CACHE_DIR=cold) for _ in range(4)]
    counts = []
    for process in processes:
        code, output, errors = finish(process)
        assert code == 0, errors
        assert "ignoring" not in errors
        counts.append(int(output))
    assert sum(counts) == 1 or (os.name == "nt" and max(counts) == 1)
    assert [path.suffix for path in cold.iterdir()] == [".bin"]  # one file, no remains
    assert tiny(FASTSW_CACHE_DIR=cold) == (0, "")


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_failed_compilation_does_not_block_others(tmp_path):
    broken = """
@serial_kernel
def once(number):
    return number + "a"

try:
    once(1)
except Exception:
    assert not list(pathlib.Path(os.environ["FASTSW_CACHE_DIR"]).glob("*.lock"))
else:
    raise AssertionError
recorder.buffer.clear()
from fastsw._cpu.runtime.compile import serial_kernel
"""
    before = "from fastsw._cpu.runtime.compile import serial_kernel\n" + broken
    assert tiny(before, FASTSW_CACHE_DIR=tmp_path)[0] == 1


def test_long_compilations_are_told_of_once_a_family(caplog, tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "PATIENCE", 0.0)
    monkeypatch.setattr(waiting, "_told", set())
    for name in ("intra_pair_32_8", "intra_pair_64_8", "dtw_32_8", "plan_32_8"):
        compilation = waiting.Compilation(name, tmp_path, f"{name}.bin")
        compilation._timer.join()
        compilation.end()
    told = [record.getMessage() for record in caplog.records]
    assert [text.split(" for ")[0] for text in told] == [
        "compiling the alignment",
        "compiling soft-DTW",
        "compiling the range check",
    ]
    assert all(str(tmp_path) in text and "python -m fastsw warmup" in text for text in told)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def locked(tmp_path):
    """A compilation under way."""
    if waiting.fcntl is None:
        pytest.skip("every process compiles for itself")
    compilation = waiting.Compilation("twice", tmp_path, "twice.bin")
    assert not compilation.waited
    yield compilation
    compilation.end()


def test_a_process_forked_meanwhile_does_not_hold_the_lock(locked, tmp_path):
    inherited = os.dup(locked._handle)  # as a fork has it
    with open(tmp_path / "twice.bin.lock") as file:
        locked.end()
        waiting.fcntl.flock(file, waiting.fcntl.LOCK_EX | waiting.fcntl.LOCK_NB)
    os.close(inherited)


def test_an_interrupted_wait_leaves_nothing_behind(locked, tmp_path, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    before = threading.active_count(), os.open(os.devnull, os.O_RDONLY)
    os.close(before[1])
    monkeypatch.setattr(waiting.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        waiting.Compilation("twice", tmp_path, "twice.bin")
    monkeypatch.undo()
    after = os.open(os.devnull, os.O_RDONLY)
    os.close(after)
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer) and thread is not locked._timer:
            thread.join()  # was cancelled
    assert (threading.active_count(), after) == before
    assert (tmp_path / "twice.bin.lock").exists()  # of the one that compiles


def test_a_lock_that_cannot_be_removed_is_done_without(locked, monkeypatch):
    def refuse(path, missing_ok):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "unlink", refuse)
    locked.end()
    assert locked._handle is None


#: A file system of its own at `folder`, for this process alone.
MOUNTED = """
libc = ctypes.CDLL(None, use_errno=True)

def mount(source, target, kind, flags, data):
    if libc.mount(source, target.encode(), kind, flags, data):
        sys.exit(77)

if not hasattr(libc, "unshare") or libc.unshare(0x20000):  # CLONE_NEWNS
    sys.exit(77)
folder = os.environ["FASTSW_CACHE_DIR"]
mount(None, "/", None, 0x44000, None)  # MS_REC | MS_PRIVATE
"""
TINY_DISK = MOUNTED + 'mount(b"tmpfs", folder, b"tmpfs", 0, b"size=4k,mode=700")\n'
#: MS_BIND, and then MS_BIND | MS_REMOUNT | MS_RDONLY.
READ_ONLY = MOUNTED + (
    "mount(folder.encode(), folder, None, 0x1000, None)\nmount(None, folder, None, 0x1021, None)\n"
)


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_full_disk_is_done_without(tmp_path):
    """4 KiB hold an empty file, and then no kernel."""
    (tmp_path / "disk").mkdir()
    after = "\nimport atexit\natexit.register(lambda: print(os.listdir(folder), file=sys.stderr))\n"
    count, errors = tiny(TINY_DISK + after, FASTSW_CACHE_DIR=tmp_path / "disk")
    assert count == 1
    assert errors.count("cannot be kept") == 1 and "No space left" in errors
    assert errors.endswith("[]\n")  # nothing half-written stays


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_read_only_folder_is_done_without(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o700)
    (tmp_path / "temporary").mkdir()
    count, errors = tiny(
        READ_ONLY, FASTSW_CACHE_DIR=tmp_path / "locked", TMPDIR=tmp_path / "temporary"
    )
    assert count == 1 and f"cannot use {tmp_path / 'locked'}" in errors
    assert list((tmp_path / "temporary").rglob("twice-*.bin"))


@pytest.mark.slow
@pytest.mark.subprocess
def test_kernels_in_a_read_only_folder_are_used(cache):
    assert tiny(READ_ONLY, FASTSW_CACHE_DIR=cache) == (0, "")


#: A disk that fills up while a kernel is written.
FILLS_UP = """
class Full:
    def __init__(self, file): self.file, self.name = file, file.name
    def __enter__(self): return self
    def __exit__(self, *error): self.file.close()
    def write(self, data):
        self.file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

opened = tempfile.NamedTemporaryFile
tempfile.NamedTemporaryFile = lambda **options: Full(opened(**options))
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_disk_that_fills_up_keeps_nothing(tmp_path):
    (tmp_path / "disk").mkdir()
    count, errors = tiny(FILLS_UP, FASTSW_CACHE_DIR=tmp_path / "disk")
    assert count == 1 and errors.count("No space left") == 1
    assert [p.stat().st_size for p in (tmp_path / "disk").iterdir() if p.suffix == ".bin"] == []


#: No folder can be written to, the temporary ones included.
NOWHERE = """
def refuse(*arguments, **options):
    raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

tempfile.gettempdir = tempfile.NamedTemporaryFile = tempfile.mkdtemp = refuse
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_without_any_folder_kernels_are_compiled_and_not_kept(tmp_path):
    count, errors = tiny(NOWHERE, FASTSW_CACHE_DIR=tmp_path / "refused")
    assert count == 1
    assert "they are not kept" in errors


@pytest.mark.slow
@pytest.mark.subprocess
def test_a_kernel_that_was_altered_on_the_disk_is_not_run(cache):
    """One bit, which need not make the file unreadable."""
    (path,) = cache.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    count, errors = tiny(FASTSW_CACHE_DIR=cache)
    assert count == 1 and "damaged" in errors


def test_a_stamp_names_every_module_of_kernels():
    """An edit of one of them changes it; modules that only call kernels are left out."""
    paths = {path.relative_to(PACKAGE / "_cpu") for path in (PACKAGE / "_cpu").rglob("*.py")}
    found = {".".join(path.with_suffix("").parts) for path in paths if path.stem != "__init__"}
    names = found - compile._NO_KERNELS
    assert {"runtime.compile", "kernels.intra_pair", "simd.vectors", "runtime.handoff"} <= names
    stamps = {modules_stamp("_cpu", compile._NO_KERNELS)}
    stamps |= {modules_stamp("_cpu", compile._NO_KERNELS | {name}) for name in names}
    assert len(stamps) == len(names) + 1


#: A process that runs one kernel on arrays of some dtypes.
DOUBLED = """
import numpy as np
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.compile import kernel
from fastsw._cpu.runtime.handoff import next_item

@kernel
def doubled(thread, queue, values, answers):
    for _ in range(queue.size):
        place = next_item(queue)
        if place >= 0:
            answers[place] = 2 * values[place]

for dtype in {dtypes}:
    values = np.arange(1, 6, dtype=dtype)
    answers = np.zeros_like(values)
    thread_pool.run_on_threads(doubled, 1, range(5), values, answers)
    assert answers.tolist() == [2, 4, 6, 8, 10], (dtype, answers)
"""


@pytest.mark.slow
@pytest.mark.subprocess
def test_kernels_that_other_processes_compiled_do_not_run_each_other(tmp_path):
    """What is compiled first in a process has the same number in another one."""
    for dtypes in (["float64"], ["float32"], ["float64", "float32"], ["float32", "float64"]):
        script = DOUBLED.format(dtypes=dtypes)
        code, _, errors = finish(start(script, FASTSW_CACHE_DIR=tmp_path))
        assert code == 0, errors[-3000:]
