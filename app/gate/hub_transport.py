"""The blocking twin for the hub of models, read in threads: a row in the ledger for each request, and for each hop.

Only reads: a request with a body is refused. A hub may send on to where its bytes lie, but not from the internet into
one's own network, and the token stays behind.
"""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

import httpx2

from app.gate.addresses import Target, check_resolved, target_of
from app.gate.ledger import Ending
from app.gate.offline import Offline
from app.gate.passage import LedgerWriter
from app.gate.permit import Permit
from app.gate.records import LedgerRow, Outcome
from app.gate.transport import (
    Resolve,
    addressed,
    begins_to_leave,
    is_untrusted,
    proxy_for,
    resolve,
    size_of,
    strip,
    told_name,
    trusted,
    unknown_proxy,
)
from engine.errors import GatehouseError, HubError
from engine.hub.patience import Patience

T = TypeVar("T")

_LEDGER_S = 60.0
"""A store that is busy for longer than this stops the request."""
_MOST_ADDRESSES = 4


def hub_client(
    ledger: LedgerWriter,
    offline: Offline,
    loop: asyncio.AbstractEventLoop,
    patience: Patience,
    endpoint: str,
    why: tuple[str, Literal["hub", "download"]],
    resolve_name: Resolve | None = None,
) -> httpx2.Client:
    """``why`` is consent and purpose. Raises ``HubError`` while offline."""
    if offline.is_on:
        raise _as_hub_error(_offline(offline))
    transport = HubTransport(_BlockingLedger(ledger, loop), offline, endpoint, why, resolve_name or resolve)
    timeout = httpx2.Timeout(patience.stall_s, connect=patience.connect_s)
    return httpx2.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=True, max_redirects=10)


class _BlockingLedger:
    """The core thread's ledger, for other threads. Raises ``GatehouseError``."""

    def __init__(self, ledger: LedgerWriter, loop: asyncio.AbstractEventLoop) -> None:
        self._ledger = ledger
        self._loop = loop

    def begin(self, permit: Permit, host: str, bytes_out: int) -> LedgerRow:
        return self._wait(self._ledger.begin(permit, host, bytes_out, ""))

    def end(self, first: LedgerRow, ending: Ending) -> None:
        self._wait(self._ledger.end(first, ending))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        if self._loop.is_closed():
            work.close()
            raise GatehouseError("closing", "Gatehouse is closing, so nothing more is asked.")
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result(_LEDGER_S)
        except (TimeoutError, asyncio.CancelledError) as error:
            raise GatehouseError(
                "ledger_busy", "The ledger could not be written in time, so nothing leaves."
            ) from error


