"""Threads, forks, interrupts and the kernel cache, each in processes of their own."""

import os
import shutil

import pytest

from tests.support.process import PACKAGE, finish, start

pytestmark = pytest.mark.subprocess

UNAVAILABLE = 77
LAYERS = ["workqueue", "omp", "tbb"]

#: Calls of several kinds and sizes, large enough that pairs are spread over threads.
CALLS = """
import os, signal, sys, threading, time
import numba
import numpy as np
import fastsw

def start_threading_layer():
    try:
        numba.get_num_threads()
        return numba.threading_layer()
    except ValueError:
        sys.exit(77)

rng = np.random.default_rng(0)
CALLS = [
    (rng.standard_normal(shape).astype(dtype),
     dict(gap_open=1.0, gap_extend=extend, temperature=temperature, mode=mode))
    for shape in ((16, 60, 50), (1, 300, 200), (2, 9, 8))
    for dtype in (np.float32, np.float64)
    for temperature, extend in ((0.0, 0.1), (0.02, 0.1), (1.0, rng.uniform(0, 1, shape[1:])))
    for mode in ("local", "global")
]

def answer():
    found = []
    for similarity, options in CALLS:
        score, gradients = fastsw.value_and_grad(similarity, **options)
        found += [score, gradients.similarity, gradients.gap_open, gradients.gap_extend]
    return found

def same(found, wanted):
    return all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))
"""


def run(script, *, timeout=300, prelude=CALLS, **environment):
    """Run a script that must end well; its output and errors."""
    code, output, errors = finish(start(prelude + script, **environment), timeout=timeout)
    if code == UNAVAILABLE:
        pytest.skip("Numba cannot load this threading layer here")
    assert code == 0, errors[-3000:]
    return output, errors


@pytest.fixture(scope="module", autouse=True)
def warm():
    """Kernels of all calls in the cache, so that timeouts below are about safety."""
    run("answer()", timeout=600)


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_calls_from_eight_threads_equal_serial_calls(layer):
    run(
        """
start_threading_layer()
wanted = answer()
barrier, wrong = threading.Barrier(8), []

def work():
    barrier.wait()
    for _ in range(4):
        if not same(answer(), wanted):
            wrong.append(1)

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sys.exit(bool(wrong))
""",
        NUMBA_THREADING_LAYER=layer,
        NUMBA_NUM_THREADS=4,
    )


@pytest.mark.smoke(1)
@pytest.mark.parametrize("layer", ["not started", *LAYERS])
def test_a_forked_child_computes(layer):
    """Also while another thread of the parent is inside a call."""
    start = "" if layer == "not started" else "start_threading_layer()"
    environment = {} if layer == "not started" else {"NUMBA_THREADING_LAYER": layer}
    run(
        start
        + """
import warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of any fork in a threaded process
wanted = answer()
stop = threading.Event()

def busy():
    while not stop.is_set():
        answer()

thread = threading.Thread(target=busy)
thread.start()
children = []
for _ in range(4):
    time.sleep(0.02)
    child = os.fork()
    if child == 0:
        os._exit(0 if same(answer(), wanted) else 1)
    children.append(child)
codes = []
deadline = time.monotonic() + 60
while children and time.monotonic() < deadline:
    for child in list(children):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            children.remove(child)
            codes.append(status)
    time.sleep(0.01)
for child in children:
    os.kill(child, signal.SIGKILL)
stop.set()
thread.join()
assert not children, "a child hangs"
assert codes == [0] * 4, codes
assert same(answer(), wanted)
""",
        NUMBA_NUM_THREADS=2,
        **environment,
    )


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks")
def test_a_child_forked_while_another_thread_compiles_computes():
    run(
        """
import warnings
from numba.core.compiler_lock import global_compiler_lock
warnings.simplefilter("ignore")  # Python 3.12 warns of any fork in a threaded process
answer()
compiling = threading.Event()

def compile_something():
    with global_compiler_lock:
        compiling.set()
        time.sleep(0.5)

thread = threading.Thread(target=compile_something)
thread.start()
compiling.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    fastsw.soft_dtw(np.eye(3))  # has not been compiled
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0, "a child hangs"
thread.join()
"""
    )


