"""The command line: a run is complete, survives a kill, and refuses what it cannot do."""

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import lac.losses
from lac import evaluate, train
from lac._configuration import RunCLI
from lac.data import read_video

TINY = [
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


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all runs."""
    return tmp_path_factory.mktemp("cache")


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


@pytest.fixture(scope="module")
def finished(cache, tmp_path_factory):
    """A run without interruption."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, finish(start(run, cache))


def test_a_run_leaves_everything_behind(finished):
    run, output = finished
    assert "learned" in output
    assert "time only" in output
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"] == "val"
    assert {"learned", "time only"} <= metrics["metrics"].keys()
    assert {p.name for p in (run / "checkpoints").iterdir()} == {"last.ckpt", "best.ckpt"}
    assert (run / "csv" / "metrics.csv").exists()
    assert list((run / "tensorboard").glob("events*"))
    assert (run / "figures" / "posterior.png").exists()
    video = read_video(run / "figures" / "aligned.mp4")
    assert video.frames.shape[3] == 2 * video.frames.shape[2]


def test_training_lowers_the_loss_and_learns_the_penalties_without_decay(finished):
    run, _ = finished
    header, *rows = (run / "csv" / "metrics.csv").read_text().splitlines()
    column = header.split(",").index("train/loss")
    losses = [float(row.split(",")[column]) for row in rows if row.split(",")[column]]
    assert sum(losses[-3:]) < sum(losses[:3])
    state = load(run)
    penalties = state["state_dict"]["loss.raw_gap_open"], state["state_dict"]["loss.raw_gap_extend"]
    assert all(torch.isfinite(p) for p in penalties)
    groups = state["optimizer_states"][0]["param_groups"]
    assert [group["weight_decay"] > 0 for group in groups] == [True, False, False]
    assert len(groups[2]["params"]) == len(penalties)


def test_a_killed_run_goes_on_to_bit_identical_weights(finished, cache, tmp_path):
    whole = load(finished[0])
    run = tmp_path / "killed"
    process = start(run, cache)
    deadline = time.monotonic() + 120
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped_at = load(run)["epoch"]
    assert stopped_at < whole["epoch"], "the run was over before it could be killed"
    (run / "checkpoints" / "last.ckpt.part").write_bytes(b"half a checkpoint")

    assert "Resuming" in finish(start(run, cache))
    resumed = load(run)
    assert resumed["global_step"] == whole["global_step"]
    assert resumed["state_dict"].keys() == whole["state_dict"].keys()
    for name, weight in whole["state_dict"].items():
        assert torch.equal(resumed["state_dict"][name], weight), name
    metrics = [json.loads((r / "metrics.json").read_text())["metrics"] for r in (run, finished[0])]
    assert metrics[0] == metrics[1]


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    run, _ = finished
    before = {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}
    train.main(["--run", str(run)])
    output = capsys.readouterr().out
    assert "is finished" in output
    assert "learned" in output
    assert before == {p: p.stat().st_mtime_ns for p in run.rglob("*") if p.is_file()}


def test_a_run_is_evaluated_again_and_on_other_clips(finished, cache, capsys, tmp_path):
    run, _ = finished
    evaluate.main([str(run), "--split", "train", "--checkpoint", "best", "--protocol.crops", "1"])
    assert "train clips, 1 random crops" in capsys.readouterr().out
    recorded = json.loads((run / "evaluation.json").read_text())
    assert (recorded["split"], recorded["protocol"]["crops"]) == ("train", 1)
    (drawn,) = (cache / "rendered").iterdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / "clips").symlink_to(drawn / "clips")
    evaluate.main([str(run), "--data.root", str(other), "--split", "train"])
    assert "phase_accuracy skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--config", "nowhere.yaml"], "`config` must be a file or one of"),
        (["--data.source=folder", "--data.root=/nowhere"], "`root` must be a folder"),
        (["--model.learning_rate=-1"], "`learning_rate` must be > 0"),
        (["--model.encoder.width=10"], "`width` must be a multiple"),
        (["--data.frames=1"], "`frames` must be >= 2"),
    ],
)
def test_bad_input_is_one_error_before_training(options, message, tmp_path):
    with pytest.raises(SystemExit) as refusal:
        train.main(["--run", str(tmp_path / "run"), *options])
    assert message in str(refusal.value)
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_other_settings(finished):
    run, _ = finished
    with pytest.raises(SystemExit) as refusal:
        train.main(["--run", str(run), "--model.weight_decay", "0.5"])
    assert "`model.weight_decay` must be as the run" in str(refusal.value)


@pytest.mark.parametrize("preset", ["rendered", "lac/configs/grid.yaml"])
def test_presets_are_found_wherever_lac_is_installed(preset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        train.main(["--config", preset, "--data.root", str(tmp_path), "--print_config"])
    assert end.value.code == 0
    assert "image_size" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["SclLoss", "TccLoss", "TcnLoss", "LavLoss", "GtaLoss"])
def test_a_loss_chosen_by_name_has_its_own_defaults(name, tmp_path):
    """Settings of one class go over to another that has the same names: names must tell."""
    cli = RunCLI(["--config=rendered", f"--run={tmp_path}", f"--model.loss=lac.losses.{name}"])
    own = inspect.signature(getattr(lac.losses, name)).parameters
    assert cli.config.model.loss.init_args.as_dict() == {k: p.default for k, p in own.items()}


def test_evaluate_refuses_what_is_no_run(tmp_path):
    with pytest.raises(SystemExit) as refusal:
        evaluate.main([str(tmp_path)])
    assert "`run` must be a run directory" in str(refusal.value)
