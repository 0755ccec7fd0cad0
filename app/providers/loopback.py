"""The transport to a worker on this machine: it reaches loopback and nothing else.

Whatever a client library adds to its requests (its platform, settings from the environment) stays here as well.
"""

from __future__ import annotations

import ipaddress

import httpx2

from engine.errors import GatehouseError

_PASSED_HEADERS = frozenset(
    {"host", "authorization", "content-type", "content-length", "transfer-encoding", "accept", "accept-encoding"}
)

CONNECT_S = 2.0
READ_S = 3600.0
"""A long prompt takes minutes on a processor. A hung worker is ended by its supervisor, which ends the read as well."""


class LoopbackTransport(httpx2.AsyncBaseTransport):
    """Passes requests to loopback addresses, with the needed headers only. Other addresses raise ``GatehouseError``."""

    def __init__(self) -> None:
        # A connection a request: on loopback they are cheap, and a kept one may belong to a worker that is gone.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        self._inner = httpx2.AsyncHTTPTransport(trust_env=False, retries=0, http2=False, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if not is_loopback(request.url.host):
            raise GatehouseError(
                "not_loopback", f"A request to {request.url.host} was refused: it would leave this machine."
            )
        for name in [name for name in request.headers if name.lower() not in _PASSED_HEADERS]:
            del request.headers[name]
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def is_loopback(host: str) -> bool:
    """True for a literal loopback address. No name is: what ``localhost`` leads to is for others to say."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def client() -> httpx2.AsyncClient:
    """An HTTP client over the loopback transport: no proxies, no environment, no redirects."""
    timeout = httpx2.Timeout(READ_S, connect=CONNECT_S)
    return httpx2.AsyncClient(transport=LoopbackTransport(), timeout=timeout, trust_env=False, follow_redirects=False)
