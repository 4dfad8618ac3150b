"""A trained run in use: loaded without its clips, it embeds files and says what matches what."""

import csv

import numpy as np
import pytest
import torch
import yaml

import fastsw
import lac
from lac._matching import match
from lac._module import EmbeddingModule
from lac.cli import align, embed, train
from lac.data import ClipDataModule, Rendered, read_video, resize, write_video
from lac.evaluation._crops import Crop
from lac.evaluation._representations import content
from lac.evaluation._representations import embed as embed_crop

pytestmark = pytest.mark.slow  # they train

TINY = [
    *("--data.batch_size=4", "--data.frames=12", "--trainer.max_epochs=1"),
    *("--model.encoder.width=16", "--model.encoder.dimension=8", "--model.encoder.layers=1"),
]
DRAWN = Rendered(train=4, val=2, size=32)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on clips drawn in its cache."""
    path = tmp_path_factory.mktemp("use")
    drawn = [f"--data.rendered.{name}={getattr(DRAWN, name)}" for name in ("train", "val", "size")]
    given = ["--run", str(path / "run"), "--data.cache", str(path / "cache")]
    longer = ["--trainer.max_epochs=4", "--data.pairs_per_clip=15", "--model.learning_rate=0.01"]
    train.main([*given, *TINY, *drawn, *longer, "--data.image_size=32"])
    return path / "run"


@pytest.fixture(scope="module")
def feature_run(tmp_path_factory):
    """A run on features of width 3."""
    path = tmp_path_factory.mktemp("features")
    (path / "data" / "features").mkdir(parents=True)
    for number in range(4):
        x = np.random.default_rng(number).normal(size=(20, 3))
        np.save(path / "data" / "features" / f"{number}.npy", x)
    where = ["--data.root", str(path / "data"), "--run", str(path / "run")]
    train.main(["--config", "features", *where, *TINY])
    return path / "run"


def open_clips(run):
    data = ClipDataModule(rendered=DRAWN, image_size=32, cache=run.parent / "cache")
    data.setup()
    return data


def test_a_loaded_run_embeds_as_evaluation_does(run):
    data = open_clips(run)
    clip = data.collection.clips[0]
    embedder = lac.load(run)
    frames = data.load(clip)
    found = embedder(frames)
    whole = Crop(clip, 0, len(frames), len(frames), first=True)
    np.testing.assert_array_equal(found, embed_crop(embedder.encoder, content(data, whole)))
    assert found.shape == (len(frames), 8) and found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(frames)))
    assert torch.equal(found, embedder(torch.from_numpy(frames)))
    assert lac.load(run, checkpoint="best")(frames).shape == found.shape
    assert not any(parameter.requires_grad for parameter in embedder.parameters())


def test_frames_of_any_size_are_brought_to_that_of_training(run):
    embedder = lac.load(run)
    coarse = np.random.default_rng(0).integers(0, 256, (6, 3, 6, 12), np.uint8)
    frames = coarse.repeat(8, 2).repeat(8, 3)  # (6, 3, 48, 96)
    small = resize(frames, size=32)
    assert small.shape == (6, 3, 32, 32) and resize(small, size=32) is small
    centre = resize(np.ascontiguousarray(frames[..., 24:72]), size=32)
    assert np.abs(small.astype(int) - centre).mean() < 4
    assert torch.equal(embedder(frames), embedder(small))


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        (np.zeros((4, 3, 32, 32)), TypeError, "`frames` must be uint8, got float64"),
        (np.zeros((4, 32, 32, 3), np.uint8), ValueError, r"`frames` must be \(T, 3, H, W\)"),
        (np.zeros((0, 3, 32, 32), np.uint8), ValueError, r"`frames` must be \(T, 3, H, W\)"),
    ],
)
def test_frames_of_another_form_are_refused(run, frames, error, message):
    with pytest.raises(error, match=message):
        lac.load(run)(frames)


def test_times_must_increase(run):
    frames = np.zeros((3, 3, 32, 32), np.uint8)
    with pytest.raises(ValueError, match="`times` must increase, one a frame"):
        lac.load(run)(frames, np.array([0, 2, 2]))


def test_what_is_no_run_and_unsafe_checkpoints_are_refused(run, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`run` must be a run directory of lac.train"):
        lac.load(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_bytes((run / "config.yaml").read_bytes())
    with pytest.raises(FileNotFoundError, match=r"`checkpoint` must be one that .* got 'last'"):
        lac.load(tmp_path)
    torch.save({"state_dict": EmbeddingModule}, tmp_path / "checkpoints" / "last.ckpt")
    with pytest.raises(Exception, match=r"lac\._module\.EmbeddingModule"):
        lac.load(tmp_path)


def test_videos_are_embedded_into_a_file_each(run, tmp_path, capsys):
    clips = open_clips(run).collection.clips[:2]
    embed.main([str(run), *(str(clip.path) for clip in clips), "-o", str(tmp_path / "out")])
    embedder = lac.load(run)
    for clip in clips:
        video = read_video(clip.path, size=32)
        with np.load(tmp_path / "out" / f"{clip.name}.npz") as stored:
            np.testing.assert_array_equal(stored["embeddings"], embedder(video.frames))
            np.testing.assert_array_equal(stored["times"], video.times)
    assert f"{len(video.frames)} frames, 8 features" in capsys.readouterr().out
    embed.main([str(run), str(clips[0].path), "-o", str(tmp_path / "third"), "--every", "3"])
    with np.load(tmp_path / "third" / f"{clips[0].name}.npz") as stored:
        video = read_video(clips[0].path, size=32)
        np.testing.assert_array_equal(stored["times"], video.times[::3])
        numbers = np.arange(0, len(video.frames), 3)
        np.testing.assert_array_equal(stored["embeddings"], embedder(video.frames[::3], numbers))


def test_videos_are_thinned_as_in_training(run, tmp_path):
    path = open_clips(run).collection.clips[0].path
    settings = yaml.safe_load((run / "config.yaml").read_text())
    settings["data"]["every"] = 3
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    (tmp_path / "checkpoints").symlink_to(run / "checkpoints")
    every, third = lac.load(run), lac.load(tmp_path)
    assert (every.every, third.every) == (1, 3)
    expected = embed.embed_file(every, path).times[::3]
    thinned = embed.embed_file(third, path)
    np.testing.assert_array_equal(thinned.times, expected)
    frames = read_video(path, size=32).frames
    np.testing.assert_array_equal(thinned.embeddings, third(frames[::3]))


def test_a_bad_video_stops_embedding_or_is_left_out(run, tmp_path, capsys):
    good = open_clips(run).collection.clips[0].path
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    given = [str(run), str(tmp_path / "bad.mp4"), str(good), "-o", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match=r"bad\.mp4: not a video but text"):
        embed.main(given)
    embed.main([*given, "--on_error", "skip"])
    assert "Left out" in capsys.readouterr().out
    assert [file.stem for file in (tmp_path / "out").iterdir()] == [good.stem]
    with pytest.raises(SystemExit, match="`videos` must differ in name"):
        embed.main([str(run), str(good), str(good), "-o", str(tmp_path / "out")])


def test_the_part_that_both_show_is_found():
    frames = np.eye(80, dtype=np.float32)
    frames[:15] += frames[79]  # what only the first shows differs most from
    frames[30:40] += frames[79]
    frames[60:78] -= frames[79]  # what only the second shows
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    x, other = frames[:55], frames[60:78]
    y = np.concatenate([other[:12], x[15:30], x[40:55], other[12:]])
    found = match(x, y)
    first, second = found.parts
    np.testing.assert_array_equal(first, np.stack([np.arange(15, 30), np.arange(12, 27)], 1))
    np.testing.assert_array_equal(second, np.stack([np.arange(40, 55), np.arange(27, 42)], 1))
    assert found.posterior[tuple(first.T)].min() > 0.9
    assert found.alignment.score == pytest.approx(30, abs=0.1)  # pairs expected to be right


def test_weak_similarities_are_matched_by_all_paths_not_by_the_best():
    """Noise makes a path beside the diagonal the best; most of the probability is on it."""
    rng = np.random.default_rng(0)
    frames = np.arange(60)
    turn = np.linspace(0, 2, 60)[:, None] * np.array([1.0, 1.7])
    signal = np.concatenate([np.full((60, 1), 12), np.sin(turn), np.cos(turn)], axis=1)
    errors = []
    for _ in range(5):
        x, y = (signal + 0.6 * rng.normal(size=(60, 5)) for _ in range(2))
        x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
        found = match(x.astype(np.float32), y.astype(np.float32))
        assert len(found.alignment) > 30
        best = fastsw.traceback(found.similarity, gap_open=1.0, gap_extend=0.1)
        errors.append(
            [np.nanmedian(abs(path.warp(frames) - frames)) for path in (found.alignment, best)]
        )
    matched, best_alone = np.mean(errors, axis=0)
    assert matched < 0.5 < 1 < best_alone


def test_two_cuts_of_one_clip_align_with_times_plot_and_video(run, tmp_path, capsys):
    frames = open_clips(run).load(open_clips(run).collection.clips[0])
    write_video(tmp_path / "a.mp4", frames[:30], fps=10)
    write_video(tmp_path / "b.mp4", frames[8:], fps=10)
    names = "both.mp4", "align.png", "pairs.csv", "both.html"
    both, plot, pairs, page = (tmp_path / "out" / name for name in names)
    given = ["-o", str(both), "--plot", str(plot), "--pairs", str(pairs), "--html", str(page)]
    align.main([str(run), str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4"), *given])
    output = capsys.readouterr().out
    rows = list(csv.DictReader(pairs.open()))
    embedder = lac.load(run)
    x, y = (embedder(read_video(tmp_path / name, size=32).frames) for name in ("a.mp4", "b.mp4"))
    expected = match(x.numpy(), y.numpy(), loss=embedder.loss)
    found = [(int(row["a_frame"]), int(row["b_frame"])) for row in rows]
    assert len(found) > 10 and found == [tuple(pair) for pair in expected.alignment.pairs.tolist()]
    assert all(float(row["a_time"]) == int(row["a_frame"]) / 10 for row in rows)
    begin, end = float(rows[0]["a_time"]), float(rows[-1]["a_time"])
    assert f"{begin:.2f} to" in output and f"{end:.2f} s" in output
    assert f"{rows[0]['a_frame']} frames before" in output
    video = read_video(both)
    np.testing.assert_allclose(video.times, np.arange(30) / 10, atol=1e-6)  # all of the first
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert page.read_text(encoding="utf-8").count('id="video-') == 2


def test_names_with_markup_are_shown_as_they_are(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    frames = open_clips(run).load(open_clips(run).collection.clips[0])
    files = [tmp_path / name for name in (r"[b]a$\no$.mp4", "c:dog:[0].mp4")]
    for file in files:
        write_video(file, frames, fps=10)
    align.main([str(run), *map(str, files), "--plot", str(tmp_path / "align.png")])
    heading, *lines = capsys.readouterr().out.strip().splitlines()
    assert [word for word in heading.split() if ".mp4" in word] == [file.name for file in files]
    assert [line.split(": ")[0] for line in lines[-3:-1]] == [file.name for file in files]
    embed.main([str(run), str(files[1]), "-o", str(tmp_path / "[out]")])
    assert "[out]/c:dog:[0].npz: " in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--output", "--pairs"])
def test_what_is_aligned_is_not_written_over(option, tmp_path):
    write_video(tmp_path / "a.mp4", np.zeros((2, 3, 32, 32), np.uint8))
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    before = (tmp_path / "a.mp4").read_bytes()
    given = ["pixels", str(tmp_path / "a.mp4"), str(tmp_path / "a.mp4")]
    with pytest.raises(SystemExit, match=f"`{option[2:]}` must be another file .*b.mp4"):
        align.main([*given, option, str(tmp_path / "b.mp4")])
    assert (tmp_path / "a.mp4").read_bytes() == before


def test_features_are_embedded_and_aligned_by_frame(feature_run, tmp_path, capsys):
    files = sorted((feature_run.parent / "data" / "features").iterdir())[:2]
    embed.main([str(feature_run), *map(str, files), "-o", str(tmp_path)])
    with np.load(tmp_path / "0.npz") as stored:
        found = lac.load(feature_run)(np.load(files[0]))
        np.testing.assert_array_equal(stored["embeddings"], found)
        assert stored["times"].tolist() == list(range(20))
    np.save(tmp_path / "wide.npy", np.zeros((9, 4)))
    with pytest.raises(SystemExit, match=r"wide\.npy: features must be of width 3"):
        embed.main([str(feature_run), str(tmp_path / "wide.npy"), "-o", str(tmp_path)])
    capsys.readouterr()
    drawn = ["--plot", str(tmp_path / "p.png"), "--html", str(tmp_path / "p.html")]
    align.main([str(feature_run), str(files[0]), str(files[0]), *drawn])
    assert (tmp_path / "p.png").exists() and (tmp_path / "p.html").exists()
    assert "0.00 to 19.00" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="`output` must be absent for a run on features"):
        align.main([str(feature_run), *map(str, files), "-o", str(tmp_path / "both.mp4")])
    with pytest.raises(TypeError, match="`frames` must be floats"):
        lac.load(feature_run)(np.zeros((4, 3), np.uint8))
