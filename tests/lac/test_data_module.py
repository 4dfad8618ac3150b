"""Batches: what they hold, that nothing but seed, epoch and place decides it, and the caches."""

import json
from pathlib import Path

import jsonargparse
import lightning
import numpy as np
import pytest
import torch

from lac.data import Augmentation, ClipDataModule, Rendered, VideoError, read_video, write_video
from lac.data.cache import ArrayCache, default_directory

TINY = Rendered(train=5, val=2, size=32)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """One cache for all tests, so that clips are drawn and decoded once."""
    return tmp_path_factory.mktemp("cache")


def open_data(cache, **options):
    data = ClipDataModule(
        **{"rendered": TINY, "frames": 8, "batch_size": 2, "image_size": 32, "cache": cache}
        | options
    )
    data.setup()
    return data


def epoch(data, number):
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return list(loader)


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        for key in one:
            torch.testing.assert_close(one[key], other[key], rtol=0, atol=0)


class Means:
    """A frozen extractor: the mean colour of every frame. Counts how often it is asked."""

    name, image_size = "means", 16

    def __init__(self):
        self.calls = 0

    def __call__(self, frames):
        assert frames.dtype == np.uint8 and frames.shape[1:] == (3, 16, 16)
        self.calls += 1
        return frames.mean((2, 3), dtype=np.float32)


def test_a_batch_has_the_documented_fields(cache):
    batches = epoch(open_data(cache), 0)
    assert [len(batch["clip"]) for batch in batches] == [2, 2, 1]
    assert sorted(torch.cat([batch["clip"] for batch in batches]).tolist()) == list(range(5))
    batch = batches[0]
    assert batch["frames"].shape == (2, 2, 8, 3, 32, 32)
    assert batch["frames"].dtype == batch["times"].dtype == torch.float32
    assert batch["frames"].min() >= 0 and batch["frames"].max() <= 1
    assert batch["times"].shape == batch["mask"].shape == (2, 2, 8)
    assert batch["mask"].dtype == torch.bool and batch["mask"].all()
    assert (batch["times"].diff() > 0).all()
    assert batch["clip"].dtype == torch.int64


def test_views_hold_the_frames_of_their_times(cache):
    data = open_data(cache, augmentation=None)
    batches = [("train", batch) for batch in epoch(data, 0)]
    batches += [("val", batch) for batch in data.val_dataloader()]
    for split, batch in batches:
        clips = data.collection.select(split)
        for item, clip in enumerate(batch["clip"].tolist()):
            frames = data.load(clips[clip])
            times = batch["times"][item].long().numpy()
            np.testing.assert_array_equal(
                (batch["frames"][item] * 255).round().numpy(), frames[times]
            )


def test_short_views_are_padded_and_masked(cache):
    data = open_data(cache, frames=100)
    for batch in epoch(data, 0):
        shown = batch["mask"].sum(-1)
        assert (shown < 100).all() and (shown > 15).all()
        assert (batch["mask"].int().diff() <= 0).all()  # padding comes last
        assert (batch["frames"][~batch["mask"]] == 0).all()
        assert (batch["times"][~batch["mask"]] == 0).all()


@pytest.mark.slow
def test_seed_epoch_and_place_alone_decide_a_batch(cache):
    data = open_data(cache, pairs_per_clip=2)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    first = epoch(data, 3)
    assert_same(first, epoch(data, 3))  # other states of the global generators
    assert_same(first, epoch(open_data(cache, pairs_per_clip=2, workers=2), 3))
    again = open_data(cache, pairs_per_clip=2, workers=1).train_dataloader()
    again.sampler.set_epoch(2)
    list(again)
    again.sampler.set_epoch(3)  # workers live on between epochs
    assert_same(first, list(again))
    for other in (epoch(data, 4), epoch(open_data(cache, pairs_per_clip=2, seed=1), 3)):
        assert not torch.equal(first[0]["times"], other[0]["times"])


