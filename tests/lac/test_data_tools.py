"""`python -m lac.data`: a folder is described, its faults are named, data sets are converted."""

import json

import av
import numpy as np
import pytest

from lac._hints import call
from lac.data import read_folder, read_video, write_video
from lac.data.__main__ import main
from lac.data.check import inspect
from lac.data.importers.convert import convert
from lac.data.sources import read_source
from tests.support.layouts import dump, entry, features_folder, noise, penn_action, penn_action_raw


def clips(root, lengths, labels=None):
    (root / "clips").mkdir(parents=True)
    for name, length in lengths.items():
        write_video(root / "clips" / f"{name}.mp4", noise(length))
    if labels is not None:
        (root / "labels.json").write_text(json.dumps(labels))
    return root


def test_a_good_folder_is_described_and_ready(tmp_path, capsys):
    labels = {"phase_names": ["x", "y"], "clips": {"a": {"phase": [0, 0, 1]}}}
    root = clips(tmp_path, dict.fromkeys("abcdefghij", 3), labels)
    with pytest.raises(SystemExit) as end:
        main(["check", str(root)])
    assert end.value.code == 0
    output = capsys.readouterr().out
    assert "layout folder" in output and "10 clips: 8 train, 2 val" in output
    assert "30 frames; 3 to 3 in a clip" in output and "1 labelled clips, 2 phases: x, y" in output
    assert f"Ready: {call('lac.train')} {root}\n" in output and "wrong" not in output
    assert "0.1 to 0.1 s long, 25 frames a second, 16 x 16 pixels" in output
    assert "Only 8 clips to train on" in output and "-m lac.align lite0 A B" in output


def test_every_fault_of_a_folder_is_named_at_once(tmp_path, capsys):
    labels = {
        "phase_names": ["x", "never"],
        "split": {"train": ["a", "b", "c", "d"]},
        "clips": {"a": {"phase": [0, 0]}},
    }
    root = clips(tmp_path, {"a": 3, "b": 1, "c": 4, "e": 4}, labels)
    (root / "clips" / "d.mkv").write_bytes(b"no video")
    (root / "clips" / "notes.txt").touch()
    with pytest.raises(SystemExit) as end:
        main(["check", str(root)])
    assert end.value.code == 0  # training goes on without them
    output = capsys.readouterr().out
    for part in (
        "`split` leaves out 1 clips: e",
        "a.mp4: `phase` must have one label per decoded frame, got 2 labels for 3 frames",
        "b.mp4: a clip must have at least 2 frames, got 1",
        "d.mkv: not a video but text, which begins 'no video'",
        "No frame is labelled never",
        "at least two clips of val, got 0",
        "train without it, as happens by itself",
        "No videos by their names: notes.txt.",
    ):
        assert part in output, part
    assert "wrong" not in output and "Ready" in output


def test_a_folder_without_a_clip_to_train_on_is_not_ready(tmp_path, capsys):
    root = clips(tmp_path, {"a": 1, "b": 3}, {"split": {"train": ["a"], "val": ["b"]}})
    with pytest.raises(SystemExit) as end:
        main(["check", str(root)])
    assert end.value.code == 1
    output = capsys.readouterr().out
    assert "wrong  No clip that can be used is in train." in output and "Ready" not in output


