"""Sources through the command line: features train without a backbone, bad files are listed."""

import json

import numpy as np
import pytest
import torch

from lac.cli import evaluate, train
from lac.data import write_video

pytestmark = pytest.mark.slow  # they train

TINY = [
    *("--data.batch_size=2", "--data.frames=12", "--trainer.max_epochs=1"),
    *("--model.encoder.width=16", "--model.encoder.dimension=8", "--model.encoder.layers=1"),
]


def movement(length, seed):
    """Frames of a bright square that crosses a dark picture of noise."""
    frames = np.random.default_rng(seed).integers(0, 60, (length, 3, 32, 32), np.uint8)
    for t in range(length):
        left = 24 * t // length
        frames[t, :, 12:20, left : left + 8] = 250
    return frames


def test_features_train_from_the_temporal_transformer_on(tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / "data" / "features").mkdir(parents=True)
    labels = {"phase_names": ["x", "y"], "split": {"train": [], "val": []}, "clips": {}}
    for number in range(6):
        length = int(rng.integers(16, 24))
        phase = (np.arange(length) > length // 2).astype(int)
        scale = [1e4, 1e-3, 1.0]  # units of their own
        features = (phase[:, None] + 0.1 * rng.normal(size=(length, 3))) * scale
        np.save(tmp_path / "data" / "features" / f"s{number}.npy", features)
        labels["split"]["train" if number < 4 else "val"].append(f"s{number}")
        labels["clips"][f"s{number}"] = {"phase": phase.tolist()}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(labels))
    run = tmp_path / "run"
    given = ["--config", "features", "--data.root", str(tmp_path / "data"), "--run", str(run)]
    train.main([*given, *TINY])
    assert "raw features" in capsys.readouterr().out
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["baselines"]["raw"] == "features as they are given"
    assert metrics["metrics"]["raw features"]["phase_accuracy@1"] > 0.9
    drawn = {p.name for p in (run / "figures").iterdir()}
    assert drawn == {"similarity.png", "posterior.png", "embedding.png"}  # no videos
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert state["encoder.head.1.weight"].shape == (16, 3)
    evaluate.main([str(run), "--split", "train"])  # the width is in the run's configuration
    assert "train clips" in capsys.readouterr().out


def test_backbone_and_source_must_fit_each_other(tmp_path):
    for options in (
        ["--data.source=features", f"--data.root={tmp_path}"],
        ["--model.encoder.backbone=none"],
    ):
        with pytest.raises(SystemExit, match=r"`model.encoder.backbone` must be 'none'"):
            train.main(["--run", str(tmp_path / "run"), *options])


def test_skipped_files_are_in_the_summary_and_refused_without_being_asked(tmp_path, capsys):
    (tmp_path / "data" / "clips").mkdir(parents=True)
    for number in range(5):
        write_video(tmp_path / "data" / "clips" / f"{number}.mp4", movement(16, number))
    (tmp_path / "data" / "clips" / "bad.mp4").write_bytes(b"no video")
    run = tmp_path / "run"
    given = [
        *("--data.source=folder", "--data.root", str(tmp_path / "data"), "--run", str(run)),
        *(*TINY, "--data.image_size=32", "--data.cache", str(tmp_path / "cache")),
    ]
    with pytest.raises(SystemExit, match=r"bad\.mp4: not a video but text"):
        train.main(given)
    assert not run.exists()
    train.main([*given, "--data.on_error=skip"])
    output = "".join(capsys.readouterr().out.split())
    assert "Leavingout" in output and "Leftout" in output and "bad.mp4:notavideo" in output
    (left_out,) = json.loads((run / "metrics.json").read_text())["left_out"]
    assert left_out.endswith("bad.mp4")
