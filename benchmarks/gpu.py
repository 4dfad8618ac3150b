"""Measure the CUDA backend: ``python -m benchmarks.gpu``, or all of it by ``benchmarks/gpu.sh``.

Writes gpu.json and gpu.md: device-to-device copy bandwidth, speed of forward and forward+gradient
beside two peers in the same run, our soft-DTW beside pysdtw's, torch's CTC as a yardstick, the
share of the memory floor, the latency of a small eager call, and where the time of a training step
of lac goes. What could not be measured says so, and why; the files are written after each figure,
ours before the peers', so that no failure hides another one.

Times are medians of CUDA events around a number of calls that take turns over several inputs, so
that caches do not hold them. Small shapes are timed twice, since the host takes longer than the
device to launch them: call by call, and as replays of a CUDA graph of several calls, whose inputs
caches may hold. The floor of forward+gradient is 8 bytes a cell (similarity read, gradient
written), that of a kernel with a float32 table through memory 20.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

import fastsw

SHAPES = [
    (2, 64, 64),
    (64, 64, 64),
    (4096, 64, 64),
    (256, 256, 256),
    (64, 1024, 1024),
    (4, 4096, 4096),
    (1, 16384, 16384),
]
GRAPH_CELLS = 2**24  # a shape that a graph is timed for
GRAPH_CALLS = 10
PEER_CELLS = 2**27  # a peer that holds several states of every cell, and their gradients
WARPING_CELLS = 2**24  # soft-DTW, ours and the peer's, and CTC
OPTIONS = {"gap_open": 1.0, "gap_extend": 0.1, "temperature": 1.0}
NOT_MEASURED = "not measured"
OURS, PEERS = "ours", "peers"  # columns that say why a row lacks figures
FLOOR = {"fused": 8, "with a table": 20}  # bytes a cell


def milliseconds(call, *, budget=1.5, least=3):
    """Median time of a call by CUDA events, in ms; calls are batched to last at least 1 ms."""
    call()
    torch.cuda.synchronize()
    started = time.perf_counter()
    call()
    torch.cuda.synchronize()
    once = time.perf_counter() - started
    batch = max(1, min(200, round(1e-3 / max(once, 1e-6))))
    turns = int(max(least, min(50, budget / (once * batch))))
    found = []
    for _ in range(turns):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(batch):
            call()
        end.record()
        end.synchronize()
        found.append(begin.elapsed_time(end) / batch)
    return statistics.median(found)


def copy_bandwidth():
    """Bytes read and written a second by a device-to-device copy of 1 GiB."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / (milliseconds(lambda: target.copy_(source)) * 1e-3)


