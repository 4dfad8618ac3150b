"""A server of `lac.app` in this process, and plain requests to it."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager

import uvicorn

from lac.app._guard import Access
from lac.app._server import create_app

LOCAL = frozenset(("127.0.0.1", "localhost"))


class Served:
    """A server at a port."""

    def __init__(self, port):
        self.port = port
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, path, *, method="GET", body=None, headers=(), raw=False):
        """Send one request, its path as it is: status, headers, and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = dict(headers)
        if isinstance(body, dict):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kind = answer.headers.get("Content-Type", "")
        if not raw and kind.startswith("application/json") and content:
            content = json.loads(content)
        return answer.status, answer.headers, content

    def get(self, path, **options):
        """The content of a request that must be answered well."""
        status, _, content = self.ask(path, **options)
        assert status < 300, (status, content)
        return content

    def videos(self):
        """The videos by name, once all of them have been looked at."""
        return self._until(
            lambda: {video["name"]: video for video in self.get("/api/videos")["videos"]},
            lambda found: all(video["facts"] or video["problem"] for video in found.values()),
        )

    def finished(self, job):
        """A job once it is over."""
        return self._until(
            lambda: self.get(f"/api/jobs/{job['id']}"),
            lambda found: found["state"] in ("done", "failed", "stopped"),
        )

    @staticmethod
    def _until(look, enough, timeout=120):
        deadline = time.monotonic() + timeout
        while not enough(found := look()):
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
        return found


@contextmanager
def served(folder, cache, *, token=None, names=LOCAL, **options):
    """Serve a folder until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        app = create_app(folder, access=Access(names, port, token), cache=cache, **options)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="warning", limit_concurrency=100, access_log=False)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive() and time.monotonic() < deadline
                time.sleep(0.01)
            yield Served(port)
        finally:
            server.should_exit = True
            thread.join()
