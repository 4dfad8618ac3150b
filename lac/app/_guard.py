"""Who may ask: requests of this page and of programs, and none that another page has made."""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BODY = 1_000_000  # bytes of a request at most, unless it uploads a video
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:;"
        " media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none';"
        " frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Access:
    """By which name, at which port and with which token a server may be asked.

    Attributes
    ----------
    names : frozenset of str
        Names and addresses that a browser may have asked for, without brackets.
    port : int
        The port that is served.
    token : str, optional
        What a request must bring along. Whoever can reach the port needs none without it. With it
        the server may be asked by any address, since no page knows the token.
    """

    names: frozenset[str]
    port: int
    token: str | None = None

    @property
    def cookie(self) -> str:
        """The cookie that holds the token; cookies do not differ by port, so their names must."""
        return f"lac-{self.port}"

    def is_host(self, host: str) -> bool:
        """Tell whether a Host header names this server."""
        name, colon, port = host.rpartition(":")
        if not colon or not port.isdecimal():
            name, port = host, "80"
        name = name.removeprefix("[").removesuffix("]").lower()
        known = name in self.names or (self.token is not None and _is_address(name))
        return known and int(port) == self.port

    def is_token(self, given: str | None) -> bool:
        """Tell whether a token is right, in the same time for all that are wrong."""
        if self.token is None:
            return True
        return given is not None and hmac.compare_digest(given.encode(), self.token.encode())


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """Refuse what is not asked by this page or by a program, and what is too large.

    A page of another origin can make a browser send requests here, under its own name after a
    change of the name service. So the Host must be ours, the Origin our own where there is one,
    and the browser must not have said that another site asks.

    Parameters
    ----------
    app : ASGI application
        What is guarded.
    access : Access
        By what it may be asked.
    unbounded : iterable of str
        Paths whose requests may be of any size, as they count for themselves.
    """

    def __init__(self, app: ASGIApp, *, access: Access, unbounded: Iterable[str] = ()):
        """Remember the rules."""
        self._app = app
        self._access = access
        self._unbounded = frozenset(unbounded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._entrance(scope)
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        if scope["path"] in self._unbounded:
            await self._app(scope, receive, send_guarded)
            return
        try:
            await self._app(scope, _bounded(receive), send_guarded)
        except _TooLarge:
            await _refusal(413, _TOO_LARGE)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return why a request is refused, None if it is not."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._access.is_host(host):
            return _refusal(403, "`Host` must be the address that the server printed")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return _refusal(403, "`Origin` must be this server's own")
        site = headers.get("sec-fetch-site", "none")
        followed = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("none", "same-origin") and not followed:
            return _refusal(403, "another site must not ask this server")
        length = headers.get("content-length", "0")
        if scope["path"] not in self._unbounded and int(length) > _BODY:
            return _refusal(413, _TOO_LARGE)
        if not self._access.is_token(self._given(scope, headers)):
            return _refusal(401, "the token is missing: open the address that the server printed")
        return None

    def _given(self, scope: Scope, headers: Headers) -> str | None:
        """Return the token that a request brings along."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return token
        kept: str | None = cookie_parser(headers.get("cookie", "")).get(self._access.cookie)
        return _asked(scope) or kept

    def _entrance(self, scope: Scope) -> Response | None:
        """Have a browser that comes with the token in the address keep it, and forget it there."""
        if self._access.token is None or scope["path"] != "/" or not _asked(scope):
            return None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._access.cookie, self._access.token, httponly=True, samesite="lax")
        return answer


_TOO_LARGE = f"a request must be of at most {_BODY} bytes"


class _TooLarge(Exception):
    """A request turned out larger than it may be."""


def _asked(scope: Scope) -> str | None:
    """Return the token in the address of a request."""
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return next(iter(query.get("token", ())), None)


def _refusal(status: int, detail: str) -> Response:
    # The body is not read to its end, so that nothing else can follow on this connection.
    return JSONResponse({"detail": detail}, status, {"Connection": "close"})


def _bounded(receive: Receive) -> Receive:
    """Count what comes, which may have no length or a wrong one."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > _BODY:
            raise _TooLarge
        return message

    return receive_bounded
