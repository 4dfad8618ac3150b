"""Every source reads its layout as published, names what does not fit, and runs no pickled code."""

import collections
import io
import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lac.data import ClipDataModule, read_features, read_source, read_video
from lac.data.sources import LAYOUTS, recognise
from tests.support.layouts import dump, entry, features_folder, noise, penn_action, penn_action_raw

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.mark.slow
def test_what_training_imports_reads_no_pickle():
    command = (
        "import sys, lac.data.datamodule;"
        " print([name for name in sys.modules if name.startswith('lac.data.importers')])"
    )
    process = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "[]"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("kind", [torch.tensor, np.array, list])
def test_pouring_is_read_as_distributed(tmp_path, protocol, kind):
    labels = {"pour_b": [0, 0, 1], "pour_a": [0, 1, 1, 2], "pour_c": [0, 2]}
    first, second, third = (
        entry(tmp_path, i, name, values, frame_label=kind(values))
        for i, (name, values) in enumerate(labels.items())
    )
    dump(tmp_path, protocol, train=[first, second], val=[third])
    assert recognise(tmp_path) == "pouring"
    data = ClipDataModule(source="pouring", root=tmp_path, cache=tmp_path / "cache", frames=4)
    data.setup()  # decodes, and holds labels against frames
    clips = data.collection.clips
    assert [(c.name, c.split) for c in clips] == [
        ("pour_a", "train"),
        ("pour_b", "train"),
        ("pour_c", "val"),
    ]
    assert data.collection.phase_names == ("phase 0", "phase 1", "phase 2")
    assert all(c.phase.tolist() == labels[c.name] and c.phase.dtype == np.int64 for c in clips)
    assert all(len(data.load(c)) == len(labels[c.name]) for c in clips)


def test_penn_action_is_read_as_distributed_whole_or_one_action(tmp_path):
    root = penn_action(tmp_path / "data")
    assert recognise(root) == "penn_action"
    whole = read_source("penn_action", root)
    assert whole.phase_names == ("bowl 0", "bowl 1", "squat 0", "squat 1")
    assert {(c.action, tuple(c.phase.tolist())) for c in whole.clips} == {
        ("bowl", (0, 1, 1)),
        ("squat", (2, 3, 3)),
    }
    data = ClipDataModule(source="penn_action", root=root, action="bowl", cache=tmp_path / "cache")
    data.setup()
    assert [(c.name, c.split) for c in data.collection.clips] == [
        ("0001_bowl", "train"),
        ("0010_bowl", "val"),
    ]
    assert data.collection.phase_names == ("bowl 0", "bowl 1")
    with pytest.raises(
        ValueError, match=r"`action` must be one of baseball_pitch, .*, got 'chess'"
    ):
        read_source("penn_action", root, action="chess")
    with pytest.raises(ValueError, match="`action` must be absent for source 'pouring'"):
        read_source("pouring", root, action="bowl")


RAN = []


def run_me(*arguments):
    RAN.append(arguments)


