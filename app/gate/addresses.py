"""Which addresses a provider may have and what a name may resolve to. Pure; asking a name server is left to others.

A team's server lies in a network of one's own, so its name must lead there and nowhere else; names that say *local*
must lead to this machine. The address that was checked is the one that is connected to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from app.gate.records import Trust
from engine.errors import GatehouseError

_PORTS = {"http": 80, "https": 443}
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[A-Za-z0-9._-]+)?")
"""A name or an address, and nothing that two readers could take for two things."""
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 behind a translator. Source: RFC 6052."""
_SCHEMES: dict[str, Literal["http", "https"]] = {"http": "http", "https": "https"}


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: Literal["http", "https"]
    host: str
    """Lower case, without brackets."""
    port: int
    path: str
    """Without a slash at its end."""

    @property
    def name(self) -> str:
        """For people and the ledger: the port only when it is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def holds(self, other: Target) -> bool:
        """Whether ``other`` lies under this address."""
        same = (self.scheme, self.host, self.port) == (other.scheme, other.host, other.port)
        under = other.path == self.path or other.path.startswith(self.path + "/")
        return same and under and ".." not in other.path


def target_of(url: str) -> Target:
    """Raises ``GatehouseError`` ``bad_address`` for what is no http address, or holds a name and password."""
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode("ascii")  # as it is asked for; one that only looks alike shows, too
    except ValueError as error:  # UnicodeError is one
        raise _bad(url) from error
    if "@" in parts.netloc:
        raise GatehouseError(
            "bad_address", "The address holds a name or a password.", "Give the key by itself; it is kept safe."
        )
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or _HOST.fullmatch(host) is None or any(c.isspace() for c in url.strip()):
        raise _bad(url)
    return Target(scheme, host.lower(), port or _PORTS[scheme], parts.path.rstrip("/"))


def check_provider(base_url: str, trust: Trust) -> Target:
    """Where a provider's base URL leads. Raises ``GatehouseError`` for one that cannot be trusted so far."""
    target = target_of(base_url)
    parts = urlsplit(base_url.strip())
    if parts.query or parts.fragment:
        raise GatehouseError("bad_address", "A base URL has no question mark and no #.", "E.g. https://host/v1")
    literal = _literal(target.host)
    if literal is not None:
        check_resolved(target.host, [str(literal)], trust)
    if target.scheme == "http" and trust == "cloud" and not claims_loopback(target.host):
        raise GatehouseError(
            "insecure_address",
            f"{target.host} would get texts and key without encryption (http).",
            "Use its https address; only servers of a team, in one's own network, may have http.",
        )
    return target


def check_resolved(host: str, addresses: Sequence[str], trust: Trust) -> tuple[str, ...]:
    """The addresses, all of them such as they should be. Raises ``GatehouseError`` ``not_local`` or ``bad_address``."""
    found = [_unwrapped(ipaddress.ip_address(address.partition("%")[0])) for address in addresses]
    for address in found:
        if address.is_multicast or address.is_unspecified:
            raise GatehouseError("bad_address", f"{host} leads to {address}, which is no address of a server.")
        if claims_loopback(host) and not address.is_loopback:
            raise _not_local(host, str(address), "claims to be this machine")
        if trust == "team" and _end_of(address).is_global:
            raise _not_local(host, str(address), "is set up as a server of your team")
    return tuple(addresses)


def claims_loopback(host: str) -> bool:
    """Whether the name or address says that it is this machine. What it really leads to is asked before connecting."""
    literal = _literal(host)
    if literal is not None:
        return literal.is_loopback
    return host == "localhost" or host.endswith((".localhost", ".localhost.", "localhost."))


def _literal(host: str) -> _Address | None:
    try:
        return _unwrapped(ipaddress.ip_address(host.partition("%")[0]))
    except ValueError:
        return None


def _unwrapped(address: _Address) -> _Address:
    """An IPv4 address in the clothes of IPv6 is judged as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _end_of(address: _Address) -> _Address:
    """Where a tunnel or a translator to IPv4 leads; others lead to themselves."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.sixtofour or (teredo[1] if teredo is not None else address)


def _not_local(host: str, address: str, claim: str) -> GatehouseError:
    return GatehouseError(
        "not_local",
        f"{host} {claim}, but leads to {address}, which is outside your network. Nothing was sent.",
        "Check the address; a server on the internet is one of the cloud.",
    )


def _bad(url: str) -> GatehouseError:
    shown = url.strip()[:80]
    return GatehouseError("bad_address", f"“{shown}” is no address of a server.", "E.g. https://api.example.com/v1")
