"""Phases are written to `labels.json`, and nothing that is there gets lost."""

import json

import pytest

from lac.data import read_folder
from lac.data._label_writing import write_phases

NAMES = "reach", "lift"


@pytest.fixture
def folder(tmp_path):
    """Clips by their names; no video is read."""
    for name in ("a.mp4", "b.mp4", "day 1/c ü.mkv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read(folder):
    """Phases by clip, as training reads them."""
    collection = read_folder(folder)
    return {
        clip.name: [collection.phase_names[index] for index in clip.phase]
        for clip in collection.clips
        if clip.phase is not None
    }


def test_what_is_written_is_what_is_read(folder):
    phases = {"a": ["reach", "lift", "lift"], "day 1/c ü": ["lift", "reach"]}
    assert write_phases(folder, phases, NAMES) is None
    assert read(folder) == phases
    assert read_folder(folder).phase_names == NAMES


def test_what_is_there_is_refused_or_kept(folder):
    write_phases(folder, {"a": ["reach", "lift"]}, NAMES)
    before = (folder / "labels.json").read_bytes()
    with pytest.raises(FileExistsError, match="`existing` must be 'keep' where there are labels"):
        write_phases(folder, {"a": ["lift", "lift"]}, NAMES)
    assert (folder / "labels.json").read_bytes() == before
    for number in (1, 2):
        kept = write_phases(folder, {"a": ["lift", "lift"]}, NAMES, existing="keep")
        assert kept == folder / f"labels-{number}.json"
    assert (folder / "labels-1.json").read_bytes() == before
    assert read(folder) == {"a": ["lift", "lift"]}


def test_split_actions_and_other_clips_stay(folder):
    old = {
        "phase_names": ["wait", "put", "lift", "gone"],
        "split": {"train": ["a"], "val": ["b"]},
        "clips": {
            "a": {"phase": [0, 3], "progress": [0, 0.5], "action": "tidy"},
            "b": {"phase": ["put", 2], "progress": [0, 0.5], "by": "me"},
        },
    }
    (folder / "labels.json").write_text(json.dumps(old))
    write_phases(folder, {"a": ["lift", "reach"]}, NAMES, existing="keep")
    new = json.loads((folder / "labels.json").read_text())
    assert new["phase_names"] == ["reach", "lift", "put"]  # what no clip shows is gone
    assert new["split"] == old["split"]
    assert new["clips"]["a"] == {"phase": [1, 0], "action": "tidy"}
    assert new["clips"]["b"] == {"phase": [2, 1], "progress": [0, 0.5], "by": "me"}
    with pytest.warns(UserWarning, match="leaves out 1 clips"):
        assert read(folder) == {"a": ["lift", "reach"], "b": ["put", "lift"]}


def test_a_file_that_is_wrong_stays_as_it_is(folder):
    (folder / "labels.json").write_text('{"clips": {"nobody": {}}}')
    with pytest.raises(ValueError, match="names clip 'nobody'"):
        write_phases(folder, {"a": ["lift"]}, NAMES, existing="keep")
    (folder / "labels.json").write_text("no JSON")
    with pytest.raises(ValueError, match="is not valid JSON"):
        write_phases(folder, {"a": ["lift"]}, NAMES, existing="keep")
    assert (folder / "labels.json").read_text() == "no JSON"
    assert not (folder / "labels-1.json").exists()


def test_phases_must_be_named_and_of_clips(folder):
    with pytest.raises(ValueError, match="`phases` of a must be of reach, lift, got 'drop'"):
        write_phases(folder, {"a": ["drop"]}, NAMES)
    with pytest.raises(ValueError, match=r"`phases` must be of clips in .*, got 'd'"):
        write_phases(folder, {"d": ["lift"]}, NAMES)
    assert not (folder / "labels.json").exists()