class Attack:
    """Pickles to a call of a function of the attacker's choice."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def trusted_tensor_bytes():
    """What `torch.storage._load_from_bytes` would unpickle without a question."""
    stream = io.BytesIO()
    torch.save(Attack(run_me, "inside a tensor"), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (lambda: Attack(run_me, 1), r"global .*test_data_sources\.run_me"),
        (lambda: Attack(eval, "run_me()"), r"global builtins\.eval"),
        (lambda: Attack(getattr, [], "append"), r"global builtins\.getattr"),
        (lambda: collections.Counter(), r"global collections\.Counter"),
        (lambda: Path("/"), r"global pathlib\.\w+"),
        (lambda: Attack(torch.storage._load_from_bytes, trusted_tensor_bytes()), "run_me"),
    ],
)
def test_a_pickle_that_tries_to_run_code_is_refused_by_name(tmp_path, attack, named):
    RAN.clear()
    dump(tmp_path, train=[{"name": attack()}], val=[])
    with pytest.raises(ValueError, match=named) as caught:
        read_source("pouring", tmp_path)
    assert "train.pkl" in str(caught.value)
    assert RAN == []


def test_a_pickle_changes_nothing_in_the_libraries_it_names(tmp_path):
    # BUILD sets attributes of whatever lies on the stack, functions included.
    (tmp_path / "train.pkl").write_bytes(b"ctorch._utils\n_rebuild_tensor_v2\n(dVevil\nI1\nsb.")
    (tmp_path / "val.pkl").write_bytes(b"(l.")
    with pytest.raises(ValueError, match="must hold a list, got a function"):
        read_source("pouring", tmp_path)
    assert not hasattr(torch._utils._rebuild_tensor_v2, "evil")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seq_len": 4}, "`seq_len` must be the number of labels, got 4 for 3"),
        ({"frame_label": torch.tensor([0.5, 1, 2])}, "`frame_label` must be whole numbers"),
        ({"frame_label": torch.tensor([-1, 0, 1])}, "`frame_label` .* smallest -1"),
        ({"video_file": "../a.mp4"}, r"`video_file` must lie in the folder, got \.\./a\.mp4"),
        ({"name": "b"}, "names of clips must differ, got 'b' in train.pkl and val.pkl"),
    ],
)
def test_entries_that_do_not_fit_are_refused(tmp_path, changes, message):
    first, second = entry(tmp_path, 0, "a", [0, 1, 2]) | changes, entry(tmp_path, 0, "b", [0, 1])
    dump(tmp_path, train=[first], val=[second])
    with pytest.raises(ValueError, match=message):
        read_source("pouring", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "train.pkl is not a pickle that can be read"),
        (b"no pickle", "train.pkl is not a pickle that can be read"),
        (pickle.dumps({}), "must hold a list, got a dict"),
        (
            pickle.dumps([1]),
            "an entry must be a dict with name, seq_len and frame_label, got a int",
        ),
        (pickle.dumps([{"name": "a"}]), "an entry must be .* got a dict with name"),
    ],
)
def test_pickles_of_another_form_are_refused(tmp_path, content, message):
    (tmp_path / "train.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_source("pouring", tmp_path)


def test_raw_penn_action_is_read_from_pictures_and_labels(tmp_path):
    root = penn_action_raw(tmp_path / "data")
    assert recognise(root) == "penn_action_raw"
    data = ClipDataModule(source="penn_action_raw", root=root, cache=tmp_path / "c", image_size=16)
    data.setup()
    first, second = data.collection.clips
    assert (first.name, first.split, first.action) == ("0001", "train", "squat")
    assert (second.name, second.split, second.action) == ("0002", "val", "bowl")
    frames = data.load(second)
    assert frames.shape == (4, 3, 16, 16)
    averaged = noise(4, side=32).reshape(4, 3, 16, 2, 16, 2).mean((3, 5))
    assert np.abs(frames - averaged).mean() < 25  # JPEG halves the resolution of colour
    assert [c.name for c in read_source("penn_action_raw", root, action="bowl").clips] == ["0002"]
    (root / "frames" / "0002" / "000003.jpg").unlink()
    with pytest.raises(
        ValueError, match=r"0002: pictures must be as many as 0002.mat says, 4, got 3"
    ):
        read_source("penn_action_raw", root)


def test_grid_is_read_as_distributed():
    root = SHARED / "grid" / "original"
    if not root.exists():
        pytest.skip("needs the data file grid/original in ../shared/data")
    assert recognise(root) == "grid"
    collection = read_source("grid", root)
    labels = json.loads((SHARED / "grid" / "labels.json").read_text())
    assert collection.phase_names == tuple(labels["phase_names"])
    assert len(collection.clips) == 5 and len(collection.select("val")) == 1
    for clip in collection.clips:
        assert clip.phase.tolist() == labels["clips"][clip.name]["phase"]
    assert len(read_video(collection.clips[0].path, size=16).frames) == 75


ALIGN = "0 1600 sil\n1600 2400 bin\n2400 4000 sp\n4000 5500 blue\n5500 7000 at\n7000 8000 f\n"
ALIGN += "8000 9000 two\n9000 10000 now\n10000 12000 sil\n"


def test_grid_speakers_and_pauses_are_told_apart(tmp_path):
    for speaker in ("s1", "s2"):
        (tmp_path / speaker / "align").mkdir(parents=True)
        (tmp_path / speaker / "a.mpg").touch()
        (tmp_path / speaker / "align" / "a.align").write_text(ALIGN)
    first, second = read_source("grid", tmp_path).clips
    assert (first.name, second.name) == ("s1-a", "s2-a")
    assert first.phase.tolist() == [0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 7]
    (tmp_path / "s2" / "align" / "a.align").write_text("0 1 sil\n")
    with pytest.raises(ValueError, match=r"s2/align/a.align: a sentence must have 6 words, got 0"):
        read_source("grid", tmp_path)
    (tmp_path / "s2" / "align" / "a.align").unlink()
    with pytest.raises(ValueError, match=r"an .align file for every .mpg, got none for .*s2/a.mpg"):
        read_source("grid", tmp_path)


def test_features_reach_the_batch_unchanged(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(20, 5)).astype(np.float32) for name in "abcde"}
    labels = {"phase_names": ["x"], "clips": {"a": {"phase": [0] * 20}}}
    root = features_folder(tmp_path / "data", arrays, labels)
    assert recognise(root) == "features"
    data = ClipDataModule(source="features", root=root, frames=8, batch_size=4, cache=tmp_path)
    data.setup()
    assert data.content == "features" and data.length(data.collection.clips[0]) == 20
    (batch,) = data.train_dataloader()
    assert batch["features"].shape == (4, 2, 8, 5) and "frames" not in batch
    names = [clip.name for clip in data.collection.select("train")]
    for item, clip in enumerate(batch["clip"].tolist()):
        for view in range(2):
            np.testing.assert_array_equal(
                batch["features"][item, view],
                arrays[names[clip]][batch["times"][item, view].long()],
            )


def test_an_archive_gives_its_features_or_its_only_sheet(tmp_path):
    x, times = np.arange(6.0).reshape(3, 2), np.arange(3.0)
    np.savez(tmp_path / "named.npz", features=x, other=x + 1)
    np.savez(tmp_path / "only.npz", embeddings=x, times=times)
    np.savez(tmp_path / "two.npz", a=x, b=x)
    for name in ("named", "only"):
        np.testing.assert_array_equal(read_features(tmp_path / f"{name}.npz"), x)
    with pytest.raises(
        ValueError, match=r"two.npz: an .npz must hold `features` .* got a \(3, 2\)"
    ):
        read_features(tmp_path / "two.npz")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"must be numbers of shape \(T, D\), got float64 \(3,\)"),
        (np.zeros((3, 2), complex), "must be numbers"),
        (np.array([[0.0], [np.nan]]), "must be finite, got others in frame 1"),
        (np.array([[{}]]), "no array can be read"),
    ],
)
def test_features_that_cannot_be_used_are_named(tmp_path, array, message):
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(ValueError, match=rf"bad\.npy: .*{message}"):
        read_features(tmp_path / "bad.npy")


def test_every_layout_says_what_it_wants_of_an_empty_folder(tmp_path):
    for layout in LAYOUTS:
        with pytest.raises(FileNotFoundError, match=r"`root` must"):
            read_source(layout, tmp_path)
    assert recognise(tmp_path) is None