@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers_compute(context, tmp_path):
    pytest.importorskip("torch")
    script = tmp_path / "loader.py"
    script.write_text(
        f"""
import numpy as np, torch, fastsw

class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        table = np.random.default_rng(index).standard_normal((4, 80, 90)).astype(np.float32)
        tensor = torch.from_numpy(table)
        score = fastsw.score(tensor, gap_open=1.0, gap_extend=0.1)
        _, gradients = fastsw.value_and_grad(table, gap_open=1.0, gap_extend=0.1)
        return score, gradients.similarity

if __name__ == "__main__":
    pairs = Pairs()
    wanted = [pairs[k] for k in range(len(pairs))]
    loader = torch.utils.data.DataLoader(
        pairs, batch_size=None, num_workers=2, multiprocessing_context="{context}", timeout=120
    )
    for (score, gradient), (other, other_gradient) in zip(loader, wanted, strict=True):
        assert torch.equal(score, other) and np.array_equal(gradient, other_gradient)
"""
    )
    run(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')", prelude="")


@pytest.mark.slow
def test_an_interrupted_process_calls_again():
    """Workspaces, pools and locks survive an interrupt at any moment of a call."""
    run(
        """
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a background job's children
wanted = answer()
big = np.random.default_rng(1).standard_normal((48, 300, 300)).astype(np.float32)
options = dict(gap_open=1.0, gap_extend=0.1)
big_score, big_gradients = fastsw.value_and_grad(big, **options)
for delay in np.random.default_rng(2).uniform(0.05, 0.3, 12):
    timer = threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    interrupted = False
    try:
        while timer.is_alive() or not interrupted:
            fastsw.value_and_grad(big, **options)
    except KeyboardInterrupt:
        interrupted = True
    timer.join()
    assert interrupted
    score, gradients = fastsw.value_and_grad(big, **options)
    assert np.array_equal(score, big_score)
    assert np.array_equal(gradients.similarity, big_gradients.similarity)
assert same(answer(), wanted)
""",
        NUMBA_NUM_THREADS=2,
    )


COUNTED = """
import threading, sys
import numpy as np
from numba.core import event
recorder = event.RecordingListener()
event.register("numba:compile", recorder)
import fastsw
"""
TRACE = """
paths = []
def work():
    paths.append(fastsw.traceback(np.eye(5), gap_open=1.0, gap_extend=0.5).pairs.tolist())
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert paths == [[[k, k] for k in range(5)]] * 8
print(sum(e.is_start for _, e in recorder.buffer))
"""


@pytest.mark.slow
def test_a_worker_without_memory_makes_the_call_fail_and_the_next_one_work():
    script = """
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.compile import kernel
from fastsw._cpu.runtime.handoff import give_way, read_shared, write_shared

@kernel
def meet(seat, came, fails):
    if seat == 0:
        while read_shared(came, 0) == 0:
            give_way()
    else:
        write_shared(came, 0, 1)
        if fails:
            raise MemoryError

for fails in (True, False, True, False):
    try:
        thread_pool.together(meet, 2, np.zeros(1, np.int64), fails)
    except MemoryError as error:
        assert fails and "memory" in str(error)
    else:
        assert not fails, "the error was lost"
"""
    run(script, NUMBA_NUM_THREADS="2", timeout=60)


@pytest.mark.slow
def test_a_process_ends_at_once_while_workers_linger():
    script = """
for _ in range(20):
    if os.fork() == 0:
        answer()
        sys.exit()
    assert os.wait()[1] == 0
answer()
"""
    run(script, NUMBA_NUM_THREADS="4", timeout=120)


@pytest.fixture(scope="module")
def cold(tmp_path_factory):
    """A copy of the package and its cache, filled by two processes that start cold at once.

    One of them compiles a kernel, the other waits for it.
    """
    root = tmp_path_factory.mktemp("cold")
    shutil.copytree(PACKAGE, root / "code" / "fastsw", ignore=shutil.ignore_patterns("__pycache__"))
    processes = [
        start(COUNTED + TRACE, package=root / "code" / "fastsw", FASTSW_CACHE_DIR=root / "cache")
        for _ in range(2)
    ]
    for process in processes:
        code, _, errors = finish(process, timeout=600)
        assert code == 0, errors[-3000:]
        assert errors.count("compiling the alignment ") == 1, errors  # one line says so
    return root


def compiled(root, cache="cache", **environment):
    """How many functions a fresh process of the copied package compiles."""
    output, errors = run(
        TRACE,
        prelude=COUNTED,
        package=root / "code" / "fastsw",
        FASTSW_CACHE_DIR=root / cache,
        **environment,
    )
    return int(output), errors


def test_import_compiles_nothing_and_writes_nothing(tmp_path):
    run(
        "assert not recorder.buffer and 'torch' not in sys.modules",
        prelude=COUNTED,
        FASTSW_CACHE_DIR=tmp_path / "cache",
        XDG_CACHE_HOME=tmp_path / "home",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_warm_process_compiles_nothing_and_says_nothing(cold):
    assert compiled(cold) == (0, "")


@pytest.mark.slow
def test_an_edited_kernel_source_is_compiled_anew(cold, tmp_path):
    """The file that holds the equations, which other files' kernels are made of."""
    shutil.copytree(cold, tmp_path, dirs_exist_ok=True)
    source = tmp_path / "code" / "fastsw" / "_recurrence.py"
    kept = os.stat(source)
    source.write_text(source.read_text() + "\n# edited\n")
    os.utime(source, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # content decides, not time
    assert compiled(tmp_path)[0] > 0
    assert compiled(tmp_path)[0] == 0


@pytest.mark.slow
def test_torn_cache_files_are_compiled_anew(cold, tmp_path):
    """Cut short, emptied, or overwritten."""
    shutil.copytree(cold, tmp_path, dirs_exist_ok=True)
    files = sorted(path for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert files
    for number, path in enumerate(files):
        content = path.read_bytes()
        path.write_bytes([content[: len(content) // 2], b"", b"\x80\x05." * 99][number % 3])
    assert compiled(tmp_path)[0] > 0
    assert compiled(tmp_path)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [lambda c: c[:-1], lambda c: b"", lambda c: c[::-1]], ids=["cut", "empty", "reversed"]
)
def test_one_damaged_cache_file_does_no_harm(cold, tmp_path, damage):
    """The others stay in use; the answer is right either way."""
    shutil.copytree(cold, tmp_path, dirs_exist_ok=True)
    files = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    smallest = min(files, key=lambda path: path.stat().st_size)
    smallest.write_bytes(damage(smallest.read_bytes()))
    count, errors = compiled(tmp_path)
    assert count > 0 and "damaged" in errors


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["read-only", "a file"])
def test_an_unusable_cache_folder_is_done_without(cold, tmp_path, folder):
    if folder == "read-only":
        (tmp_path / "locked").mkdir(mode=0o555)
        if os.access(tmp_path / "locked", os.W_OK):
            pytest.skip("this user may write to read-only folders")
    else:
        (tmp_path / "locked").write_text("")
    (tmp_path / "temporary").mkdir()
    (tmp_path / "code").symlink_to(cold / "code")
    count, errors = compiled(tmp_path, "locked", TMPDIR=tmp_path / "temporary")
    assert count > 0
    assert str(tmp_path / "locked") in errors  # the warning names the folder


@pytest.mark.slow
def test_kernels_in_a_folder_of_another_user_are_not_loaded(cold, tmp_path):
    """Cached kernels are pickles: who can write them can run code as us."""
    planted = tmp_path / f"fastsw-{os.getuid()}"
    planted.mkdir(mode=0o777)
    try:
        os.chown(planted, 12345, 12345)
    except PermissionError:
        pytest.skip("only root can give a folder away")
    (tmp_path / "locked").write_text("")
    (tmp_path / "code").symlink_to(cold / "code")
    compiled(tmp_path, "locked", TMPDIR=tmp_path)
    assert list(planted.iterdir()) == []


VARIANTS = """
import sys
import numpy as np
from fastsw._cpu.runtime import thread_pool
from fastsw._cpu.runtime.compile import Variant

def kernels(amount):
    variant = Variant(amount)

    @variant.helper
    def pairs(depth):  # recursive, so that it is not expanded in its caller
        return amount if depth < 2 else pairs(depth - 1) + pairs(depth - 2)

    @variant.kernel
    def fibonacci(seat, depth, found):
        found[0] = pairs(depth)

    return fibonacci

for amount in [int(a) for a in sys.argv[1:]]:
    found = np.zeros(1, np.int64)
    thread_pool.together(kernels(amount), 1, 10, found)
    assert found[0] == 89 * amount
"""


@pytest.mark.slow
def test_variants_that_different_processes_cached_stay_apart(tmp_path):
    """Numba numbers symbols per process; of equal ones, the linker takes the first for all."""
    script = tmp_path / "variants.py"
    script.write_text(VARIANTS)
    for amounts in ("1", "2", "12"):
        run(
            f"sys.argv[1:] = {list(amounts)}; runpy.run_path({str(script)!r})",
            prelude="import runpy, sys\n",
            FASTSW_CACHE_DIR=tmp_path / "cache",
        )
