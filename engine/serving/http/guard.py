"""Who may talk to the worker: bearer tokens, and no web page that only thinks it talks to its own host."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from engine.errors import RequestError
from engine.serving.http.respond import refusal

_OPEN_PATHS = frozenset({"/health"})


class Guard:
    """Middleware that refuses strangers before anything else is done for them."""

    def __init__(self, app: ASGIApp, *, api_keys: Sequence[str], host: str) -> None:
        self._app = app
        self._keys = [key.encode() for key in api_keys]
        self._loopback = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RequestError as error:
            await refusal(error, scope["path"])(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        # A name that an attacker's DNS points at this machine is not a loopback name.
        if self._loopback and not _names_loopback(b"//" + headers.get(b"host", b"")):
            raise RequestError("wrong_host", "The Host header does not name this machine.", status=403)
        origin = headers.get(b"origin")
        if origin is not None and not _names_loopback(origin):
            raise RequestError("wrong_origin", "Web pages of other hosts may not use this worker.", status=403)
        if self._keys and scope["path"] not in _OPEN_PATHS:
            self._check_key(headers.get(b"authorization", b""), headers.get(b"x-api-key"))

    def _check_key(self, header: bytes, plain: bytes | None) -> None:
        """``plain``: the key as Anthropic's clients send it; it counts where it is sent."""
        scheme, _, given = (b"bearer", b"", plain) if plain is not None else header.partition(b" ")
        # Every key is compared, so that the time taken does not tell which one was close.
        found = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        if scheme.lower() != b"bearer" or not any(found):
            raise RequestError("invalid_api_key", "The bearer token is missing or wrong.", status=401)


def is_loopback(host: str) -> bool:
    """Whether an address or name stays on this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_loopback(url: bytes) -> bool:
    try:
        return is_loopback(urlsplit(url.decode("ascii")).hostname or "")
    except ValueError:  # also UnicodeDecodeError
        return False