def test_visits_of_a_clip_in_one_epoch_differ(cache):
    batches = epoch(open_data(cache, pairs_per_clip=3), 0)
    clips = torch.cat([batch["clip"] for batch in batches])
    assert torch.bincount(clips).tolist() == [3] * 5
    times = torch.cat([batch["times"] for batch in batches])[clips == 0]
    assert len({tuple(view.flatten().tolist()) for view in times}) == 3


def test_validation_batches_are_the_same_in_every_epoch(cache):
    loader = open_data(cache).val_dataloader()
    first = list(loader)
    loader.sampler.set_epoch(1)
    assert_same(first, list(loader))
    assert torch.cat([batch["clip"] for batch in first]).tolist() == [0, 1]


def test_every_third_frame_is_as_a_slower_camera(cache, tmp_path):
    labels = {"phase_names": ["x", "y"], "clips": {"a": {"phase": [0] * 7 + [1] * 4}}}
    root = tmp_path / "data"
    root.mkdir()
    frames = np.repeat(np.arange(11, dtype=np.uint8)[:, None, None, None] * 20, 3, 1)
    write_video(root / "a.mp4", np.ascontiguousarray(np.broadcast_to(frames, (11, 3, 32, 32))))
    (root / "labels.json").write_text(json.dumps(labels))
    options = {"source": "folder", "root": root}
    whole, thinned = open_data(cache, **options), open_data(cache, **options, every=3)
    (clip,) = thinned.collection.clips
    assert thinned.length(clip) == 4 and clip.phase.tolist() == [0, 0, 0, 1]
    np.testing.assert_array_equal(thinned.load(clip), whole.load(clip)[::3])
    (batch,) = epoch(thinned, 0)
    assert batch["times"].max() <= 3
    with pytest.raises(ValueError, match="at least 2 frames of which one in 11 is kept, got 1"):
        open_data(cache, **options, every=11)
    with pytest.raises(ValueError, match="`every` must be >= 1, got 0"):
        open_data(cache, every=0)


def test_no_clip_is_decoded_twice(cache, tmp_path, monkeypatch):
    decoded = []
    monkeypatch.setattr(
        "lac.data.decoded.read_frames",
        lambda path, size, every: decoded.append(path) or read_video(path, size=size).frames,
    )
    root = open_data(cache).root
    for _ in range(2):
        data = open_data(tmp_path, source="folder", root=root)
        epoch(data, 0)
        data.load(data.collection.clips[0])[:] = 0  # a copy: the cache is not written to
    assert len(decoded) == 7
    np.testing.assert_array_equal(
        data.load(data.collection.clips[0]), read_video(data.collection.clips[0].path).frames
    )


@pytest.mark.parametrize(
    "changed", ["av.__version__", "av.library_versions", "lac.data.video.frames.PREPROCESSING"]
)
def test_frames_of_another_decoder_are_decoded_again(cache, tmp_path, monkeypatch, changed):
    options = {"source": "folder", "root": open_data(cache).root}
    decoded = []
    monkeypatch.setattr(
        "lac.data.decoded.read_frames",
        lambda path, size, every: decoded.append(path) or read_video(path, size=size).frames,
    )
    open_data(tmp_path, **options)
    monkeypatch.setattr(changed, {"libavcodec": (99, 0, 0)} if "library" in changed else "99.0")
    open_data(tmp_path, **options)
    open_data(tmp_path, **options)
    assert len(decoded) == 2 * 7