def rotated(function, shape):
    """A call that goes round inputs of 512 MB in all, so that no cache holds them."""
    cells = shape[0] * shape[1] * shape[2]
    count = max(1, min(16, 2**27 // cells))
    inputs = [torch.randn(shape, device="cuda") for _ in range(count)]
    state = {"next": 0}

    def call():
        state["next"] = (state["next"] + 1) % count
        return function(inputs[state["next"]])

    return call


def graphed(function, shape):
    """A call that replays so many calls, captured into one graph, each with an input of its own."""
    inputs = [torch.randn(shape, device="cuda") for _ in range(GRAPH_CALLS)]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for similarity in inputs[:3]:
            function(similarity)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answers = [function(similarity) for similarity in inputs]

    def replay(held=(inputs, answers)):
        graph.replay()

    return replay


def graph_milliseconds(function, shape):
    """Median time of one of the calls of a graph, in ms."""
    return milliseconds(graphed(function, shape), budget=0.5) / GRAPH_CALLS


def forward(similarity):
    with torch.no_grad():
        return fastsw.score(similarity, **OPTIONS)


def gradient(similarity):
    return fastsw.value_and_grad(similarity, **OPTIONS)


def wavefront(similarity):
    """Score by plain PyTorch, one anti-diagonal of all pairs at a time."""
    pairs, rows, columns = similarity.shape
    gap_open, gap_extend = OPTIONS["gap_open"], OPTIONS["gap_extend"]
    skewed = similarity.new_full((pairs, rows, rows + columns - 1), -1e30)
    index = torch.arange(rows, device=similarity.device)[:, None] + torch.arange(
        columns, device=similarity.device
    )
    skewed = skewed.scatter(2, index.expand(pairs, -1, -1), similarity)
    nothing = similarity.new_full((pairs, rows + 1), -1e30)
    m = x = y = before = nothing
    total = similarity.new_full((pairs,), -1e30)
    for t in range(rows + columns - 1):
        start = torch.zeros_like(m[:, :-1])
        new_m = skewed[:, :, t] + torch.logaddexp(start, before[:, :-1])
        new_x = torch.logaddexp(m[:, 1:] - gap_open, x[:, 1:] - gap_extend)
        opened = torch.logaddexp(m[:, :-1], x[:, :-1]) - gap_open
        new_y = torch.logaddexp(opened, y[:, :-1] - gap_extend)
        before = torch.logaddexp(torch.logaddexp(m, x), y)
        m, x, y = (torch.cat([nothing[:, :1], new], 1) for new in (new_m, new_x, new_y))
        total = torch.logaddexp(total, torch.logsumexp(new_m, 1))
    return total


def wavefront_gradient(similarity):
    leaf = similarity.detach().requires_grad_()
    return torch.autograd.grad(wavefront(leaf).sum(), leaf)


def scan_functions():
    """Score, and score with gradient, as SMURF computes them: a scan of anti-diagonals in JAX."""
    import jax
    from jax import numpy as jnp

    gap_open, gap_extend = OPTIONS["gap_open"], OPTIONS["gap_extend"]

    def one(similarity):
        rows, columns = similarity.shape
        steps = rows + columns - 1
        place = jnp.arange(rows)[None, :]
        column = jnp.arange(steps)[:, None] - place
        inside = (column >= 0) & (column < columns)
        skewed = jnp.where(inside, similarity[place, jnp.clip(column, 0, columns - 1)], -1e30)
        nothing = jnp.full((rows + 1,), -1e30)

        def step(carry, cells):
            m, x, y, before = carry
            new_m = cells + jnp.logaddexp(0.0, before[:-1])
            new_x = jnp.logaddexp(m[1:] - gap_open, x[1:] - gap_extend)
            new_y = jnp.logaddexp(jnp.logaddexp(m[:-1], x[:-1]) - gap_open, y[:-1] - gap_extend)
            new = tuple(jnp.concatenate([nothing[:1], v]) for v in (new_m, new_x, new_y))
            after = jnp.logaddexp(jnp.logaddexp(m, x), y)
            return (*new, after), jax.scipy.special.logsumexp(new_m)

        _, ends = jax.lax.scan(step, (nothing,) * 4, skewed)
        return jax.scipy.special.logsumexp(ends)

    score = jax.jit(jax.vmap(one))
    graded = jax.jit(jax.grad(lambda s: jax.vmap(one)(s).sum()))
    return jax, score, graded


def jax_milliseconds(shape, graded):
    """Median time of the scan, waiting for each answer."""
    jax, score, gradient_of = scan_functions()
    similarity = jax.random.normal(jax.random.PRNGKey(0), shape)
    call = gradient_of if graded else score
    call(similarity).block_until_ready()
    found = []
    started = time.perf_counter()
    while len(found) < 3 or (time.perf_counter() - started < 1.0 and len(found) < 30):
        begin = time.perf_counter()
        call(similarity).block_until_ready()
        found.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(found)


def warping_gradient(similarity):
    """Our soft-DTW of what stands for costs, and its gradient."""
    leaf = similarity.detach().requires_grad_()
    return torch.autograd.grad(fastsw.soft_dtw(leaf, temperature=1.0).sum(), leaf)


def pysdtw_gradient(similarity):
    """The same by pysdtw, as the field uses soft-DTW on a GPU: Numba, one block a pair."""
    from pysdtw.sdtw_cuda import SoftDTWcuda

    leaf = similarity.detach().requires_grad_()
    lengths = torch.tensor([similarity.shape[1:]] * len(similarity), device="cuda")
    return torch.autograd.grad(SoftDTWcuda.apply(leaf, lengths, 1.0, 0.0).sum(), leaf)


def ctc_gradient(similarity):
    """Torch's CTC of as many frames and letters, a yardstick: another recurrence, as well tuned."""
    pairs, frames, letters = similarity.shape
    leaf = torch.nn.functional.pad(similarity, (1, 0)).transpose(0, 1).detach().requires_grad_()
    targets = torch.arange(1, letters + 1, device="cuda").expand(pairs, letters)
    sizes = (torch.full((pairs,), size, device="cuda") for size in (frames, letters))
    loss = torch.nn.functional.ctc_loss(leaf, targets, *sizes, reduction="sum", zero_infinity=True)
    return torch.autograd.grad(loss, leaf)


def tried(measure, *arguments):
    """The measurement, or why there is none."""
    try:
        return measure(*arguments)
    except Exception as error:  # a peer that fails is a finding, and the others go on
        torch.cuda.empty_cache()
        return f"{NOT_MEASURED}: {type(error).__name__}: {str(error)[:120]}"


def cells_of(shape):
    """Cells of a batch."""
    return shape[0] * shape[1] * shape[2]


def own_figures(shape, bandwidth):
    """Our times, speeds and shares of the floor."""
    row = {}
    for name, function in (("forward", forward), ("gradient", gradient)):
        row[f"{name}_ms"] = tried(lambda f=function: milliseconds(rotated(f, shape)))
        if isinstance(row[f"{name}_ms"], float):
            row[f"{name}_gcells"] = cells_of(shape) / row[f"{name}_ms"] / 1e6
        if cells_of(shape) <= GRAPH_CELLS:
            row[f"{name}_graph_ms"] = tried(graph_milliseconds, function, shape)
    if "gradient_gcells" in row and bandwidth:
        for name, size in FLOOR.items():
            row[f"share of floor, {name}"] = row["gradient_gcells"] * 1e9 * size / bandwidth
    torch.cuda.empty_cache()
    return row


def peer_figures(shape, own_ms):
    """The peers' times, and how many times longer the best of them takes."""
    cells = cells_of(shape)
    row = {
        "jax_scan_gradient_ms": tried(jax_milliseconds, shape, True)
        if cells <= PEER_CELLS
        else f"{NOT_MEASURED}: more than {PEER_CELLS} cells",
        "torch_wavefront_gradient_ms": tried(
            lambda: milliseconds(rotated(wavefront_gradient, shape), budget=0.5, least=2)
        )
        if cells <= 2**25
        else f"{NOT_MEASURED}: more than {2**25} cells",
    }
    peers = [ms for ms in row.values() if isinstance(ms, float)]
    for name, function in (
        ("soft_dtw_ms", warping_gradient),
        ("pysdtw_ms", pysdtw_gradient),
        ("torch_ctc_ms", ctc_gradient),
    ):
        row[name] = (
            tried(lambda f=function: milliseconds(rotated(f, shape), budget=0.3, least=2))
            if cells <= WARPING_CELLS
            else f"{NOT_MEASURED}: more than {WARPING_CELLS} cells"
        )
    if peers and isinstance(own_ms, float):
        row["times the best peer"] = min(peers) / own_ms
    torch.cuda.empty_cache()
    return row


def eager_microseconds():
    """Host and device time of an eager forward and backward at (2, 64, 64), through torch."""
    leaf = torch.randn((2, 64, 64), device="cuda", requires_grad=True)

    def call():
        fastsw.score(leaf, **OPTIONS).sum().backward()
        leaf.grad = None

    for _ in range(20):
        call()
    torch.cuda.synchronize()
    found = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(100):
            call()
        torch.cuda.synchronize()
        found.append(1e4 * (time.perf_counter() - started))
    return statistics.median(found)


def training_step():
    """Milliseconds of the parts of a training step of lac, 8 pairs of views of 64 frames."""
    from lac.encoder import Encoder
    from lac.losses import LacLoss

    frames, batch, size = 64, 8, 64
    encoder, loss = Encoder().cuda(), LacLoss().cuda()
    content = torch.rand(2 * batch, frames, 3, size, size, device="cuda")
    times = torch.arange(float(frames), device="cuda").expand(2 * batch, frames)
    mask = torch.ones(2 * batch, frames, dtype=torch.bool, device="cuda")
    views = (batch, 2)

    def encoded():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            found = encoder(content, times, mask)
        return found.float().unflatten(0, views)

    def encode():
        encoded().square().sum().backward()

    embeddings = encoded().detach().requires_grad_()

    def align():
        loss(embeddings, times.unflatten(0, views), mask.unflatten(0, views))["loss"].backward()

    return {
        "encoder_ms": milliseconds(encode),
        "loss_ms": milliseconds(align),
        "decode_ms": tried(decode_milliseconds, 2 * batch, frames, size),
        "what": f"{batch} pairs of views, {frames} frames of {size}x{size}; decoding on one core",
    }


def decode_milliseconds(clips, frames, size):
    """Time to decode the clips of one step on one core, without a cache."""
    import tempfile

    import numpy as np

    from lac.data import read_video, write_video

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        drawn = np.random.default_rng(0).integers(0, 255, (frames, 3, size, size), dtype=np.uint8)
        write_video(path, drawn, fps=25)
        started = time.perf_counter()
        for _ in range(clips):
            read_video(path, size=size)
        return 1e3 * (time.perf_counter() - started)


def exercise():
    """Small calls of every kernel, for compute-sanitizer."""
    for dtype in (torch.float32, torch.float64):
        similarity = torch.randn((3, 70, 45), device="cuda", dtype=dtype)
        lengths = torch.tensor([[70, 45], [5, 33], [0, 3]], device="cuda")
        for mode in ("local", "global", "fitting"):
            for gap_open in (1.0, (torch.ones(3, 45).cuda(), torch.ones(3, 70).cuda())):
                for temperature in (0.0, 1e-7, 1.0):  # 1e-7: both attempts of single precision
                    fastsw.value_and_grad(
                        similarity,
                        gap_open=gap_open,
                        gap_extend=0.5,
                        temperature=temperature,
                        mode=mode,
                        lengths=lengths,
                    )
        leaf = similarity.clone().requires_grad_()
        fastsw.posterior(leaf, gap_open=1.0, gap_extend=0.5).square().sum().backward()
        fastsw.soft_dtw(leaf, temperature=0.5).sum().backward()
    torch.cuda.synchronize()
    print("every kernel ran")


def shown(value):
    """A figure or a reason, for the table."""
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def markdown(report):
    """The report as a table."""
    names = list(dict.fromkeys(name for row in report["rows"] for name in row))
    lines = [
        f"# CUDA backend on {report['device']}",
        "",
        f"{report['date']}, commit {report['commit']}, `{report['command']}`; "
        f"{report['versions']}.",
        f"Copy bandwidth {shown(report['copy_bandwidth_gb'])} GB/s (bytes read and written). "
        f"float32, {OPTIONS}. Tests: {report['tests']}.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
        *("| " + " | ".join(shown(row.get(n)) for n in names) + " |" for row in report["rows"]),
        "",
        f"Eager forward and backward at (2, 64, 64): {shown(report['eager_us'])} microseconds.",
        "",
        f"Training step of lac: {report['training_step']}.",
    ]
    return "\n".join(lines) + "\n"


def run(*command):
    """Output of a command, or nothing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def main():
    """Measure, print the table, and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--tests", type=Path, help="log of the test run of the same code")
    parser.add_argument("--commit", help="of this code, where no repository was carried along")
    parser.add_argument("--seconds", type=float, default=120, help="begin nothing after so many")
    parser.add_argument("--sanitize", action="store_true", help="run each kernel once, and leave")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit(f"no CUDA device: the GPU figures are {NOT_MEASURED}")
    if arguments.sanitize:
        exercise()
        return
    report = measured(arguments)
    print(markdown(report))
    failed = failures(report)
    sys.exit("\n".join(["these failed:", *failed]) if failed else 0)


def measured(arguments):
    """All figures, written after each of them, as far as the time goes."""
    arguments.folder.mkdir(parents=True, exist_ok=True)
    tests = arguments.tests.read_text().strip().splitlines() if arguments.tests else []
    report = {
        "device": torch.cuda.get_device_name(),
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": arguments.commit or run("git", "describe", "--always", "--dirty"),
        "command": " ".join(sys.argv),
        "versions": f"torch {torch.__version__}, Python {platform.python_version()}",
        "tests": tests[-1] if tests else NOT_MEASURED,
        "copy_bandwidth_gb": NOT_MEASURED,
        "rows": [{"shape": "x".join(map(str, shape))} for shape in SHAPES],
        "eager_us": NOT_MEASURED,
        "training_step": NOT_MEASURED,
    }
    deadline = time.perf_counter() + arguments.seconds

    def keep(place, name, measure):
        """Measure one thing, or the figures of a row, unless time is up."""
        late = time.perf_counter() > deadline
        found = f"{NOT_MEASURED}: no time left" if late else tried(measure)
        rows = name in (OURS, PEERS) and isinstance(found, dict)
        place.update(found if rows else {name: found})
        write(report, arguments.folder)

    keep(report, "copy_bandwidth_gb", lambda: copy_bandwidth() / 1e9)
    known = report["copy_bandwidth_gb"]
    bandwidth = known * 1e9 if isinstance(known, float) else None
    keep(report, "eager_us", eager_microseconds)
    for shape, row in zip(SHAPES, report["rows"], strict=True):
        keep(row, OURS, lambda shape=shape: own_figures(shape, bandwidth))
    keep(report, "training_step", training_step)
    for shape, row in zip(SHAPES, report["rows"], strict=True):
        own_ms = row.get("gradient_ms")
        keep(row, PEERS, lambda shape=shape, own_ms=own_ms: peer_figures(shape, own_ms))
    return report


def write(report, folder):
    """Write the report, as far as it goes."""
    (folder / "gpu.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "gpu.md").write_text(markdown(report))


def failures(report):
    """Our own figures that are missing; those of peers and of lac may be."""
    own = {name: report[name] for name in ("copy_bandwidth_gb", "eager_us")}
    for row in report["rows"]:
        for name in (OURS, "forward_ms", "forward_graph_ms", "gradient_ms", "gradient_graph_ms"):
            own[f"{row['shape']} {name}"] = row.get(name)
    return [f"{name}: {found}" for name, found in own.items() if NOT_MEASURED in str(found)]


if __name__ == "__main__":
    main()
