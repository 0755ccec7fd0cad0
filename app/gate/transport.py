"""The sockets of the gate: connects to an address that was checked, sends the needed headers, counts what passes.

Names are resolved here and once: the address that was checked is the one that is connected to, and certificates are
checked against the name. Proxies are those of the environment; they get names instead of addresses and are written
into the ledger. With ``app.providers.loopback`` the only module that opens connections; ``app.gate.egress`` makes its
clients.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpx2

from app.gate.addresses import Target, check_resolved, claims_loopback
from app.gate.offline import refused
from app.gate.passage import Passage
from app.gate.records import Outcome, Trust
from engine.errors import GatehouseError

_ALWAYS_SENT: Final = frozenset({"host", "content-type", "content-length", "accept", "range", "authorization"})
"""No platform, no versions, no ids: what else a library adds is left out."""
USER_AGENT: Final = "gatehouse"
_MOST_ADDRESSES: Final = 4

Resolve = Callable[[str, int], Sequence[str]]
"""Addresses of a host; blocking. Raises ``OSError``."""


def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system for a host's addresses, in the order in which they should be tried. Raises ``OSError``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def trusted() -> ssl.SSLContext:
    """What certificates are checked against: the system's, or those of ``SSL_CERT_FILE``."""
    return httpx2.create_ssl_context()


def proxy_for(target: Target, trust: Trust) -> str | None:
    """The environment's proxy on the way there. Servers of a team are in one's own network, and asked directly.

    So is whatever says that it is this machine: a proxy would carry it away from here, in clear, to where it likes.
    """
    if trust == "team" or claims_loopback(target.host) or proxy_bypass(target.host):
        return None
    proxies = getproxies()
    return proxies.get(target.scheme) or proxies.get("all") or None


def told_name(target: Target, proxy: str | None) -> str:
    """The host as the ledger names it."""
    return target.name if proxy is None else f"{target.name} via {httpx2.URL(proxy).host}"


def strip(headers: httpx2.Headers, *, with_key: bool = True) -> None:
    """Leave only what a request needs."""
    for name in [name for name in headers if name.lower() not in _ALWAYS_SENT]:
        del headers[name]
    if not with_key and "authorization" in headers:
        del headers["authorization"]
    headers["user-agent"] = USER_AGENT
    headers["accept-encoding"] = "identity"  # lengths are those of the text, and nothing unfolds into gigabytes


