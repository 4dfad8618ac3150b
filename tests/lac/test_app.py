"""The server: videos that browsers play, jobs that outlive it, and alignments."""

import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lac
from lac._embedding import embed_file
from lac._matching import match
from lac.data import read_video, write_video
from lac.data.synthetic.rendered import draw_clip
from lac.pictures import Shown, alignment_view, draw_alignment, write_pairs

pytest.importorskip("fastapi")
from lac.app._jobs import Jobs, Kind, TooManyJobs
from lac.app._lane import Lane, TaskError
from tests.support.served import served
from tests.support.tasks import TASKS

FILES = {"view.json", "similarity.png", "posterior.png", "pairs.csv", "alignment.png"}

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder with two drawn clips of one movement, and one that browsers do not play."""
    place = tmp_path_factory.mktemp("served")
    (place / "videos").mkdir()
    for number, name in enumerate(("a.mp4", "b.mp4", "old.avi")):
        frames, _ = draw_clip(0, number, size=48)
        write_video(place / "videos" / name, frames, fps=10)
    (place / "videos" / "text.mp4").write_text("no video")
    with served(place / "videos", place / "cache") as found:
        found.folder = place / "videos"
        yield found


def test_videos_are_listed_with_what_their_headers_say(server):
    videos = server.videos()
    assert list(videos) == ["a.mp4", "b.mp4", "old.avi", "text.mp4"]
    facts = videos["a.mp4"]["facts"]
    frames = len(read_video(server.folder / "a.mp4").times)
    assert (facts["frames"], facts["seconds"]) == (frames, pytest.approx(frames / 10))
    assert (facts["width"], facts["height"], facts["codec"]) == (48, 48, "h264")
    assert facts["playable"] and not videos["old.avi"]["facts"]["playable"]
    assert videos["text.mp4"]["facts"] is None
    assert "cannot be opened" in videos["text.mp4"]["problem"]
    assert str(server.folder) not in videos["text.mp4"]["problem"]


def test_ranges_of_a_video_are_its_bytes(server):
    content = (server.folder / "a.mp4").read_bytes()
    path = f"/api/videos/{server.videos()['a.mp4']['id']}/file"
    status, headers, found = server.ask(path, raw=True)
    assert (status, found) == (200, content)
    assert headers["Content-Type"] == "video/mp4" and headers["Accept-Ranges"] == "bytes"
    for asked, expected in (
        ("bytes=0-0", content[:1]),
        ("bytes=100-299", content[100:300]),
        (f"bytes={len(content) - 5}-", content[-5:]),
        ("bytes=-7", content[-7:]),
    ):
        status, headers, found = server.ask(path, headers={"Range": asked})
        assert (status, found) == (206, expected)
        assert headers["Content-Range"].endswith(f"/{len(content)}")
    beyond = {"Range": f"bytes={len(content)}-"}
    assert server.ask(path, headers=beyond)[0] == 416


def test_what_browsers_do_not_play_is_made_playable_once(server):
    video = server.videos()["old.avi"]
    path = f"/api/videos/{video['id']}"
    status, _, answer = server.ask(f"{path}/file")
    assert status == 409 and "prepared" in answer["detail"]
    job = server.finished(server.get(f"{path}/prepare", method="POST"))
    assert job["state"] == "done" and job["request"] == {"video": video["id"]}
    again = server.get(f"{path}/prepare", method="POST")
    assert again["id"] == job["id"]
    assert server.get(path)["prepared"]
    content = server.get(f"{path}/file", raw=True)
    film = server.folder / ".film.mp4"
    film.write_bytes(content)
    made, source = read_video(film), read_video(server.folder / "old.avi")
    np.testing.assert_allclose(made.times, source.times, atol=1e-4)
    assert abs(made.frames.astype(int) - source.frames).mean() < 6
    film.unlink()


def test_a_video_that_changes_is_prepared_anew(server):
    frames, _ = draw_clip(0, 5, size=48)
    file = server.folder / "changing.avi"
    write_video(file, frames, fps=10)
    found = server._until(server.videos, lambda videos: "changing.avi" in videos)
    path = f"/api/videos/{found['changing.avi']['id']}"
    server.finished(server.get(f"{path}/prepare", method="POST"))
    write_video(file, frames[:5], fps=10)
    assert server.ask(f"{path}/file")[0] == 409
    assert server.finished(server.get(f"{path}/prepare", method="POST"))["state"] == "done"
    file.unlink()


def align(server, **options):
    """Align the two clips: the job once it is over."""
    videos = server.videos()
    body = {"a": videos["a.mp4"]["id"], "b": videos["b.mp4"]["id"], "encoder": "small", **options}
    return server.finished(server.get("/api/align", method="POST", body=body))


@pytest.fixture(scope="module")
def aligned(server):
    """An alignment that is done."""
    job = align(server)
    assert job["state"] == "done", job["words"]
    return job


def file_of(server, job, name):
    """What a job has written."""
    return server.get(f"/api/jobs/{job['id']}/files/{name}", raw=True)


def test_an_alignment_has_the_figures_of_the_command_line(server, aligned, tmp_path):
    assert set(aligned["files"]) == FILES
    embedder = lac.load("small")
    files = [server.folder / name for name in ("a.mp4", "b.mp4")]
    videos = [embed_file(embedder, file) for file in files]
    found = match(*(video.embeddings for video in videos), loss=embedder.loss)
    shown = [Shown(file.name, video.times, file) for file, video in zip(files, videos, strict=True)]
    view = json.loads(json.dumps(alignment_view(found, *shown, trust=found.trust)))
    assert json.loads(file_of(server, aligned, "view.json")) == view
    write_pairs(tmp_path / "pairs.csv", found, *shown)
    assert file_of(server, aligned, "pairs.csv") == (tmp_path / "pairs.csv").read_bytes()
    draw_alignment(tmp_path / "align.png", found, *shown, trust=found.trust)
    (tmp_path / "app.png").write_bytes(file_of(server, aligned, "alignment.png"))
    ours, theirs = (np.asarray(Image.open(tmp_path / name)) for name in ("app.png", "align.png"))
    np.testing.assert_array_equal(ours, theirs)


def test_the_same_alignment_is_not_computed_again(server, aligned):
    assert align(server)["id"] == aligned["id"]
    assert align(server, every=2)["id"] != aligned["id"]


def test_videos_are_embedded_once(server, aligned):
    videos = server.videos()
    body = {"a": videos["b.mp4"]["id"], "b": videos["a.mp4"]["id"], "encoder": "small"}
    before = sorted((server.folder.parent / "cache").rglob("*.npy"))
    job = server.finished(server.get("/api/align", method="POST", body=body))
    assert job["state"] == "done"
    assert sorted((server.folder.parent / "cache").rglob("*.npy")) == before


def test_an_alignment_is_taken_along_as_video_and_as_page(server, aligned):
    for what, name, start in (("video", "both.mp4", b"ftyp"), ("report", "report.html", b"<!DOC")):
        path = f"/api/jobs/{aligned['id']}/export"
        job = server.finished(server.get(path, method="POST", body={"what": what}))
        assert (job["state"], job["files"]) == ("done", [name]), job["words"]
        assert start in file_of(server, job, name)[:16]
    assert server.ask(path, method="POST", body={"what": "anything"})[0] == 422


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"a": "../a.mp4"}, 404),
        ({"a": 1}, 422),
        ({"encoder": "/etc"}, 422),
        ({"encoder": "pixels"}, 422),
        ({"every": 0}, 422),
        ({"every": 10**9}, 422),
    ],
)
def test_what_cannot_be_aligned_is_refused(server, change, status):
    videos = server.videos()
    body = {"a": videos["a.mp4"]["id"], "b": videos["b.mp4"]["id"], **change}
    assert server.ask("/api/align", method="POST", body=body)[0] == status


def test_a_video_that_cannot_be_read_fails_its_job_alone(server):
    videos = server.videos()
    body = {"a": videos["a.mp4"]["id"], "b": videos["text.mp4"]["id"], "encoder": "small"}
    job = server.finished(server.get("/api/align", method="POST", body=body))
    assert job["state"] == "failed" and "text.mp4" in job["words"]
    assert str(server.folder) not in job["words"]
    again = server.finished(server.get(f"/api/jobs/{job['id']}/again", method="POST"))
    assert again["state"] == "failed" and again["id"] != job["id"]
    for failed in (job, again):
        assert server.ask(f"/api/jobs/{failed['id']}", method="DELETE")[0] == 204
        assert server.ask(f"/api/jobs/{failed['id']}")[0] == 404


def test_the_api_is_documented_without_others(server):
    schema = server.get("/openapi.json")
    assert {"/api/videos", "/api/align", "/api/jobs/{id}", "/api/uploads"} <= set(schema["paths"])
    for methods in schema["paths"].values():
        assert all(about["description"] for about in methods.values())
    page = server.get("/docs", raw=True).decode()
    assert "/static/docs.js" in page and "http" not in page.replace("HTTP API", "")


# Jobs and lanes, without a server


def lane(tmp_path, tasks):
    """A lane whose process does tasks of these tests."""
    script = tmp_path / "worker.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"  # where the tasks are
        "from lac.app import _worker\n"
        f"_worker.TASKS = {{'test': {tasks!r}}}\n"
        "sys.argv = ['worker', 'test']\n"
        "_worker.main()\n"
    )
    return Lane("test", tmp_path / "test.log", command=(str(script),))


@pytest.fixture
def test_lane(tmp_path):
    made = lane(tmp_path, TASKS)
    yield made
    made.close()


def test_a_task_that_kills_its_process_harms_no_other(test_lane):
    assert test_lane.call("double", {"value": 2}) == {"value": 4}
    with pytest.raises(TaskError, match=r"has died \(signal 11\)"):
        test_lane.call("die", {})
    with pytest.raises(TaskError, match=r"^`value` must be right, got wrong$"):
        test_lane.call("fail", {})
    with pytest.raises(TaskError, match=r"not foreseen: KeyError\('unforeseen'\)"):
        test_lane.call("crash", {})
    assert test_lane.call("double", {"value": 3}) == {"value": 6}


def until(test, timeout=60):
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not test():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_jobs_are_stopped_and_removed(tmp_path, test_lane):
    kinds = {name: Kind(test_lane, name) for name in TASKS}
    jobs = Jobs(tmp_path / "jobs", kinds)
    running, waiting = jobs.submit("wait", "one", {}), jobs.submit("double", "two", {"value": 1})
    until(lambda: jobs.get(running.id).state == "running")
    assert jobs.get(waiting.id).state == "queued"
    jobs.remove(waiting.id)
    assert jobs.get(waiting.id).state == "stopped"
    jobs.remove(running.id)
    until(lambda: jobs.get(running.id).state == "stopped")
    again = jobs.again(waiting.id)
    until(lambda: jobs.get(again.id).state == "done")
    assert jobs.get(again.id).result == {"value": 2}
    jobs.remove(again.id)
    assert not jobs.folder(again.id).exists()
    with pytest.raises(KeyError):
        jobs.get(again.id)


def test_the_list_of_jobs_survives_a_restart(tmp_path):
    first = lane(tmp_path, TASKS)
    jobs = Jobs(tmp_path / "jobs", {name: Kind(first, name) for name in TASKS})
    done = jobs.submit("double", "one", {"value": 1}, shown={"v": "a"}, stamp=["x"])
    until(lambda: jobs.get(done.id).state == "done")
    hanging = jobs.submit("wait", "two", {})
    until(lambda: jobs.get(hanging.id).state == "running")
    (tmp_path / "jobs" / "damaged").mkdir()
    (tmp_path / "jobs" / "damaged" / "job.json").write_text("{")
    second = lane(tmp_path, TASKS)
    later = Jobs(tmp_path / "jobs", {name: Kind(second, name) for name in TASKS})
    assert [job.id for job in later.list()] == [hanging.id, done.id]
    assert later.get(done.id) == jobs.get(done.id)
    assert later.get(hanging.id).state == "stopped"
    same = later.submit("double", "one", {"value": 1}, stamp=["x"])
    assert same.id == done.id
    assert later.submit("double", "one", {"value": 1}, stamp=["y"]).id != done.id
    first.close()
    second.close()


def test_so_many_jobs_may_wait(tmp_path, test_lane):
    jobs = Jobs(tmp_path / "jobs", {name: Kind(test_lane, name) for name in TASKS})
    with pytest.raises(TooManyJobs):
        for number in range(100):
            jobs.submit("wait", str(number), {"number": number})
    assert 50 <= len(jobs.list()) <= 52


def test_a_process_ends_with_its_server(tmp_path):
    made = lane(tmp_path, TASKS)
    made.call("double", {"value": 1})
    process = made._process
    ended = []
    made.submit(
        "wait",
        {},
        started=lambda: None,
        progressed=lambda words, share: None,
        ended=ended.append,
    )
    until(lambda: made._running is not None)
    process.stdin.close()  # as when the server dies
    assert process.wait(30) == 0
    until(lambda: ended)
    assert isinstance(ended[0], TaskError)
    made.close()


def test_a_folder_is_served_once_at_a_time(server, tmp_path):
    with (
        pytest.raises(BlockingIOError, match="`VIDEOS_DIR` must be served once at a time"),
        served(server.folder, server.folder.parent / "cache"),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError, match="must be a folder"),
        served(tmp_path / "no", tmp_path),
    ):
        pass


def test_the_wheel_has_all_that_the_page_loads():
    package = Path(lac.__file__).parent
    page = (package / "app" / "static" / "index.html").read_text()
    scripts = [file.read_text() for file in (package / "app" / "static").glob("*.js")]
    loaded = re.findall(r'"(?:/static|\.)/([\w.]+)"', page + "".join(scripts))
    assert {"app.css", "app.js", "api.js", "find.js", "label.js", "train.js", "icon.svg"} <= set(
        loaded
    )
    assert all((package / "app" / "static" / name).exists() for name in loaded)
    pictures = re.findall(r'"/pictures/([\w.]+)"', page + "".join(scripts))
    assert {"view.js", "view.css", "check.js", "check.css", "dom.js"} <= set(pictures)
    assert all((package / "pictures" / name).exists() for name in pictures)
    assert not re.search(r"https?://|//cdn", page + "".join(scripts))
