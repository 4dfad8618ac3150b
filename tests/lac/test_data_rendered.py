"""The rendered source: real files, exact labels, the same from the same seed, never in the way."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from lac.data import Rendered, read_folder, read_video, render
from lac.data.synthetic._figure import FRAMES, PHASES, Body, draw_script, joints, move
from lac.data.synthetic.rendered import draw_clip

TINY = Rendered(train=2, val=1, size=32, seed=5)


def test_clips_are_files_with_a_label_per_frame(tmp_path):
    render(tmp_path / "clips of mine", TINY)
    collection = read_folder(tmp_path / "clips of mine")
    assert [clip.split for clip in collection.clips] == ["train", "train", "val"]
    assert collection.phase_names == PHASES
    for number, clip in enumerate(collection.clips):
        frames = read_video(clip.path).frames
        drawn, phase = draw_clip(TINY.seed, number, size=TINY.size)
        assert frames.shape == drawn.shape == (len(phase), 3, 32, 32)
        np.testing.assert_array_equal(clip.phase, phase)
        # The codec's error, grain included, in grey levels.
        assert np.abs(frames.astype(int) - drawn).mean() < 12


def test_a_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        render(tmp_path / name, Rendered(train=1, val=0, size=32, seed=seed))
    a, b, c = ((tmp_path / name / "clips" / "0000.mp4").read_bytes() for name in "abc")
    assert a == b != c


def test_clips_that_are_there_are_left_alone(tmp_path):
    root = tmp_path / "root"
    render(root, TINY)
    before = [path.stat().st_mtime_ns for path in sorted(root.rglob("*"))]
    render(root, TINY)
    assert [path.stat().st_mtime_ns for path in sorted(root.rglob("*"))] == before
    with pytest.raises(FileExistsError, match="`root` must be new, empty, or hold the clips of"):
        render(root, Rendered(train=1, val=0, size=32))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "film.mp4").touch()
    with pytest.raises(FileExistsError, match=r"got .*own with other content"):
        render(tmp_path / "own", TINY)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_interrupted_rendering_leaves_nothing(tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lac.data.synthetic.rendered.write_video", stop)
    with pytest.raises(KeyboardInterrupt):
        render(tmp_path / "root", TINY)
    assert list(tmp_path.iterdir()) == []


def test_every_clip_does_all_phases_in_order_at_its_own_pace():
    scripts = [draw_script(np.random.default_rng(seed)) for seed in range(100)]
    durations = np.array([np.bincount(script.phase, minlength=8) for script in scripts])
    for script in scripts:
        assert FRAMES[0] <= len(script.phase) <= FRAMES[1]
        assert np.unique(script.phase).tolist() == list(range(8))
        assert (np.diff(script.phase) >= 0).all()
    assert (durations >= 3).all()
    assert (durations.std(0) / durations.mean(0) > 0.4).all()
    assert any((np.diff(script.progress) == 0).sum() > 5 for script in scripts)  # a pause


def test_the_figure_stands_on_the_floor_and_keeps_its_proportions():
    rng = np.random.default_rng(0)
    script, body = draw_script(rng), Body.draw(rng)
    movement = move(script, rng)
    place = joints(body, movement.angles, movement.way)
    ankles = np.minimum(place["ankle"][:, 1], place["far_ankle"][:, 1])
    np.testing.assert_allclose(ankles, 0.03, atol=1e-9)
    for side in ("", "far_"):
        thigh = (place[side + "knee"] - place["pelvis"]) / (body.turn, 1)
        np.testing.assert_allclose(np.hypot(*thigh.T), body.leg)
    crouched = script.phase == PHASES.index("reach")
    standing = script.phase == PHASES.index("stand")
    assert place["head"][crouched, 1].max() < 0.8 * place["head"][standing, 1].min()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"train": 0}, "`train` must be >= 1"),
        ({"val": -1}, "`val` >= 0"),
        ({"size": 33}, "`size` must be even and >= 16 pixels, got 33"),
        ({"seed": -1}, "`seed` must be >= 0, got -1"),
    ],
)
def test_parameters_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Rendered(**wrong)


def test_the_recipe_is_written_beside_the_clips(tmp_path):
    render(tmp_path / "root", TINY)
    recipe = json.loads((tmp_path / "root" / "rendered.json").read_text())
    assert {key: recipe[key] for key in ("train", "val", "size", "seed")} == {
        "train": 2,
        "val": 1,
        "size": 32,
        "seed": 5,
    }


def accuracy(clips, describe, *, training, scaled=1.0):
    """Return the phase accuracy of logistic regression on cropped clips not trained on."""
    rng = np.random.default_rng(0)
    described, phases = [], []
    for frames, phase in clips:
        crop = int(rng.integers(len(phase) // 2, len(phase) + 1))
        start = int(rng.integers(len(phase) - crop + 1))
        described.append(describe(frames[start : start + crop]) * scaled)
        phases.append(phase[start : start + crop])
    model = LogisticRegression(max_iter=1000)
    model.fit(np.concatenate(described[:training]), np.concatenate(phases[:training]))
    return model.score(np.concatenate(described[training:]), np.concatenate(phases[training:]))


def position(frames):
    """Describe frames by powers of their number and share in the crop."""
    number = np.arange(len(frames))[:, None] / 40
    share = np.linspace(0, 1, len(frames))[:, None]
    return np.concatenate([f**k for f in (number, share) for k in (1, 2, 3)], axis=1)


@pytest.mark.slow
def test_time_alone_tells_little_of_the_phase():
    scripts = [draw_script(np.random.default_rng([0, number])) for number in range(400)]
    clips = [(script.progress, script.phase) for script in scripts]
    assert accuracy(clips, position, training=300, scaled=5) < 0.45  # chance is about 0.16


@pytest.mark.slow
def test_pixels_alone_tell_little_of_the_phase():
    clips = [draw_clip(0, number, size=16) for number in range(64)]
    pixels = accuracy(clips, lambda frames: frames.reshape(len(frames), -1) / 255, training=48)
    assert pixels < 0.45
