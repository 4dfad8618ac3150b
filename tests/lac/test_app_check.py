"""The server checks videos against references as the command line does."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import lac
from lac._checking import check
from lac._embedding import embed_file
from lac.data import write_video
from lac.data.synthetic.rendered import draw_clip
from lac.pictures import Shown, check_view, draw_check, write_steps

pytest.importorskip("fastapi")
from tests.support.served import served

NAMES = "a.mp4", "b.mp4", "cut.mp4"
FILES = ["view.json", "similarity.png", "posterior.png", "check.json", "steps.csv", "check.png"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder with two drawn clips of one movement, and the first with a part cut out."""
    place = tmp_path_factory.mktemp("served")
    (place / "videos").mkdir()
    clips = [draw_clip(0, number, size=48)[0] for number in range(2)]
    for name, frames in zip(NAMES, (*clips, np.delete(clips[0], range(20, 40), 0)), strict=True):
        write_video(place / "videos" / name, frames, fps=10)
    with served(place / "videos", place / "cache") as found:
        found.folder = place / "videos"
        yield found


def body_of(server, *references, query="cut.mp4", **options):
    """A request to check."""
    ids = {name: video["id"] for name, video in server.videos().items()}
    return {
        "query": ids[query],
        "references": [ids[name] for name in references],
        "encoder": "small",
        **options,
    }


@pytest.mark.parametrize("references", [("a.mp4",), ("b.mp4", "a.mp4")])
def test_a_check_has_the_figures_of_the_command_line(server, references, tmp_path):
    job = server.get("/api/check", method="POST", body=body_of(server, *references))
    job = server.finished(job)
    assert (job["state"], job["files"]) == ("done", FILES), job["words"]
    embedder = lac.load("small")
    videos = [embed_file(embedder, server.folder / name) for name in (*references, "cut.mp4")]
    embeddings = [video.embeddings for video in videos]
    checked = check(embeddings[:-1], embeddings[-1], loss=embedder.loss)
    shown = [
        Shown(name, video.times, server.folder / name)
        for name, video in zip((*references, "cut.mp4"), videos, strict=True)
    ]
    shown = [shown[checked.nearest], shown[-1]]

    def content(name):
        return server.get(f"/api/jobs/{job['id']}/files/{name}", raw=True)

    view = json.loads(json.dumps(check_view(checked, *shown)))
    assert json.loads(content("check.json")) == view
    assert json.loads(content("view.json"))["names"] == [video.name for video in shown]
    write_steps(tmp_path / "steps.csv", checked, *shown)
    assert content("steps.csv") == (tmp_path / "steps.csv").read_bytes()
    draw_check(tmp_path / "check.png", checked, *shown)
    (tmp_path / "app.png").write_bytes(content("check.png"))
    ours, theirs = (np.asarray(Image.open(tmp_path / name)) for name in ("app.png", "check.png"))
    np.testing.assert_array_equal(ours, theirs)
    again = server.get("/api/check", method="POST", body=body_of(server, *references))
    assert again["id"] == job["id"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"query": "../a.mp4"}, 404),
        ({"references": ["../a.mp4"]}, 404),
        ({"references": []}, 422),
        ({"references": [f"{number:x}" for number in range(17)]}, 422),
        ({"references": "a.mp4"}, 422),
        ({"encoder": "/etc"}, 422),
        ({"every": 0}, 422),
    ],
)
def test_what_cannot_be_checked_is_refused(server, change, status):
    body = {**body_of(server, "a.mp4"), **change}
    assert server.ask("/api/check", method="POST", body=body)[0] == status


@pytest.mark.parametrize("references", [("cut.mp4",), ("a.mp4", "a.mp4")])
def test_a_video_is_no_reference_of_itself_and_none_counts_twice(server, references):
    status, _, answer = server.ask("/api/check", method="POST", body=body_of(server, *references))
    assert status == 422 and "`references` must be different videos" in answer["detail"]


def test_a_check_is_no_alignment_to_export(server):
    job = server.get("/api/check", method="POST", body=body_of(server, "a.mp4"))
    server.finished(job)
    path = f"/api/jobs/{job['id']}/export"
    assert server.ask(path, method="POST", body={"what": "video"})[0] == 422


@pytest.mark.parametrize("references", [("a.mp4",), ("b.mp4", "a.mp4")])
def test_the_report_of_a_check_holds_what_the_screen_shows(server, references):
    job = server.get("/api/check", method="POST", body=body_of(server, *references))
    job = server.finished(job)
    path = f"/api/jobs/{job['id']}/export"
    report = server.finished(server.get(path, method="POST", body={"what": "report"}))
    assert (report["state"], report["files"]) == ("done", ["report.html"]), report["words"]
    page = server.get(f"/api/jobs/{report['id']}/files/report.html", raw=True).decode()
    found = server.get(f"/api/jobs/{job['id']}/files/check.json")
    assert held(page, "checked") == found
    assert held(page, "matching") == server.get(f"/api/jobs/{job['id']}/files/view.json")
    assert references[found["nearest"]] in report["title"] and "cut.mp4" in report["title"]


def held(page, name):
    """What a page holds under a name."""
    return json.loads(re.search(rf'id="{name}">(.*?)</script>', page, re.S)[1])


def test_the_api_documents_checks(server):
    assert "/api/check" in server.get("/openapi.json")["paths"]