class HubTransport(httpx2.BaseTransport):
    """Usable from several threads. Keeps connections, as a download asks for many ranges."""

    def __init__(
        self,
        ledger: _BlockingLedger,
        offline: Offline,
        endpoint: str,
        why: tuple[str, Literal["hub", "download"]],
        resolve_name: Resolve,
    ) -> None:
        self._ledger = ledger
        self._offline = offline
        self._endpoint = endpoint
        self._consent, self._purpose = why
        self._resolve = resolve_name
        self._inner: dict[tuple[str, str], httpx2.HTTPTransport] = {}
        self._making = threading.Lock()
        """Two threads that come first must not make two pools, one of which nobody would close."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return self._handle(request)
        except GatehouseError as error:
            raise _as_hub_error(error) from error

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        if self._offline.is_on:
            raise _offline(self._offline)
        if request.method not in ("GET", "HEAD") or request.read():
            raise GatehouseError("not_permitted", "A hub is only read from, and something would have been sent.")
        hub, target = target_of(self._endpoint), target_of(str(request.url))
        proxy = proxy_for(target, "cloud")
        strip(request.headers, with_key=_may_have_token(target, hub))
        permit = Permit(self._purpose, self._endpoint, "cloud", self._consent, provider=hub.name)
        watch = _Watch(self._ledger, self._offline)
        watch.begin(permit, told_name(target, proxy), size_of(request, b""))
        try:
            response = self._send(request, target, hub, proxy, watch)
        except BaseException:
            watch.end()
            raise
        watch.outcome = Outcome.CUT if response.status_code < 400 else Outcome.REFUSED
        response.stream = _Watched(response, watch)
        return response

    def close(self) -> None:
        with self._making:
            for inner in self._inner.values():
                inner.close()

    def _send(
        self, request: httpx2.Request, target: Target, hub: Target, proxy: str | None, watch: _Watch
    ) -> httpx2.Response:
        extensions: dict[str, object] = {"trace": watch.trace}
        if proxy is not None:
            request.extensions = {**request.extensions, **extensions}
            return self._way(target, proxy).handle_request(request)
        addresses = self._addresses(request, target, hub)
        for number, address in enumerate(addresses, 1):
            try:
                return self._way(target, None).handle_request(addressed(request, address, extensions))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                if watch.sent or number == len(addresses) or is_untrusted(error):
                    raise
        raise httpx2.ConnectError("no address", request=request)

    def _way(self, target: Target, proxy: str | None) -> httpx2.HTTPTransport:
        """One pool of connections a host: two names at one address must not share a checked certificate."""
        key = (f"{target.scheme}://{target.name}", proxy or "")
        with self._making:
            if key not in self._inner:
                context = trusted() if target.scheme == "https" else False
                try:
                    self._inner[key] = httpx2.HTTPTransport(verify=context, trust_env=False, retries=0, proxy=proxy)
                except (ImportError, ValueError) as error:
                    raise unknown_proxy(proxy) from error
            return self._inner[key]

    def _addresses(self, request: httpx2.Request, target: Target, hub: Target) -> Sequence[str]:
        try:
            found = check_resolved(target.host, self._resolve(target.host, target.port), "cloud")
            if target.host != hub.host and not all(_is_public(address) for address in found):
                home = self._resolve(hub.host, hub.port)
                if any(_is_public(address) for address in home):
                    raise GatehouseError(
                        "redirected", f"{hub.name} sends on to {target.name}, which lies in your own network.",
                        "Check the mirror or the proxy.",
                    )  # fmt: skip
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError("no such name", request=request) from error
        return found[:_MOST_ADDRESSES]


class _Watch:
    """One hop's rows in the ledger."""

    def __init__(self, ledger: _BlockingLedger, offline: Offline) -> None:
        self.outcome = Outcome.UNREACHABLE
        self.sent = False
        self.bytes_in = 0
        self._ledger = ledger
        self._offline = offline
        self._row: LedgerRow | None = None

    def begin(self, permit: Permit, host: str, bytes_out: int) -> None:
        self._row = self._ledger.begin(permit, host, bytes_out)

    def end(self) -> None:
        row, self._row = self._row, None
        if row is not None:
            ending = Ending(self.outcome, row.bytes_out if self.sent else 0, self.bytes_in, cost_usd=0.0)
            self._ledger.end(row, ending)

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        if begins_to_leave(event, info):
            self.check()
            self.sent = True

    def check(self) -> None:
        if self._offline.is_on:
            raise _as_hub_error(_offline(self._offline))


class _Watched(httpx2.SyncByteStream):
    """Counts an answer's bytes and ends its hop."""

    def __init__(self, response: httpx2.Response, watch: _Watch) -> None:
        stream = response.stream
        assert isinstance(stream, httpx2.SyncByteStream)
        self._inner = stream
        self._watch = watch

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            self._watch.bytes_in += len(chunk)
            self._watch.check()
            yield chunk
        if self._watch.outcome is Outcome.CUT:
            self._watch.outcome = Outcome.COMPLETE

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            try:
                self._watch.end()
            except GatehouseError as error:
                raise _as_hub_error(error) from error


def _may_have_token(target: Target, hub: Target) -> bool:
    """It was given to one host; not in the open, unless the hub itself is asked in the open."""
    same = (target.scheme, target.host, target.port) == (hub.scheme, hub.host, hub.port)
    return same or (target.host == hub.host and target.scheme == "https")


def _is_public(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_global


def _offline(offline: Offline) -> GatehouseError:
    from app.gate.offline import refused

    return refused(forced=offline.is_forced)


def _as_hub_error(error: GatehouseError) -> HubError:
    """What reads a hub knows only these."""
    return error if isinstance(error, HubError) else HubError(error.code, error.sentence, error.hint)
