"""What the hub on loopback can be told to do wrong."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Cut:
    """Break the connection off after so many bytes of the body."""

    after_bytes: int


@dataclass(frozen=True)
class Stall:
    """Fall silent after so many bytes of the body, until the hub is closed or the client gives up."""

    after_bytes: int


@dataclass(frozen=True)
class Flip:
    """Send one wrong byte at this place of the file."""

    at: int


@dataclass(frozen=True)
class Length:
    """Claim a length that is off by so many bytes, and send what is there."""

    off_by: int


@dataclass(frozen=True)
class Status:
    """Answer with this status in place of anything else."""

    code: int
    retry_after: str | None = None
    error_code: str | None = None


@dataclass(frozen=True)
class Loop:
    """Redirect to itself."""


@dataclass(frozen=True)
class Page:
    """Send a web page, as a hotel's network does."""


@dataclass(frozen=True)
class Whole:
    """Ignore the wish for a range and send the whole file."""


@dataclass(frozen=True)
class Total:
    """Claim in Content-Range another length of the whole file."""

    bytes: int


@dataclass(frozen=True)
class Gate:
    """Send so many bytes, then wait for the test to open the gate, then send the rest."""

    after_bytes: int
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)


Fault = Cut | Stall | Flip | Length | Status | Loop | Page | Whole | Total | Gate
Where = Literal["api", "hub", "bytes"]
"""The description, the redirect to the bytes, or the bytes."""
