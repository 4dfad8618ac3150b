"""What the server refuses: other files, other sites, too much."""

import os
import resource
import socket
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lac.data import write_video

pytest.importorskip("fastapi")
from tests.support.served import served

SECRET = b"a secret that lies beside the folder"


def write_clip(file, length=12):
    """A small video."""
    shade = np.linspace(0, 255, length).astype(np.uint8)
    write_video(file, np.broadcast_to(shade[:, None, None, None], (length, 3, 32, 48)), fps=10)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder with videos, and traps in it that lead outside."""
    place = tmp_path_factory.mktemp("served")
    folder = place / "videos"
    (folder / "day 1").mkdir(parents=True)
    write_clip(folder / "a.mp4")
    write_clip(folder / "day 1" / "b ü.mp4")
    write_clip(place / "outside.mp4")
    (place / "secret.txt").write_bytes(SECRET)
    (place / "secret.mp4").write_bytes(SECRET)
    (folder / "link.mp4").symlink_to(place / "outside.mp4")
    (folder / "text.mp4").symlink_to(place / "secret.txt")
    (folder / "linked").symlink_to(place, target_is_directory=True)
    (folder / "inside.mp4").symlink_to(folder / "a.mp4")
    (folder / "circle.mp4").symlink_to(folder / "circle.mp4")
    (folder / ".hidden.mp4").write_bytes((folder / "a.mp4").read_bytes())
    (folder / "list.mp4").write_text("ffconcat version 1.0\nfile ../outside.mp4\n")
    (folder / "notes.txt").write_text("no video")
    os.mkfifo(folder / "pipe.mp4")
    with served(folder, place / "cache", upload_limit=1) as found:
        found.folder = folder
        yield found


def test_only_visible_files_within_the_folder_are_listed(server):
    names = set(server.videos())
    assert names >= {"a.mp4", "day 1/b ü.mp4", "inside.mp4", "list.mp4"}
    assert not names & {"link.mp4", "text.mp4", "pipe.mp4", "circle.mp4", ".hidden.mp4"}
    assert not any("outside" in name or "secret" in name or "linked" in name for name in names)


def test_a_list_of_other_files_is_no_video(server):
    video = server.videos()["list.mp4"]
    assert video["facts"] is None and "cannot be opened" in video["problem"]
    assert server.ask(f"/api/videos/{video['id']}/file")[0] == 409


def test_a_file_that_becomes_a_link_to_the_outside_is_gone(server):
    moving = server.folder / "moving.mp4"
    write_clip(moving)
    video = server._until(server.videos, lambda found: "moving.mp4" in found)["moving.mp4"]
    assert server.ask(f"/api/videos/{video['id']}/file")[0] == 200
    moving.unlink()
    moving.symlink_to(server.folder.parent / "outside.mp4")
    assert server.ask(f"/api/videos/{video['id']}/file")[0] == 404
    moving.unlink()


PLACES = [
    "../secret.txt",
    "..%2fsecret.txt",
    "..%252fsecret.txt",
    "%2e%2e/secret.txt",
    "%2e%2e%2fsecret.txt",
    "..\\secret.txt",
    "..%5csecret.txt",
    "....//secret.txt",
    "%c0%ae%c0%ae/secret.txt",
    "..%00/secret.txt",
    "/etc/passwd",
    "//etc/passwd",
    "%2fetc%2fpasswd",
    "file:///etc/passwd",
    "linked/secret.txt",
    "linked%2fsecret.mp4",
    "a.mp4",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "path",
    ["/{}", "/static/{}", "/pictures/{}", "/api/videos/{}/file", "/api/jobs/{}/files/{}"],
)
def test_no_path_leads_to_a_file(server, path, place):
    status, _, content = server.ask(path.format(place, place), raw=True)
    assert 300 < status < 500
    assert SECRET not in content and b"root:" not in content


def test_absolute_requests_lead_nowhere_else(server):
    """A request line may hold a whole address, as proxies are sent."""
    status, _, _ = server.ask("http://127.0.0.1:1/etc/passwd")
    assert status in (400, 403, 404)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{}",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{}",
        "",
    ],
)
def test_another_host_is_refused(server, host):
    for path in ("/", "/api/videos", "/static/app.css", "/openapi.json"):
        status, _, content = server.ask(path, headers={"Host": host.format(server.port)})
        assert status in (400, 403), (path, content)


def test_two_hosts_are_refused(server):
    lines = (
        f"GET /api/videos HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nHost: evil.example\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(lines.encode())
        assert connection.recv(100).split()[1] in (b"400", b"403")


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{}"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_is_refused(server, method, headers):
    sent = {name: value.format(server.port) for name, value in headers.items()}
    status, answered, _ = server.ask("/api/jobs", method=method, headers=sent)
    assert status == 403
    assert "Access-Control-Allow-Origin" not in answered


def test_this_page_and_programs_may_ask(server):
    own = {"Origin": server.address, "Sec-Fetch-Site": "same-origin"}
    assert server.ask("/api/jobs", headers=own)[0] == 200
    assert server.ask("/api/jobs")[0] == 200
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.ask("/", headers=followed)[0] == 200
    assert server.ask("/api/jobs", headers=followed)[0] == 403


def test_answers_tell_browsers_to_load_nothing_else(server):
    for path in ("/", "/docs", "/api/videos", "/nowhere", "/static/app.css"):
        _, headers, content = server.ask(path, raw=True)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert b"https://" not in content and b"//cdn" not in content


def test_a_token_opens_the_server_and_nothing_else_does(tmp_path):
    (tmp_path / "videos").mkdir()
    names = frozenset(("videos.example",))
    with served(tmp_path / "videos", tmp_path, token="right", names=names) as server:
        host = {"Host": f"videos.example:{server.port}"}
        for given in ("", "?token=wrong", "?token="):
            for path in ("/", "/api/videos", "/static/app.css", "/docs", "/openapi.json"):
                assert server.ask(path + given, headers=host)[0] == 401
        wrong = host | {"Authorization": "Bearer wrong", "Cookie": f"lac-{server.port}=wrong"}
        assert server.ask("/api/videos", headers=wrong)[0] == 401
        status, headers, _ = server.ask("/?token=right", headers=host)
        assert (status, headers["Location"]) == (303, "/")
        cookie = headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "SameSite=lax" in cookie
        kept = host | {"Cookie": cookie.partition(";")[0]}
        assert server.ask("/", headers=kept)[0] == 200
        bearer = host | {"Authorization": "Bearer right"}
        assert server.ask("/api/videos", headers=bearer)[0] == 200
        evil = bearer | {"Host": f"evil.example:{server.port}"}
        assert server.ask("/api/videos", headers=evil)[0] == 403


def upload(server, name, content, **headers):
    """Send a file."""
    path = f"/api/uploads?name={name}"
    return server.ask(path, method="POST", body=content, headers=headers)


def left_behind(server):
    """What lies in the folder of uploads, hidden or not."""
    return sorted(path.name for path in (server.folder / "uploads").rglob("*"))


def test_an_upload_is_a_video_of_the_folder(server):
    content = (server.folder / "a.mp4").read_bytes()
    status, _, video = upload(server, "new.mp4", content)
    assert (status, video["name"]) == (201, "uploads/new.mp4")
    assert (server.folder / "uploads" / "new.mp4").read_bytes() == content
    again = upload(server, "new.mp4", content)[2]
    assert again["name"] == "uploads/new-2.mp4"
    assert {"uploads/new.mp4", "uploads/new-2.mp4"} <= set(server.videos())


def test_uploads_that_are_no_videos_leave_nothing(server, tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.mp4", "w", zipfile.ZIP_DEFLATED) as bomb,
        bomb.open("zeros", "w", force_zip64=True) as stream,
    ):
        for _ in range(100):
            stream.write(bytes(1 << 20))
    before = left_behind(server) if (server.folder / "uploads").exists() else []
    whole = (server.folder / "a.mp4").read_bytes()
    for content, reason in (
        ((tmp_path / "bomb.mp4").read_bytes(), "cannot be opened"),
        (b"", "cannot be opened"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", "cannot be opened"),
        (b"ffconcat version 1.0\nfile a.mp4\n", "cannot be opened"),
        (whole[: len(whole) // 2], "cannot be opened"),
        (np.random.default_rng(0).bytes(5000), "cannot be opened"),
    ):
        status, _, answer = upload(server, "bad.mp4", content)
        assert status == 422 and reason in answer["detail"], answer
        assert str(server.folder) not in answer["detail"]
    assert left_behind(server) == before


def test_pictures_beyond_any_camera_are_refused(server, tmp_path):
    """A small file that decodes to gigabytes."""
    write_video(tmp_path / "huge.mp4", np.zeros((2, 3, 64, 64), np.uint8))
    import av

    with av.open(tmp_path / "huge.avi", "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16000, 8000, "gray"
        frame = av.VideoFrame(16000, 8000, "gray")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    content = (tmp_path / "huge.avi").read_bytes()
    assert len(content) < 1_000_000
    status, _, answer = upload(server, "huge.avi", content)
    assert status == 422 and "at most 64000000 pixels" in answer["detail"]


@pytest.mark.parametrize(
    "name",
    [
        *("..%2fout.mp4", "%2ftmp%2fout.mp4", "..%5cout.mp4", ".mp4", ".a.mp4", "a%00.mp4"),
        *("a%0a.mp4", "a.txt", "a", "", "a" * 300 + ".mp4", "C:a.mp4"),
    ],
)
def test_names_of_uploads_are_names(server, name):
    status, _, _ = upload(server, name, (server.folder / "a.mp4").read_bytes())
    assert status == 422
    assert not list(server.folder.parent.rglob("out*.mp4"))[1:]


def test_an_upload_of_gigabytes_is_refused_at_once_and_while_it_comes(server):
    before = left_behind(server)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST /api/uploads?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        connection.sendall((head + f"Content-Length: {2 << 30}\r\n\r\n").encode())
        assert connection.recv(100).split()[1] == b"413"
    sent = 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall((head + "Transfer-Encoding: chunked\r\n\r\n").encode())
        try:
            for _ in range(2 << 14):
                connection.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                sent += 1 << 16
        except OSError:  # closed by the server
            pass
    assert sent < 50 << 20
    server._until(lambda: left_behind(server), lambda found: found == before, timeout=20)


def test_other_requests_are_small(server):
    # Not a byte of the body is sent: the server would close while it is under way.
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"POST /api/jobs HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        connection.sendall((head + "Content-Length: 1100000\r\n\r\n").encode())
        assert connection.recv(100).split()[1] == b"413"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        head = f"GET /api/jobs HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX: "
        try:
            connection.sendall(head.encode() + b"a" * (1 << 20))
            answer = connection.recv(100)
        except OSError:
            answer = b"closed"
        assert b"200" not in answer


def memory():
    """Megabytes that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_two_hundred_requests_at_once_are_served_or_refused_and_leave_nothing(server):
    big = server.folder / "big.mp4"
    content = (server.folder / "a.mp4").read_bytes()
    # `free` boxes are passed over by every reader.
    padding = (8 + (20 << 20)).to_bytes(4, "big") + b"free" + bytes(20 << 20)
    big.write_bytes(content + padding)
    video = server._until(server.videos, lambda found: "big.mp4" in found)["big.mp4"]
    paths = [f"/api/videos/{video['id']}/file", "/api/videos", "/", "/api/videos/none/file"]
    server.get("/api/videos")
    threads = threading.active_count()
    began, opened = memory(), descriptors()

    def ask(number):
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        with connection:
            request = f"GET {paths[number % 4]} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            connection.sendall((request + "Connection: close\r\n\r\n").encode())
            start = connection.recv(1 << 16)
            received = len(start)
            while chunk := connection.recv(1 << 16):
                received += len(chunk)
        return int(start.split()[1]), received, memory()

    with ThreadPoolExecutor(200) as pool:
        answers = list(pool.map(ask, range(200)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 404, 503} and statuses.count(200) > 20
    assert all(
        size > 20 << 20
        for (status, size, _), path in zip(answers, paths * 50, strict=True)
        if status == 200 and path == paths[0]
    )
    assert max(size for _, _, size in answers) - began < 300
    server._until(lambda: descriptors() - opened, lambda more: more <= 6, timeout=20)
    assert threading.active_count() - threads <= 40  # the pool of the server
    assert server.ask("/api/videos")[0] == 200
    big.unlink()
