"""Own videos: settings follow from what is seen, and a run ends with a verdict in words."""

import json

import av
import numpy as np
import pytest

from lac._hints import call
from lac.cli import train
from lac.cli._own_videos import command, next_command, prepare
from lac.data import read_folder, write_video
from lac.data.sizing import Survey, size, survey
from lac.data.video.header import Header, read_header
from lac.evaluation._verdict import judge
from lac.evaluation.metrics import crop_order
from tests.support.layouts import features_folder, noise


def seen(count, frames=75, rate=25.0):
    """Return a survey of clips of one length to train on."""
    return Survey((Header(frames, frames / rate, 640, 480),) * count)


def test_few_clips_are_visited_more_often():
    for count in (1, 5, 16, 60, 500):
        sizing = size(seen(count))
        assert sizing.steps(count) >= 1000
        assert sizing.max_epochs * sizing.pairs_per_clip >= 40
    assert size(seen(60)).pairs_per_clip < size(seen(5)).pairs_per_clip
    assert size(seen(2000)).steps(2000) == 40 * 2000 // 8  # each clip is visited 40 times


def test_long_clips_and_fast_cameras_are_thinned_out():
    assert size(seen(20)).every == 1
    assert size(seen(20, frames=240, rate=120)).every == 4
    long = size(seen(20, frames=9000, rate=30))
    assert 9000 / 256 <= long.every <= 9000 / 256 + 1
    mixed = Survey(seen(9).train + seen(1, frames=100_000).train)
    assert size(mixed).every == 1  # one long clip among short ones does not count


def test_views_are_no_longer_than_the_clips():
    assert size(seen(20)).frames == 64
    assert size(seen(20, frames=30)).frames == 32
    assert size(seen(20, frames=3)).frames == 8


def test_many_frames_are_seen_in_fewer_looks():
    copies = [size(seen(count)).feature_copies for count in (20, 100, 1000)]
    assert copies[0] == 4 and copies[2] == 1 and copies == sorted(copies, reverse=True)


def test_headers_tell_length_rate_and_size_of_any_container(tmp_path):
    for suffix in ("mp4", "mkv", "mov", "avi"):
        write_video(tmp_path / f"{suffix}.{suffix}", noise(30, side=32), fps=10)
        header = read_header(tmp_path / f"{suffix}.{suffix}")
        assert abs(header.frames - 30) <= 1 and round(header.rate) == 10
        assert (header.width, header.height) == (32, 32)


def test_a_count_of_frames_that_cannot_be_is_not_believed(tmp_path):
    path = tmp_path / "a.dv"  # DV counts something else
    with av.open(path, "w") as container:
        stream = container.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame(720, 576, "yuv420p")))
        container.mux(stream.encode())
    assert read_header(path).frames == 10


def test_files_that_do_not_open_are_known_before_training(tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    with pytest.raises(ValueError, match=r"got none that opens: .*bad\.mp4"):
        survey(read_folder(tmp_path))
    write_video(tmp_path / "a.mp4", noise(5))
    found = survey(read_folder(tmp_path))
    assert len(found.train) == 1 and list(found.unreadable) == [str(tmp_path / "bad.mp4")]


@pytest.fixture
def videos(tmp_path):
    """Twelve clips, some in folders, and what else lies about."""
    root = tmp_path / "my videos"
    rng = np.random.default_rng(0)
    for number in range(12):
        frames = np.full((14, 3, 32, 32), 40, np.uint8)
        top, start = rng.integers(0, 20), rng.integers(0, 6)
        for t in range(14):
            frames[t, :, top : top + 10, start + t : start + t + 8] = 220
        parent = root if number < 8 else root / "more"
        parent.mkdir(parents=True, exist_ok=True)
        write_video(parent / f"{number}.{('mp4', 'mkv')[number % 2]}", frames)
    (root / "bad.mp4").write_bytes(b"no video")
    (root / "notes.txt").write_text("nothing")
    return root


def test_a_folder_stands_for_the_preset_and_sizes(videos):
    words, own = prepare(["--trainer.accelerator", "cpu", str(videos), "--data.frames=12"])
    assert own is not None and own.name == "my videos"
    assert words[words.index("--config") + 1] == "own" and f"--data.root={videos}" in words
    assert [word for word in words if word.startswith("--data.frames")] == ["--data.frames=12"]
    assert "as given: --data.frames" in list(own.describe())[1]
    assert f"--data.pairs_per_clip={own.sizing.pairs_per_clip}" in words
    assert words[-3:] == ["--trainer.accelerator", "cpu", "--data.frames=12"]
    same, _ = prepare(["--config", "own", "--data.root", str(videos)])
    assert set(own.sizing.arguments()) <= set(same)


def test_a_run_goes_on_with_its_settings_when_clips_are_added(videos, tmp_path):
    words = [str(videos), f"--run={tmp_path / 'run'}"]
    assert prepare(words)[1] is not None
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").touch()
    assert prepare(words) == (["--data.source=folder", f"--data.root={videos}", words[1]], None)


def test_another_configuration_file_goes_before_what_is_sized(videos, tmp_path):
    (tmp_path / "mine.yaml").write_text("data:\n  frames: 20\n")
    words, _ = prepare([str(videos), "--config", str(tmp_path / "mine.yaml")])
    assert not any(word.startswith("--data.frames") for word in words)


def test_other_layouts_stand_for_their_presets(tmp_path):
    root = features_folder(tmp_path / "data", {"a": np.zeros((4, 2))})
    words, own = prepare([str(root)])
    assert own is None
    assert words == ["--config", "features", "--data.source=features", f"--data.root={root}"]
    assert command(root, "features") == f"{call('lac.train')} {root}"


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["missing"], FileNotFoundError, "must be a folder, got .*missing, where nothing is"),
        (["a.txt"], FileNotFoundError, "a file: give the folder it is in"),
        (["empty"], ValueError, "must hold videos, or a data set .* -m lac.data check"),
        (["empty", "missing"], ValueError, "must be one folder, got"),
    ],
)
def test_what_is_no_folder_of_videos_is_refused(tmp_path, words, error, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").touch()
    with pytest.raises(error, match=message):
        prepare([str(tmp_path / word) for word in words])


def test_the_name_of_a_preset_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="did you mean --config grid"):
        prepare(["grid"])


