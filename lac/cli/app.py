"""Serve the videos of a folder to a browser: ``python -m lac.app VIDEOS_DIR``."""

import argparse
import contextlib
import secrets
import socket
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lac._hints import program
from lac._loadable import require
from lac.cli._errors import errors_in_one_line, interruptible
from lac.cli._parser import CommandParser

if TYPE_CHECKING:
    from fastapi import FastAPI

    from lac.app._guard import Access

_PORT = 8000
_TRIED = 20  # ports from the first on, where none is given
_CONNECTIONS = 100  # requests that are answered at once; others are told to come later
_LOCAL = ("127.0.0.1", "localhost", "::1")


def main(args: Sequence[str] | None = None) -> None:
    """Parse the command line; serve until Ctrl-C."""
    options = _parser().parse_args(args)
    with (
        interruptible(),
        errors_in_one_line(),
        _listening(options.host, options.port) as listener,
    ):
        for run in options.run:
            require(run, "last")
        from lac.app._server import create_app

        access = _access(options.host, listener.getsockname()[1])
        app = create_app(
            options.folder, access=access, runs=options.run, upload_limit=options.upload_limit
        )
        _serve(app, listener, _address(options.host, access), browser=not options.no_browser)


def _parser() -> CommandParser:
    """Return the options."""
    parser = CommandParser(
        program("app"),
        description="Align, search, check and label the videos of a folder in a browser, and train"
        " on them.\nOnly this machine can reach the server, unless --host says otherwise.",
        examples=["my_videos", "my_videos --port 8080 --no-browser"],
    )
    parser.add_argument("folder", type=Path, metavar="VIDEOS_DIR", help="folder of videos")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        type=Path,
        metavar="RUN",
        help="run directory of lac.train to embed with; may be given several times (default: an"
        " encoder that needs no training)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen at; one that others reach asks for a token (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=_port, metavar="N", help=f"port to listen at (default: {_PORT}, or the next)"
    )
    parser.add_argument(
        "--upload-limit",
        type=_megabytes,
        default=1000,
        metavar="MB",
        help="megabytes of an upload at most, 0 for none (default: 1000)",
    )
    parser.add_argument("--no-browser", action="store_true", help="open no browser")
    return parser


def _port(word: str) -> int:
    """Return the port that an option was given."""
    if not word.isdecimal() or int(word) > 65535:
        raise argparse.ArgumentTypeError(f"must be a port, 0 to 65535, got {word!r}")
    return int(word)


def _megabytes(word: str) -> int:
    """Return the megabytes that an option was given."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number >= 0, got {word!r}")
    return int(word)


def _access(host: str, port: int) -> "Access":
    """Return who may ask: whoever is on this machine, or whoever has the token."""
    from lac.app._guard import Access

    if host in _LOCAL:
        return Access(frozenset(_LOCAL), port)
    names = frozenset((*_LOCAL, host.lower(), socket.gethostname().lower()))
    return Access(names, port, secrets.token_urlsafe(24))


def _listening(host: str, port: int | None) -> socket.socket:
    """Listen at a port, or at the first that is free where none is given."""
    ports = range(_PORT, _PORT + _TRIED) if port is None else (port,)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for tried in ports:
        try:
            return socket.create_server((host, tried), family=family, backlog=_CONNECTIONS)
        except socket.gaierror:
            raise ValueError(f"`--host` must be an address of this machine, got {host}") from None
        except OSError as error:
            reason = error.strerror or str(error)
    if port is None:
        raise OSError(f"no port from {_PORT} to {ports[-1]} can be had: {reason.lower()}")
    raise OSError(f"`--port` must be free, got {port}: {reason.lower()}")


def _address(host: str, access: "Access") -> str:
    """Return what is to be opened in a browser."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    query = "" if access.token is None else f"?token={access.token}"
    return f"http://{shown}:{access.port}/{query}"


def _serve(app: "FastAPI", listener: socket.socket, address: str, *, browser: bool) -> None:
    """Serve until Ctrl-C."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(f"Serving at {address}\nCtrl-C ends it.", file=sys.stderr, flush=True)
            if browser:
                webbrowser.open(address)

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    with contextlib.suppress(KeyboardInterrupt):  # which has ended it
        Server(config).run(sockets=[listener])
