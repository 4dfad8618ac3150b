"""The folder source: what is read, what is held out, and what is refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest

from lac.data import read_folder
from lac.data.folder import other_files

GRID = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "grid"


def folder(root, names="abcde", labels=None):
    """Make a folder of empty clips; reading it does not decode them."""
    (root / "clips").mkdir(parents=True)
    for name in names:
        (root / "clips" / f"{name}.mp4").touch()
    if labels is not None:
        (root / "labels.json").write_text(labels if isinstance(labels, str) else json.dumps(labels))
    return root


def test_without_labels_one_clip_in_five_is_held_out(tmp_path):
    collection = read_folder(folder(tmp_path / "ten", "abcdefghij"))
    assert [clip.name for clip in collection.clips] == list("abcdefghij")
    assert len(collection.select("val")) == 2 and len(collection.select("train")) == 8
    assert collection.phase_names is None and all(clip.phase is None for clip in collection.clips)
    again = read_folder(tmp_path / "ten")
    assert [clip.split for clip in again.clips] == [clip.split for clip in collection.clips]
    assert not read_folder(folder(tmp_path / "four", "abcd")).select("val")


def test_labels_give_split_and_phases_by_index_or_name(tmp_path):
    labels = {
        "phase_names": ["reach", "lift"],
        "split": {"train": ["b"], "val": ["a"], "test": ["c"]},
        "clips": {"a": {"phase": [0, 0, 1]}, "b": {"phase": ["reach", "lift"], "words": []}},
    }
    collection = read_folder(folder(tmp_path, "abc", labels))
    assert [(clip.name, clip.split) for clip in collection.clips] == [
        ("a", "val"),
        ("b", "train"),
        ("c", "test"),
    ]
    assert collection.phase_names == ("reach", "lift")
    first, second, third = collection.clips
    assert first.phase.tolist() == [0, 0, 1] and first.phase.dtype == np.int64
    assert second.phase.tolist() == [0, 1] and third.phase is None


def test_labels_may_tell_how_far_frames_have_come_in_their_phase(tmp_path):
    labels = {
        "phase_names": ["reach", "lift"],
        "clips": {"a": {"phase": [0, 0, 1], "progress": [0.2, 1, 0.5]}, "b": {"phase": [0]}},
    }
    first, second = read_folder(folder(tmp_path, "ab", labels)).clips
    assert first.progress.tolist() == [0.2, 1.0, 0.5] and first.progress.dtype == np.float64
    assert second.progress is None


def test_clips_left_out_of_the_split_are_reported(tmp_path):
    with pytest.warns(UserWarning, match="`split` leaves out 2 clips: b, c"):
        collection = read_folder(folder(tmp_path, "abc", {"split": {"train": ["a"]}}))
    assert [clip.name for clip in collection.clips] == ["a"]


def test_only_videos_are_taken(tmp_path):
    folder(tmp_path, "ab")
    for name in (".hidden.mp4", "notes.txt", "c.AVI"):
        (tmp_path / "clips" / name).touch()
    assert [clip.name for clip in read_folder(tmp_path).clips] == ["a", "b", "c"]


COMPOSED, DECOMPOSED = "é", "e\u0301"  # Linux keeps what it is given, macOS gave the second


@pytest.mark.parametrize(("on_disk", "in_labels"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_composed_and_decomposed_names_are_the_same(tmp_path, on_disk, in_labels):
    labels = {
        "phase_names": [on_disk, "y"],
        "split": {"train": [in_labels], "val": ["a"]},
        "clips": {in_labels: {"phase": [in_labels, "y"], "action": in_labels}},
    }
    folder(tmp_path, ["a", on_disk], labels)
    clip = read_folder(tmp_path).clips[1]
    assert (clip.name, clip.split, clip.action) == (COMPOSED, "train", COMPOSED)
    assert clip.phase.tolist() == [0, 1] and clip.path.exists()
    labels["clips"] = {COMPOSED: {}, DECOMPOSED: {}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with pytest.raises(ValueError, match="`clips` must name a clip once, got 'é' twice"):
        read_folder(tmp_path)
    for name in (COMPOSED, DECOMPOSED):
        (tmp_path / "clips" / f"{name}.mp4").touch()
    with pytest.raises(ValueError, match="two clips of one name"):
        read_folder(tmp_path)


PHASES = {"phase_names": ["x", "y"]}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{", "labels.json is not valid JSON"),
        ("[]", "the whole file must be an object"),
        ({"phase_names": "xy"}, "`phase_names` must be a list"),
        ({"phase_names": ["x", 2]}, "`phase_names`: a name must be a string, got '2'"),
        ({"phase_names": ["x", "x"]}, "`phase_names` must differ from each other, got 'x' twice"),
        ({"split": ["a"]}, "`split` must be an object"),
        ({"split": {"train": "a"}}, "`split.train` must be a list"),
        ({"split": {"dev": ["a"]}}, "`split` may have the keys train, val, test, got 'dev'"),
        ({"split": {"train": ["z"]}}, r"`split.train` names clip 'z', which is not in clips/"),
        ({"split": {"train": ["a"], "val": ["a"]}}, "must name a clip once, got 'a' in train and"),
        ({"clips": ["a"]}, "`clips` must be an object"),
        ({"clips": {"z": {"phase": []}}}, r"`clips` names clip 'z', which is not in clips/"),
        ({"clips": {"a": [0]}}, "`clips.a` must be an object"),
        ({"clips": {"a": {"phase": "xx"}}}, "`clips.a.phase` must be a list"),
        (
            {**PHASES, "clips": {"a": {"phase": [0, 2]}}},
            r"`clips.a.phase\[1\]` must be .* 0 to 1, got 2",
        ),
        ({**PHASES, "clips": {"a": {"phase": [-1]}}}, r"`clips.a.phase\[0\]` .* got -1"),
        ({**PHASES, "clips": {"a": {"phase": ["z"]}}}, r"`clips.a.phase\[0\]` .* got 'z'"),
        ({**PHASES, "clips": {"a": {"phase": [True]}}}, r"`clips.a.phase\[0\]` .* got True"),
        ({**PHASES, "clips": {"a": {"phase": [0.5]}}}, r"`clips.a.phase\[0\]` .* got 0.5"),
        ({"clips": {"a": {"phase": [0]}}}, "`clips.a.phase.0.` needs `phase_names`"),
        ({"clips": {"a": {"progress": [0]}}}, "`clips.a.progress` must be one number for each"),
        (
            {**PHASES, "clips": {"a": {"phase": [0, 0], "progress": [0, 1.5]}}},
            r"`clips.a.progress\[1\]` must be a number from 0 to 1, got 1.5",
        ),
        (
            {**PHASES, "clips": {"a": {"phase": [0, 0], "progress": [0.5, 0.25]}}},
            "`clips.a.progress` must not fall within a phase",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_folder(folder(tmp_path, "a", labels))
    assert "labels.json" in str(caught.value)


def test_a_folder_without_videos_is_refused_and_what_it_holds_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"`root` must be a folder of videos, got .*missing"
    ):
        read_folder(tmp_path / "missing")
    with pytest.raises(FileNotFoundError, match=r"`root` must hold videos .* with no file"):
        read_folder(folder(tmp_path, ""))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"`root` must hold videos .* with notes\.txt"):
        read_folder(tmp_path)


def touch(root, *names):
    """Make empty files in a folder, with the folders that they are in."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_videos_anywhere_are_clips_named_by_their_places(tmp_path):
    touch(tmp_path, "a.mp4", "b.MOV", "day 1/a.mkv", "day 1/late/a.webm", "notes.txt", "._a.mp4")
    collection = read_folder(tmp_path)
    assert [(clip.name, clip.path.name) for clip in collection.clips] == [
        ("a", "a.mp4"),
        ("b", "b.MOV"),
        ("day 1/a", "a.mkv"),
        ("day 1/late/a", "a.webm"),
    ]
    assert other_files(tmp_path) == [tmp_path / "notes.txt"]
    labels = {"split": {"train": ["day 1/a"], "val": ["a", "b", "day 1/late/a"]}}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    assert [clip.name for clip in read_folder(tmp_path).select("train")] == ["day 1/a"]