def test_features_are_extracted_once_and_views_draw_their_copies(cache, tmp_path):
    root = open_data(cache).root
    options = {"source": "folder", "root": root, "feature_copies": 2, "pairs_per_clip": 20}
    counted = []
    for _ in range(2):
        data = ClipDataModule(cache=tmp_path, frames=8, batch_size=4, **options)
        data.extractor = Means()
        data.setup()
        counted.append(data.extractor.calls)
    assert counted == [5 * 3 + 2, 0]
    batch = epoch(data, 0)[0]
    assert batch["features"].shape == (4, 2, 8, 3) and batch["features"].dtype == torch.float32
    clips = data.collection.select("train")
    plain = data.features(clips[0])
    assert plain.shape == (len(data.load(clips[0])), 3)
    views = [
        (batch["features"][item, view], batch["times"][item, view].long())
        for batch in epoch(data, 0)
        for item in range(4)
        for view in range(2)
        if batch["clip"][item] == 0
    ]
    unchanged = [np.allclose(features, plain[times]) for features, times in views]
    assert 0.1 < np.mean(unchanged) < 0.6  # one copy in three is the plain one
    held_out = data.collection.select("val")[0]
    batch = next(iter(data.val_dataloader()))
    np.testing.assert_array_equal(
        batch["features"][0, 0], data.features(held_out)[batch["times"][0, 0].long()]
    )


def test_a_changed_file_or_recipe_is_computed_anew_and_a_moved_file_is_not(tmp_path):
    cache, source = ArrayCache(tmp_path / "cache"), tmp_path / "a"
    source.write_bytes(b"one")
    assert cache.get(source, "r", lambda: np.array([1])) == 1
    assert cache.get(source, "r", lambda: np.array([2])) == 1
    assert cache.get(source, "s", lambda: np.array([3])) == 3
    source = source.rename(tmp_path / "b")
    assert cache.get(source, "r", lambda: np.array([4])) == 1
    source.write_bytes(b"other")
    assert cache.get(source, "r", lambda: np.array([5])) == 5


