"""Runs of lac.train in processes of their own, on tiny clips."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import torch

TINY = [
    "--model.loss=lac",  # which has parameters of its own, and is a mean over clips
    "--data.rendered.train=5",
    "--data.rendered.val=2",
    "--data.rendered.size=32",
    "--data.image_size=32",
    "--data.frames=12",
    "--data.batch_size=2",
    "--model.encoder.width=16",
    "--model.encoder.spatial=4",
    "--model.encoder.dimension=8",
    "--model.encoder.layers=1",
    "--model.learning_rate=0.01",
]


def start(run, cache, *options):
    """Start a run in a process of its own."""
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "lac.train", "--run", str(run), f"--data.cache={cache}"),
            *(*TINY, "--trainer.max_epochs=6", *options),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    """Wait for a run and return what it printed."""
    output, _ = process.communicate(timeout=150)
    assert process.returncode == 0, output
    return output


def load(run):
    return torch.load(Path(run) / "checkpoints" / "last.ckpt", weights_only=True)


def logged(run, name):
    """What a run logged under a name, in order."""
    with (run / "csv" / "metrics.csv").open(newline="") as stream:
        return [float(row[name]) for row in csv.DictReader(stream) if row.get(name)]