def test_files_that_differ_by_suffix_alone_keep_it(tmp_path):
    touch(tmp_path, "a.mp4", "a.avi", "b.mp4")
    assert [clip.name for clip in read_folder(tmp_path).clips] == ["a.avi", "a.mp4", "b"]


def test_videos_beside_clips_are_passed_over_aloud(tmp_path):
    touch(tmp_path, "clips/a.mp4", "clips/more/b.mp4", "c.mp4")
    with pytest.warns(UserWarning, match=r"beside clips/ are passed over: c\.mp4"):
        collection = read_folder(tmp_path)
    assert [clip.name for clip in collection.clips] == ["a", "more/b"]


def test_what_runs_have_written_is_no_clip(tmp_path):
    touch(tmp_path, "a.mp4", "runs/own-1/config.yaml", "runs/own-1/figures/aligned.mp4")
    (tmp_path / "runs" / "own-1" / "checkpoints").mkdir()
    assert [clip.name for clip in read_folder(tmp_path).clips] == ["a"]


def test_links_are_followed_but_not_in_circles(tmp_path):
    touch(tmp_path / "elsewhere", "a.mp4")
    root = touch(tmp_path / "root", "b.mp4")
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "circle").symlink_to(root)
    (root / "again").symlink_to(tmp_path / "elsewhere")
    touch(root / "z", "c.mp4")
    (root / "y").symlink_to(root / "z")
    assert [clip.name for clip in read_folder(root).clips] == ["again/a", "b", "z/c"]


def test_an_unknown_split_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`split` must be one of train, val, test, got 'dev'"):
        read_folder(folder(tmp_path)).select("dev")


@pytest.mark.skipif(not GRID.exists(), reason="needs grid in ../shared/data")
def test_grid_is_read():
    collection = read_folder(GRID)
    assert len(collection.select("train")) == 60 and len(collection.select("val")) == 20
    assert len(collection.phase_names) == 8
    assert all(clip.phase.shape == (75,) for clip in collection.clips)