def test_a_user_without_a_home_caches_among_temporary_files(tmp_path, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert default_directory().parent == tmp_path


def test_a_computation_that_fails_leaves_nothing_in_the_cache(tmp_path):
    (tmp_path / "a").touch()
    cache = ArrayCache(tmp_path / "cache")
    with pytest.raises(ZeroDivisionError):
        cache.get(tmp_path / "a", "r", lambda: 1 / 0)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def clips_of(root, lengths, labels=None):
    (root / "clips").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name, length in lengths.items():
        frames = rng.integers(0, 256, (length, 3, 16, 16), dtype=np.uint8)
        write_video(root / "clips" / f"{name}.mp4", frames)
    if labels is not None:
        (root / "labels.json").write_text(json.dumps(labels))
    return root


@pytest.mark.parametrize("extractor", [None, Means()], ids=["frames", "features"])
@pytest.mark.parametrize("labelled", [3, 5])
def test_labels_for_another_length_are_refused(tmp_path, labelled, extractor):
    labels = {"phase_names": ["x"], "clips": {"a": {"phase": [0] * labelled}}}
    root = clips_of(tmp_path / "data", {"a": 4}, labels)
    data = ClipDataModule(source="folder", root=root, cache=tmp_path / "cache")
    data.extractor = extractor
    with pytest.raises(ValueError, match=rf"a\.mp4: `phase` .* got {labelled} labels for 4 frames"):
        data.setup("fit")


def test_a_clip_of_one_frame_is_refused(tmp_path):
    root = clips_of(tmp_path / "data", {"a": 4, "b": 1})
    with pytest.raises(ValueError, match=r"b\.mp4: a clip must have at least 2 frames, got 1"):
        open_data(tmp_path / "cache", source="folder", root=root)


def test_a_broken_video_among_good_ones_is_named(tmp_path):
    root = clips_of(tmp_path / "data", {"a": 4})
    (root / "clips" / "b.mp4").write_bytes(b"broken")
    with pytest.raises(VideoError, match=r"b\.mp4: not a video but text"):
        open_data(tmp_path / "cache", source="folder", root=root)


def test_bad_files_among_good_ones_are_left_out_on_request(tmp_path):
    labels = {"phase_names": ["x"], "clips": {"d": {"phase": [0] * 3}}}
    root = clips_of(tmp_path / "data", {"a": 4, "c": 1, "d": 4, "e": 5}, labels)
    (root / "clips" / "b.mp4").write_bytes(b"broken")
    data = open_data(tmp_path / "cache", source="folder", root=root, on_error="skip")
    assert [clip.name for clip in data.collection.clips] == ["a", "e"]
    reasons = dict(zip("bcd", ("not a video", "at least 2 frames", "one label per"), strict=True))
    assert data.left_out.keys() == {str(root / "clips" / f"{name}.mp4") for name in reasons}
    for name, reason in reasons.items():
        assert reason in data.left_out[str(root / "clips" / f"{name}.mp4")]
    assert sum(len(batch["clip"]) for batch in epoch(data, 0)) == 2
    for name in "ae":
        (root / "clips" / f"{name}.mp4").write_bytes(b"broken too")
    with pytest.raises(ValueError, match="a training clip that can be used, got none"):
        open_data(tmp_path / "cache", source="folder", root=root, on_error="skip")


def test_training_needs_a_training_clip_and_evaluation_does_not(tmp_path):
    root = clips_of(tmp_path / "data", {"a": 4}, {"split": {"val": ["a"]}})
    data = ClipDataModule(source="folder", root=root, cache=tmp_path / "cache")
    with pytest.raises(ValueError, match="`root` must hold a training clip, got none"):
        data.setup("fit")
    data.setup("test")
    with pytest.raises(ValueError, match="`root` must hold a training clip, got none"):
        data.setup("fit")
    assert [clip.name for clip in data.collection.select("val")] == ["a"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"source": "folder"}, "`root` must name a folder when `source` is 'folder', got None"),
        ({"source": "web"}, "`source` must be one of rendered, folder, .*, got 'web'"),
        ({"on_error": "hope"}, "`on_error` must be 'refuse' or 'skip', got 'hope'"),
        ({"batch_size": 0}, "`batch_size` must be >= 1, got 0"),
        ({"image_size": 4}, "`image_size` must be >= 8, got 4"),
        ({"pairs_per_clip": 0}, "`pairs_per_clip` must be >= 1, got 0"),
        ({"workers": -1}, "`workers` must be >= 0, got -1"),
        ({"seed": -1}, "`seed` must be >= 0, got -1"),
        ({"frames": 1}, "`frames` must be >= 2, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        ClipDataModule(**wrong)


def test_augmented_views_differ_from_plain_ones(cache):
    plain = epoch(open_data(cache, augmentation=None), 0)[0]
    augmented = epoch(open_data(cache, augmentation=Augmentation()), 0)[0]
    torch.testing.assert_close(plain["times"], augmented["times"])
    assert (plain["frames"] - augmented["frames"]).abs().mean() > 0.02


class Recorder(lightning.LightningModule):
    """Keep every training batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, _):
        self.seen.append(batch)
        return self.weight * 1

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_the_trainer_goes_on_to_new_views_every_epoch(cache):
    data, model = open_data(cache, workers=1), Recorder()
    lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(model, data)
    assert_same(model.seen, epoch(data, 0) + epoch(data, 1))


def test_all_settings_can_be_given_on_the_command_line():
    parser = jsonargparse.ArgumentParser()
    parser.add_class_arguments(ClipDataModule, "data")
    given = [
        *("--data.augmentation.flip=0.5", "--data.augmentation.scale=[0.8, 1]"),
        *("--data.rendered.train=3", "--data.source=folder", "--data.root=here"),
    ]
    data = parser.instantiate_classes(parser.parse_args(given)).data
    assert data.augmentation == Augmentation(flip=0.5, scale=(0.8, 1.0))
    assert data.rendered == Rendered(train=3) and data.root == Path("here")
    off = parser.instantiate_classes(parser.parse_args(["--data.augmentation=null"])).data
    assert off.augmentation is None and off.source == "rendered"
