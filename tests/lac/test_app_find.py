"""The server finds moments and spans of a video in others."""

from io import BytesIO

import pytest
from PIL import Image

import lac
from lac._embedding import embed_file
from lac._finding import find
from lac.data import write_video
from lac.data.synthetic.rendered import draw_clip

pytest.importorskip("fastapi")
from tests.support.served import served

NAMES = "a.mp4", "a_later.mp4", "b.mp4"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Two drawn clips, and the first without its beginning."""
    place = tmp_path_factory.mktemp("served")
    (place / "videos").mkdir()
    clips = [draw_clip(0, number, size=48)[0] for number in range(2)]
    for name, frames in zip(NAMES, (clips[0], clips[0][12:], clips[1]), strict=True):
        write_video(place / "videos" / name, frames, fps=10)
    (place / "videos" / "text.mp4").write_text("no video")
    with served(place / "videos", place / "cache") as found:
        found.folder = place / "videos"
        yield found


def ask(server, **options):
    """A job that finds a span of the first clip, and what it found."""
    ids = {name: video["id"] for name, video in server.videos().items()}
    body = {"video": ids["a.mp4"], "begin": 2.0, "end": 3.0, "encoder": "small", **options}
    job = server.finished(server.get("/api/find", method="POST", body=body))
    assert job["state"] == "done", job["words"]
    return job, server.get(f"/api/jobs/{job['id']}/files/found.json", raw=False)


@pytest.mark.parametrize("end", [2.0, 3.0])
def test_what_is_found_is_as_the_module_finds_it(server, end):
    job, told = ask(server, end=end)
    scores = [one["score"] for one in told["found"]]
    assert scores == sorted(scores, reverse=True)
    told = {one["name"]: one for one in told["found"]}
    assert set(told) == {"a_later.mp4", "b.mp4"}
    embedder = lac.load("small")
    videos = [embed_file(embedder, server.folder / name) for name in NAMES]
    source = videos[0].embeddings
    for one, video in zip((told["a_later.mp4"], told["b.mp4"]), videos[1:], strict=True):
        found = find(source, video.embeddings, 20, round(10 * end), loss=embedder.loss)
        assert one["score"] == pytest.approx(found.score, abs=1e-4)
        for name, frame in (("begin", found.first), ("end", found.last), ("time", found.nearest)):
            assert one[name] == pytest.approx(video.times[frame], abs=1e-3)
        picture = server.get(f"/api/jobs/{job['id']}/files/{one['picture']}", raw=True)
        assert Image.open(BytesIO(picture)).size == (48, 48)
    assert told["a_later.mp4"]["begin"] == pytest.approx(0.8, abs=0.3)  # 1.2 s were cut off


def test_some_of_the_others_are_searched(server):
    other = server.videos()["b.mp4"]["id"]
    _, told = ask(server, others=[other, other])
    assert [one["video"] for one in told["found"]] == [other]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"video": "../a.mp4"}, 404),
        ({"others": ["../a.mp4"]}, 404),
        ({"others": ["0"] * 201}, 422),
        ({"begin": -1}, 422),
        ({"begin": 4.0}, 422),
        ({"end": 1e300}, 422),
        ({"end": float("nan")}, 422),
        ({"encoder": "/etc"}, 422),
        ({"every": 0}, 422),
    ],
)
def test_what_cannot_be_found_is_refused(server, change, status):
    ids = {name: video["id"] for name, video in server.videos().items()}
    body = {"video": ids["a.mp4"], "begin": 2.0, "end": 3.0, "encoder": "small", **change}
    assert server.ask("/api/find", method="POST", body=body)[0] == status


def test_a_video_is_not_searched_for_itself(server):
    own = server.videos()["a.mp4"]["id"]
    body = {"video": own, "begin": 0, "end": 0, "others": [own]}
    status, _, answer = server.ask("/api/find", method="POST", body=body)
    assert status == 422 and "`others` must be 1 to 200 videos" in answer["detail"]
