"""What one request may carry and where to, as the gate's service settled it; ``app.gate.egress`` holds it to that."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from app.gate.label import GateMode, Label
from app.gate.records import Trust

FinalCheck = Callable[[bytes], Awaitable[None]]
"""Looks at the exact bytes a moment before they would leave. Raises ``GatehouseError``: then nothing leaves."""

Purpose = Literal["answer", "test", "hub", "download"]
"""``hub`` asks what there is, ``download`` fetches it; ``test`` says nothing of the person's."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave for one request, once. The same request cannot be sent again on it."""

    purpose: Purpose
    base_url: str
    """Only what lies under this address may be asked."""
    trust: Trust
    consent: str
    """Who agreed, and how: ``sheet``, ``open conversation``, ``button``, ``command``."""
    provider: str = ""
    model: str = ""
    conversation_id: str | None = None
    label: Label | None = None
    """The strictest of everything in it. Needed for answers."""
    mode: GateMode | None = None
    """Of the conversation. Needed for answers."""
    body_sha256: str = ""
    """Hex, of the only body that may leave. Needed for answers."""
    prompt_tokens: int | None = None
    """About, as shown before."""
    cost_usd_at_most: float | None = None
    """``None`` when the provider has no prices; with a budget set, that stops the request."""
    redactions: Mapping[str, int] = field(default_factory=dict)
    """Counts by kind."""
    final_check: FinalCheck | None = field(default=None, repr=False, compare=False)
    """Needed for answers."""
    still: Callable[[], Awaitable[None]] | None = field(default=None, repr=False, compare=False)
    """Asked once more when the connection is there: finding it takes time. Raises ``GatehouseError``."""
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Names both of its rows in the ledger."""