def test_options_and_their_values_are_no_folders():
    words = ["--run", "runs/a", "--patience", "3", "-c", "rendered", "--help"]
    assert prepare(words) == (words, None)


GOOD = {"learned": [0.8, 0.9, 0.85, 0.8], "raw": [0.3, 0.4, 0.2, 0.3], "time only": [0.6] * 4}


def test_a_clear_win_is_said_with_its_size_and_confidence():
    verdict = judge(GOOD, split="val")
    assert verdict.level == "better"
    answer, measured, sure, few = verdict.sentences()
    assert answer == "Verdict: the embedding is better than a clock and than raw features."
    assert "learned 0.84, time only 0.60, raw 0.30" in measured
    assert "0.24 ahead of time only (0.16 to 0.31)" in sure and "4 clips" in sure
    assert "4 held-out clips are few" in few


def test_a_clear_loss_is_said_and_the_frozen_encoder_recommended():
    values = {
        "learned": [-0.1, 0.0, -0.05, 0.02, 0.0, 0.1],
        "raw": [0.0] * 6,
        "time only": [0.9, 0.8, 0.85, 0.9, 0.8, 0.9],
    }
    verdict = judge(values, split="val")
    answer, _, sure, meaning = verdict.sentences()
    assert verdict.level == "worse"
    assert answer == "Verdict: the embedding is worse than a clock; do not use it."
    assert "behind time only" in sure and "no alignment between them means anything" in meaning


def test_what_is_not_clear_is_not_decided():
    values = {"learned": [0.9, 0.4], "raw": [0.5, 0.5], "time only": [0.2, 0.3]}
    verdict = judge(values, split="val")
    assert verdict.level == "undecided"
    assert "not shown to be better than a clock and raw features" in verdict.sentences()[0]


def test_clips_that_were_trained_on_prove_nothing():
    verdict = judge(GOOD, split="train")
    assert verdict.level == "undecided"
    assert verdict.sentences()[0].endswith(
        "on clips that were trained on, the embedding proves nothing."
    )
    assert "measured on what was trained on" in verdict.sentences()[-1]


def test_labels_decide_where_there_are_any():
    verdict = judge(GOOD, split="val", phases={k: [1 - v for v in x] for k, x in GOOD.items()})
    assert (verdict.level, verdict.measure) == ("worse", "phase")
    assert "labelled alike" in verdict.sentences()[1]


def test_the_next_command_takes_real_files_and_the_better_encoder(tmp_path):
    files, run = [tmp_path / "a b.mp4", tmp_path / "c.mkv"], tmp_path / "run"

    def judged(level, low, split="val"):
        differences = {"time only": [0, -1, 1], "raw": [low, low, 1]}
        return {"level": level, "split": split, "differences": differences}

    assert next_command(run, files, judged("undecided", 0.1)) == (
        f"{call('lac.align')} {run} '{tmp_path}/a b.mp4' {tmp_path}/c.mkv --plot align.png"
    )
    on_train = judged("undecided", 0.1, "train")  # flatters
    for verdict in (judged("worse", 0.1), judged("undecided", -0.1), on_train):
        assert f"{call('lac.align')} lite0 " in str(next_command(run, files, verdict))
    assert next_command(run, files, None) is None
    assert next_command(run, [tmp_path / "a.npy"] * 2, judged("better", 0.1)) is None


def test_a_clock_is_not_in_order_across_crops():
    rng = np.random.default_rng(0)
    true, clock = [], []
    for _ in range(4):
        a, b = (np.arange(start, start + 50) for start in rng.integers(0, 50, 2))
        true.append((a, a + 7))
        clock.append((a, b))
    assert crop_order(true) == 1
    assert crop_order(clock) < 0.95
    assert crop_order([(a, np.zeros(50)) for a, _ in true]) == 0


@pytest.mark.slow
def test_a_folder_of_videos_is_trained_on_and_judged(videos, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ["--model.encoder.backbone=small", "--data.image_size=32", "--model.encoder.layers=1"]
    tiny += ["--trainer.max_epochs=1", "--figures_every=0", f"--data.cache={tmp_path}/cache"]
    train.main([str(videos), *tiny])
    output = capsys.readouterr().out
    for part in (
        "my videos: 12 clips, 0.6 to 0.6 s long, 25 frames a second, 32 x 32 pixels",
        "Only 10 clips to train on",
        "About ",
        "bad.mp4",
        "Verdict: ",
        f"Next: {call('lac.align')} ",
    ):
        assert part in output, part
    metrics = json.loads((tmp_path / "runs" / "my videos-1" / "metrics.json").read_text())
    assert metrics["verdict"]["clips"] == 2 and metrics["split"] == "val"
    assert list(metrics["left_out"]) == [str(videos / "bad.mp4")]
    train.main([str(videos), *tiny, "--run", "runs/my videos-1"])
    assert "is finished" in capsys.readouterr().out