def size_of(request: httpx2.Request, body: bytes) -> int:
    """The request in bytes as HTTP/1.1 writes it."""
    line = len(request.method) + len(request.url.raw_path) + len(" " + " HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + 4 for name, value in request.headers.raw) + 2 + len(body)


def addressed(request: httpx2.Request, address: str, extensions: dict[str, object]) -> httpx2.Request:
    """The same request to an address in place of a name; name and certificate stay those of the host."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii"), **extensions},
    )


def break_off(response: httpx2.Response) -> None:
    """End the connection under an answer. May be called from any thread."""
    stream = response.extensions.get("network_stream")
    found = stream.get_extra_info("socket") if stream is not None else None
    if found is None:
        return
    with suppress(OSError):
        # The plain method also under TLS: that of SSLSocket would pull the session from under the reader.
        socket.socket.shutdown(found, socket.SHUT_RDWR) if isinstance(found, socket.socket) else found.shutdown(
            socket.SHUT_RDWR
        )


def begins_to_leave(event: str, info: Mapping[str, Any]) -> bool:
    """Whether a step that the HTTP library traces is the first byte of a request. That a proxy is asked for a tunnel is
    none: it says a name, and nothing has left before the tunnel's other end has shown its certificate."""
    return event.endswith("send_request_headers.started") and getattr(info.get("request"), "method", b"") != b"CONNECT"


def is_untrusted(error: BaseException) -> bool:
    """Whether a failure to connect is TLS's, which trying again will not mend."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def unknown_proxy(proxy: str | None) -> GatehouseError:
    """For a kind of proxy that nothing here speaks, such as SOCKS without its library."""
    kind = (proxy or "").partition(":")[0][:20]
    return GatehouseError(
        "proxy_unsupported",
        f"The environment names a proxy of the kind “{kind}”, which Gatehouse does not speak. Nothing was sent.",
        "Name one that speaks http, or none.",
    )


class GateTransport(httpx2.AsyncBaseTransport):
    """One passage's way out: a single request, to a single host."""

    def __init__(self, passage: Passage, resolve_name: Resolve, make_trust: Callable[[], ssl.SSLContext]) -> None:
        self._passage = passage
        self._resolve = resolve_name
        self._make_trust = make_trust
        self._inner: httpx2.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        passage = self._passage
        body = await request.aread()
        target = await passage.admit(request.method, str(request.url), body)
        proxy = proxy_for(target, passage.permit.trust)
        strip(request.headers, with_key=passage.sends_key)
        await passage.begin(told_name(target, proxy), size_of(request, body), body)
        addresses = None if proxy else await self._addresses(target, request)
        context = await asyncio.to_thread(self._make_trust) if target.scheme == "https" else False
        limits = httpx2.Limits(max_keepalive_connections=0)
        try:
            self._inner = httpx2.AsyncHTTPTransport(
                verify=context, trust_env=False, retries=0, limits=limits, proxy=proxy
            )
        except (ImportError, ValueError) as error:
            raise unknown_proxy(proxy) from error
        response = await self._unless_offline(self._connect_and_send(self._inner, request, addresses))
        passage.answered(response.headers.get("content-type", ""), lambda: break_off(response))
        refuse_redirect(response, target)
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise GatehouseError(
                "bad_answer", f"{target.name} packed its answer, though that was not asked for; it was not unpacked."
            )
        response.stream = _Counted(response, passage)
        return response

    async def aclose(self) -> None:
        if self._inner is not None:
            await self._inner.aclose()

    async def _addresses(self, target: Target, request: httpx2.Request) -> tuple[str, ...]:
        patience = self._passage.patience
        try:
            async with asyncio.timeout(patience.connect_s):
                found = await asyncio.to_thread(self._resolve, target.host, target.port)
        except TimeoutError as error:
            raise httpx2.ConnectTimeout("no name server answered", request=request) from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError("no such name", request=request) from error
        return check_resolved(target.host, found, self._passage.permit.trust)[:_MOST_ADDRESSES]

    async def _unless_offline(self, asking: Awaitable[httpx2.Response]) -> httpx2.Response:
        """The head of the answer. Going offline ends the connection at once, also while the body is on its way."""
        passage, waiting = self._passage, asyncio.timeout(None)
        try:
            async with waiting:
                passage.waits(lambda: waiting.reschedule(0))
                try:
                    return await asking
                finally:
                    passage.waits(None)
        except TimeoutError as error:
            if not waiting.expired():
                raise
            passage.outcome = Outcome.CUT if passage.sent else Outcome.UNREACHABLE
            raise refused() from error

    async def _connect_and_send(
        self, inner: httpx2.AsyncHTTPTransport, request: httpx2.Request, addresses: Sequence[str] | None
    ) -> httpx2.Response:
        """Try again only while nothing has left."""

        async def trace(event: str, info: Mapping[str, Any]) -> None:
            if begins_to_leave(event, info):
                await self._passage.leaves()

        patience = self._passage.patience
        ways = [
            request if address is None else addressed(request, address, {}) for address in (addresses or (None,))
        ] * patience.connect_attempts
        for number, way in enumerate(ways, 1):
            way.extensions = {**way.extensions, "trace": trace}
            try:
                return await inner.handle_async_request(way)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if self._passage.sent or number == len(ways) or is_untrusted(error):
                    raise
            if number % len(addresses or (None,)) == 0:
                await asyncio.sleep(patience.connect_pause_s)
        raise AssertionError("the last way returns or raises")


class _Counted(httpx2.AsyncByteStream):
    """An answer's bytes, with limits on how many and on silence between them."""

    def __init__(self, response: httpx2.Response, passage: Passage) -> None:
        stream = response.stream
        assert isinstance(stream, httpx2.AsyncByteStream)
        self._inner = stream
        self._passage = passage
        patience = passage.patience
        self._limit_bytes = patience.answer_bytes if response.status_code < 400 else patience.error_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        passage, loop = self._passage, asyncio.get_running_loop()
        ends_at = loop.time() + passage.patience.total_s
        chunks = self._inner.__aiter__()
        while True:
            left_s = ends_at - loop.time()
            if left_s <= 0:
                raise _endless(passage, f"after {passage.patience.total_s:,.0f} s")
            try:
                async with asyncio.timeout(min(passage.patience.stall_s, left_s)):
                    chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise httpx2.ReadTimeout("the answer stalled") from error
            passage.took(len(chunk))
            if passage.bytes_in > self._limit_bytes:
                raise _endless(passage, f"after {passage.bytes_in:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._inner.aclose()


def refuse_redirect(response: httpx2.Response, target: Target) -> None:
    """Raises ``GatehouseError``: a request with a body goes where it was allowed to go, and nowhere else."""
    if 300 <= response.status_code < 400:
        where = response.headers.get("location", "")
        try:
            name = response.request.url.join(where).host if where else "another place"
        except (httpx2.InvalidURL, RuntimeError):
            name = httpx2.URL(where).host if where.startswith(("http:", "https:")) else "another place"
        raise GatehouseError(
            "redirected",
            f"{target.name} sends on to {name[:100] or 'another path'}, which was not followed.",
            "If the provider has moved, enter its new address.",
        )


def _endless(passage: Passage, when: str) -> GatehouseError:
    passage.outcome = Outcome.CUT
    return GatehouseError("endless", f"The answer of {passage.permit.provider} did not end; it was cut off {when}.")
