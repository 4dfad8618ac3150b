"""The server carries phases from videos that are marked to others, and saves them."""

import json
import shutil

import numpy as np
import pytest

import lac
from lac._embedding import embed_file
from lac._labelling import Labelled, carry
from lac.data import read_folder, write_video
from lac.data.synthetic.rendered import PHASES, draw_clip

pytest.importorskip("fastapi")
from tests.support.served import served

NAMES = "a.mp4", "c.mp4", "day 1/b ü.mp4"
FPS = 10


@pytest.fixture(scope="module")
def truth():
    """The phases of drawn clips, by name."""
    return {name: draw_clip(0, number, size=48)[1] for number, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder of drawn clips, and a file that is no video."""
    place = tmp_path_factory.mktemp("served")
    (place / "videos" / "day 1").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        write_video(place / "videos" / name, draw_clip(0, number, size=48)[0], fps=FPS)
    (place / "videos" / "text.mp4").write_text("no video")
    with served(place / "videos", place / "cache") as found:
        found.folder = place / "videos"
        yield found


@pytest.fixture
def ids(server):
    return {name: video["id"] for name, video in server.videos().items()}


def marks(phases):
    """Where phases begin, as the page says it."""
    first = [0, *(np.flatnonzero(np.diff(phases)) + 1)]
    return [{"phase": PHASES[phases[place]], "begin": round(place / FPS, 4)} for place in first]


def request(ids, truth, **options):
    """What labels the others as the first clip is marked."""
    reference = {"video": ids["a.mp4"], "phases": marks(truth["a.mp4"])}
    body = {"phase_names": list(PHASES), "references": [reference], "encoder": "small"}
    return body | options


def labelled(server, body):
    """A job that labels, and what it has carried."""
    job = server.finished(server.get("/api/label", method="POST", body=body))
    assert job["state"] == "done", job["words"]
    return job, server.get(f"/api/jobs/{job['id']}/files/carried.json")


def frame_labels(told, count):
    """The phases of frames that marks stand for."""
    begins = [round(FPS * mark["begin"]) for mark in told["phases"]]
    names = [mark["phase"] for mark in told["phases"]]
    places = np.searchsorted(begins, np.arange(count), side="right") - 1
    return np.array([PHASES.index(names[place]) for place in places])


def test_labels_are_as_the_module_carries_them(server, ids, truth):
    _, found = labelled(server, request(ids, truth))
    assert found["phase_names"] == list(PHASES)
    told = {one["name"]: one for one in found["videos"]}
    assert list(told) == list(NAMES)
    assert told["a.mp4"]["marked"] and told["a.mp4"]["phases"] == marks(truth["a.mp4"])
    embedder = lac.load("small")
    embedded = {name: embed_file(embedder, server.folder / name).embeddings for name in NAMES}
    reference = Labelled(embedded["a.mp4"], truth["a.mp4"])
    for name in NAMES[1:]:
        carried = carry([reference], embedded[name], loss=embedder.loss)
        one = told[name]
        assert not one["marked"]
        np.testing.assert_array_equal(frame_labels(one, len(truth[name])), carried.labels)
        np.testing.assert_allclose(one["confidence"], carried.confidence, atol=0.006)
        assert one["doubtful"] == pytest.approx(carried.doubtful.mean(), abs=1e-4)
        assert one["seconds"] == pytest.approx(len(truth[name]) / FPS, abs=1e-3)


def test_every_other_frame_labels_all_of_them(server, ids, truth):
    other = ids["c.mp4"]
    _, found = labelled(server, request(ids, truth, every=2, others=[other, other]))
    assert [one["video"] for one in found["videos"]] == [ids["a.mp4"], other]
    embedder = lac.load("small")
    sparse = [
        embed_file(embedder, server.folder / name, every=2).embeddings
        for name in ("a.mp4", "c.mp4")
    ]
    carried = carry(
        [Labelled(sparse[0], truth["a.mp4"][::2])], sparse[1], loss=embedder.loss
    ).labels
    count = len(truth["c.mp4"])
    nearest = np.minimum((np.arange(count) + 1) // 2, len(carried) - 1)
    np.testing.assert_array_equal(frame_labels(found["videos"][1], count), carried[nearest])


def saved(server, job, found, **options):
    """What saving what was carried is answered with."""
    videos = [{key: one[key] for key in ("video", "phases")} for one in found["videos"]]
    body = {"phase_names": found["phase_names"], "videos": videos} | options
    return server.ask(f"/api/jobs/{job['id']}/labels", method="POST", body=body)


@pytest.fixture
def unlabelled(server):
    """No labels before and after."""
    yield
    for file in server.folder.glob("labels*.json"):
        file.unlink()


def test_saved_labels_are_what_training_reads(server, ids, truth, unlabelled):
    job, found = labelled(server, request(ids, truth))
    status, _, answer = saved(server, job, found)
    assert (status, answer) == (201, {"file": "labels.json", "clips": 3, "kept": None})
    (server.folder / "text.mp4").unlink()
    collection = read_folder(server.folder)
    (server.folder / "text.mp4").write_text("no video")
    assert {clip.name for clip in collection.clips} == {"a", "day 1/b ü", "c"}
    for clip, one in zip(
        (next(clip for clip in collection.clips if f"{clip.name}.mp4" == name) for name in NAMES),
        found["videos"],
        strict=True,
    ):
        names = [collection.phase_names[index] for index in clip.phase]
        expected = frame_labels(one, len(truth[one["name"]]))
        assert names == [PHASES[index] for index in expected]


def test_labels_that_are_there_are_kept(server, ids, truth, unlabelled):
    job, found = labelled(server, request(ids, truth))
    old = json.dumps({"split": {"train": ["a", "c"], "val": ["day 1/b ü", "text"]}})
    (server.folder / "labels.json").write_text(old)
    status, _, answer = saved(server, job, found)
    assert status == 409 and "`existing` must be 'keep'" in answer["detail"]
    assert (server.folder / "labels.json").read_text() == old
    status, _, answer = saved(server, job, found, existing="keep")
    assert (status, answer["kept"]) == (201, "labels-1.json")
    assert (server.folder / "labels-1.json").read_text() == old
    new = json.loads((server.folder / "labels.json").read_text())
    assert new["split"] == json.loads(old)["split"] and len(new["clips"]) == 3
    (server.folder / "labels.json").write_text("no JSON")
    status, _, answer = saved(server, job, found, existing="keep")
    assert status == 409 and "labels.json is not valid JSON" in answer["detail"]
    assert str(server.folder) not in answer["detail"]


def test_no_link_leads_to_labels_outside(server, ids, truth, unlabelled, tmp_path):
    job, found = labelled(server, request(ids, truth))
    outside = tmp_path / "labels.json"
    outside.write_text('{"secret": 1}')
    (server.folder / "labels.json").symlink_to(outside)
    status, _, answer = saved(server, job, found, existing="keep")
    assert status == 409 and "must not be a link" in answer["detail"]
    (server.folder / "labels.json").unlink()
    (server.folder / "labels.json").symlink_to(tmp_path / "new.json")
    assert saved(server, job, found)[0] == 201
    assert not (tmp_path / "new.json").exists() and outside.read_text() == '{"secret": 1}'
    assert not (server.folder / "labels.json").is_symlink()


def test_videos_must_be_those_that_were_labelled(server, ids, truth, unlabelled):
    copied = server.folder / "copied.mp4"
    shutil.copy(server.folder / "c.mp4", copied)
    server._until(server.videos, lambda found: "copied.mp4" in found)
    new = server.videos()["copied.mp4"]["id"]
    job, found = labelled(server, request(ids, truth, others=[new]))
    strange = {"videos": [{"video": ids["c.mp4"], "phases": marks(truth["c.mp4"])}]}
    status, _, answer = saved(server, job, found, **strange)
    assert status == 422 and f"must be of job {job['id']}, got c.mp4" in answer["detail"]
    with copied.open("ab") as stream:
        stream.write(b"\0")
    status, _, answer = saved(server, job, found)
    assert status == 409 and "copied.mp4 has changed" in answer["detail"]
    copied.unlink()
    assert saved(server, job, found)[0] == 404
    assert not (server.folder / "labels.json").exists()


def test_only_a_labelling_that_is_done_is_saved(server, ids, truth):
    job = server.get(f"/api/videos/{ids['a.mp4']}/prepare", method="POST")
    body = {
        "phase_names": list(PHASES),
        "videos": [{"video": ids["a.mp4"], "phases": marks(truth["a.mp4"])}],
    }
    for identity, status in ((server.finished(job)["id"], 422), ("../a", 404), ("0" * 16, 404)):
        path = f"/api/jobs/{identity}/labels"
        assert server.ask(path, method="POST", body=body)[0] == status


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"phase_names": []}, None),
        ({"phase_names": ["x" * 61]}, None),
        ({"phase_names": [*PHASES, PHASES[0]]}, "`phase_names` must differ"),
        ({"phase_names": [*PHASES, " "]}, "not be blank"),
        ({"phase_names": ["other"]}, "`references[0].phases` must be of `phase_names`, got"),
        ({"references": []}, None),
        ({"others": ["0"] * 201}, None),
        ({"encoder": "/etc"}, "`encoder` must be one of"),
        ({"every": 0}, None),
    ],
)
def test_what_cannot_be_labelled_is_refused(server, ids, truth, change, words):
    body = request(ids, truth, **change)
    status, _, answer = server.ask("/api/label", method="POST", body=body)
    assert status == 422 and (words is None or words in answer["detail"])


@pytest.mark.parametrize(
    "begins", [[0.1, 0.2], [0, 0.3, 0.3], [0, 2, 1], [-1], [0, 1e300], [0, float("nan")]]
)
def test_phases_must_begin_one_after_the_other(server, ids, begins):
    phases = [{"phase": PHASES[0], "begin": begin} for begin in begins]
    body = {"phase_names": list(PHASES), "references": [{"video": ids["a.mp4"], "phases": phases}]}
    assert server.ask("/api/label", method="POST", body=body)[0] == 422


def test_videos_outside_are_neither_marked_nor_labelled(server, ids, truth):
    reference = {"video": "../a.mp4", "phases": marks(truth["a.mp4"])}
    for change in ({"references": [reference]}, {"others": ["../a.mp4"]}):
        body = request(ids, truth, **change)
        assert server.ask("/api/label", method="POST", body=body)[0] == 404
    twice = request(ids, truth)["references"] * 2
    assert (
        server.ask("/api/label", method="POST", body=request(ids, truth, references=twice))[0]
        == 422
    )
    own = request(ids, truth, others=[ids["a.mp4"]])
    status, _, answer = server.ask("/api/label", method="POST", body=own)
    assert status == 422 and "`others` must be 1 to 200 videos" in answer["detail"]
