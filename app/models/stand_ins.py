"""Cards that are no cards: ggml RPC servers on loopback, named in the settings for experts and tests. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


def usable_endpoints(endpoints: Sequence[str]) -> tuple[str, ...]:
    """Those of ``HOST:PORT`` that lie on this machine; anything else would carry prompts out of the house."""
    return tuple(endpoint for endpoint in endpoints if _is_here(endpoint))


def _is_here(endpoint: str) -> bool:
    host, _, port = endpoint.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65_536:
        return False
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False  # a name, even localhost, leads where a name server says