def test_a_file_cut_short_is_noted(tmp_path):
    root = clips(tmp_path, {"a": 20, "b": 20})
    write_video(root / "clips" / "c.mkv", noise(20))
    whole = (root / "clips" / "c.mkv").read_bytes()
    (root / "clips" / "c.mkv").write_bytes(whole[: len(whole) // 2])
    inspection = inspect(root)
    assert inspection.usable
    (note,) = (f.problem for f in inspection.findings if "c.mkv" in f.problem)
    assert "its header says 0.80 s, " in note and "s of it are there" in note


def notes_on(root):
    """Return what is wrong with the clips of a folder, not with its split."""
    return [f.problem for f in inspect(root).findings if "clips/" in f.problem]


def copy_packets(source, target, packets, **options):
    """Copy packets, times in units of the source, into another file."""
    with av.open(source) as before, av.open(target, "w", **options) as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet, pts, dts in packets(list(before.demux(video=0))[:-1]):
            packet.pts, packet.dts, packet.stream = pts, dts, stream
            after.mux(packet)


def test_a_video_trimmed_without_loss_is_whole(tmp_path):
    root = clips(tmp_path, {"a": 30, "b": 40})
    whole, trimmed = (root / "clips" / name for name in ("a.mp4", "c.mp4"))

    def later(packets):  # those before time 0 are there to be decoded, not to be shown
        begin = sorted(packet.pts for packet in packets)[20]
        return [(packet, packet.pts - begin, packet.dts - begin) for packet in packets]

    copy_packets(whole, trimmed, later)
    with av.open(trimmed) as container:
        assert container.streams.video[0].frames == 30
    np.testing.assert_array_equal(read_video(trimmed).frames, read_video(whole).frames[20:])
    assert notes_on(root) == []


@pytest.mark.parametrize("header", [{}, {"options": {"live": "1"}}], ids=["duration", "none"])
def test_a_recording_of_a_browser_is_whole(tmp_path, header):
    """Frames come when the picture changes, so their number is not duration times rate."""
    root = clips(tmp_path, {"a": 30, "b": 40})
    gaps = np.where(np.arange(30) % 10, 33, 900)

    def uneven(packets):
        return [
            (packet, round(t / 1000 / packet.time_base), round(t / 1000 / packet.time_base))
            for packet, t in zip(packets, np.cumsum(gaps).tolist(), strict=True)
        ]

    copy_packets(root / "clips" / "a.mp4", root / "clips" / "c.mkv", uneven, **header)
    assert len(read_video(root / "clips" / "c.mkv").frames) == 30
    assert notes_on(root) == []


@pytest.mark.parametrize(
    ("make", "problem", "remedy"),
    [
        (lambda root: root / "missing", "is no folder", "path of a folder"),
        (lambda root: root, "No layout that is known", "features/ with .npy"),
        (
            lambda root: np.save(root / "a.npy", np.zeros((3, 2))) or root,
            "arrays, but not in a layout",
            "features",
        ),
        (lambda root: clips(root, {"a": 3}, []), "must be an object", "labels.json"),
        (lambda root: dump(root, train=[print]), "global builtins.print", "Correct"),
        (lambda root: dump(root, train=[]), "without val.pkl", "'pouring' holds train.pkl"),
    ],
)
def test_a_folder_that_is_no_source_is_told_what_to_do(tmp_path, make, problem, remedy):
    inspection = inspect(make(tmp_path))
    assert not inspection.usable
    (finding,) = inspection.findings
    assert problem in finding.problem and remedy in finding.remedy


def test_features_are_described(tmp_path):
    inspection = inspect(features_folder(tmp_path, {"a": np.zeros((4, 2)), "b": np.zeros((6, 2))}))
    assert inspection.layout == "features" and inspection.usable
    assert inspection.facts[:2] == [
        "2 sequences of features: 2 train",
        "10 frames; 4 to 6 in a clip, median 5",
    ]


def test_penn_action_becomes_a_folder_with_its_labels_and_split(tmp_path):
    root = penn_action(tmp_path / "data")
    assert convert("penn_action", root, tmp_path / "new", action="bowl") == {}
    collection = read_folder(tmp_path / "new")
    assert [(c.name, c.split, c.phase.tolist()) for c in collection.clips] == [
        ("0001_bowl", "train", [0, 1, 1]),
        ("0010_bowl", "val", [0, 1, 1]),
    ]
    assert collection.phase_names == ("bowl 0", "bowl 1")
    for clip in collection.clips:
        assert clip.path.read_bytes() == (root / "videos" / clip.path.name).read_bytes()
    assert inspect(tmp_path / "new").usable


def test_pictures_become_videos_of_their_size(tmp_path):
    convert("penn_action_raw", penn_action_raw(tmp_path / "data"), tmp_path / "new")
    collection = read_folder(tmp_path / "new")
    assert [(c.name, c.split) for c in collection.clips] == [("0001", "train"), ("0002", "val")]
    assert read_video(collection.clips[1].path).frames.shape == (4, 3, 32, 32)


def test_imported_videos_that_are_named_nearly_alike_stay_apart(tmp_path):
    source = tmp_path / "loose"
    source.mkdir()
    names = ["a.mkv", "a.mp4", "b.mp4", "b.mp4.mp4"]
    for length, name in enumerate(names, 3):
        write_video(source / name, noise(length))
    convert("videos", source, tmp_path / "new")
    clips = read_folder(tmp_path / "new").clips
    assert [clip.path.name for clip in clips] == names
    assert [len(read_video(clip.path).frames) for clip in clips] == [3, 4, 5, 6]


def test_loose_videos_are_imported_and_bad_ones_left_out_on_request(tmp_path, capsys):
    source = tmp_path / "loose"
    (source / "day1").mkdir(parents=True)
    write_video(source / "day1" / "a.mp4", noise(3))
    write_video(source / "a.mp4", noise(4))
    (source / "b.mp4").write_bytes(b"no video")
    arguments = ["import", "videos", str(source), str(tmp_path / "new")]
    with pytest.raises(SystemExit, match=r"b\.mp4: not a video but text"):
        main(arguments)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loose"]  # nothing is half there
    main([*arguments, "--on_error", "skip"])
    output = capsys.readouterr().out
    assert "Left out" in output and "b.mp4" in output
    assert f"Done: {call('lac.train')} {tmp_path / 'new'}\n" in output
    assert [clip.name for clip in read_folder(tmp_path / "new").clips] == ["a", "day1/a"]
    with pytest.raises(SystemExit, match="`target` must be new"):
        main(arguments)


def test_a_clip_that_the_pickle_names_but_is_not_there_is_named(tmp_path):
    one = entry(tmp_path, 0, "a", [0, 1])
    dump(tmp_path, train=[one, {**one, "name": "z", "video_file": "videos/z.mp4"}], val=[])
    (finding, *_) = inspect(tmp_path).findings
    assert finding.problem.endswith("z.mp4: no such file.")


def hidden_twins(root):
    """Write what macOS leaves beside every file on disks of other systems, and in archives."""
    for file in [path for path in root.rglob("*") if path.is_file()]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    (root / ".trash").mkdir()
    (root / ".trash" / "z.mp4").write_bytes(b"no video")


@pytest.mark.parametrize("layout", ["videos", "penn_action_raw", "grid"])
def test_hidden_files_are_no_clips(tmp_path, layout):
    source = tmp_path / "source"
    if layout == "penn_action_raw":
        names = [clip.name for clip in read_source(layout, penn_action_raw(source)).clips]
    else:
        names = ["a", "b"]
        source.mkdir()
        for name in names:
            write_video(source / f"{name}.mp4", noise(75))
        if layout == "grid":
            for name in names:
                (source / f"{name}.mp4").rename(source / f"{name}.mpg")
                words = "".join(f"{1000 * i} {1000 * i + 1000} w\n" for i in range(6))
                (source / f"{name}.align").write_text(f"{words}6000 75000 sil\n")
    hidden_twins(source)
    assert convert(layout, source, tmp_path / "new") == {}
    assert [clip.name for clip in read_folder(tmp_path / "new").clips] == names


def test_hidden_files_are_no_sign_of_a_layout(tmp_path):
    (tmp_path / "._a.align").touch()
    (tmp_path / "._a.mp4").touch()
    (finding,) = inspect(tmp_path).findings
    assert finding.problem == "No layout that is known."


def test_names_with_markup_are_printed_as_they_are(tmp_path, capsys):
    root = clips(tmp_path / "[red]a:dog:", dict.fromkeys("abcdefghij", 3))
    (root / "clips" / "[b]k.mp4").write_bytes(b"no video")
    with pytest.raises(SystemExit):
        main(["check", str(root)])
    output = capsys.readouterr().out
    assert f"{root}: layout folder" in output and f"{root}/clips/[b]k.mp4: " in output
    assert "\nnote  " in output
