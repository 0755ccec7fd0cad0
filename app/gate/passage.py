"""One request on its way through the gate: what it may do, how far it got, and its two rows in the ledger.

Leaves bytes to ``app.gate.transport``, which asks here before the first and tells of all that follow.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from app.gate.addresses import Target, check_provider, target_of
from app.gate.label import GateMode, Label
from app.gate.ledger import Ending
from app.gate.offline import Offline, refused
from app.gate.permit import Permit
from app.gate.records import LedgerRow, Outcome
from engine.errors import GatehouseError

if TYPE_CHECKING:
    import httpx2

_log = logging.getLogger(__name__)


class LedgerWriter(Protocol):
    """What a passage needs of the ledger."""

    async def begin(self, permit: Permit, host: str, bytes_out: int, body_sha256: str) -> LedgerRow: ...

    async def end(self, first: LedgerRow, ending: Ending) -> LedgerRow: ...


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how much of one answer is waited for."""

    connect_s: float = 15.0
    connect_attempts: int = 2
    """Only while nothing of the request has left."""
    connect_pause_s: float = 0.5
    first_byte_s: float = 300.0
    """Reading a long prompt takes its time."""
    stall_s: float = 60.0
    """Silence in the middle of an answer."""
    total_s: float = 3600.0
    answer_bytes: int = 64 << 20
    error_bytes: int = 64 << 10


class Passage:
    """Use with ``async with``; ``http`` sends exactly one request, and only the permitted one."""

    def __init__(
        self,
        permit: Permit,
        ledger: LedgerWriter,
        offline: Offline,
        make_http: Callable[[Passage], httpx2.AsyncClient],
        patience: Patience,
    ) -> None:
        self.permit = permit
        self.patience = patience
        self.outcome = Outcome.UNREACHABLE
        """Kept up to date by whoever learns more; written when the passage ends."""
        self.bytes_in = 0
        self.content_type = ""
        self.prompt_tokens: int | None = None
        self.completion_tokens: int | None = None
        self.cost_usd: float | None = None
        self.sends_key = True
        self._ledger = ledger
        self._offline = offline
        self._make_http = make_http
        self._http: httpx2.AsyncClient | None = None
        self._bytes_out = 0
        self._sent = False
        self._beginning: asyncio.Task[LedgerRow] | None = None
        self._break: Callable[[], None] | None = None

    async def __aenter__(self) -> Passage:
        self._http = self._make_http(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            if self._http is not None:
                await self._http.aclose()
        finally:
            await self._end()

    @property
    def http(self) -> httpx2.AsyncClient:
        assert self._http is not None, "entered"
        return self._http

    @property
    def sent(self) -> bool:
        """Whether the first byte of the request has left."""
        return self._sent

    @property
    def broken_off(self) -> bool:
        """The whole product went offline meanwhile."""
        return self._offline.is_on

    async def admit(self, method: str, url: str, body: bytes) -> Target:
        """Hold a request against the permit just before it leaves. Raises ``GatehouseError``: then nothing does."""
        self._offline.check()
        if self._beginning is not None:
            raise GatehouseError("sent_already", "This request was sent before; it is not sent again by itself.")
        target = target_of(url)
        if not check_provider(self.permit.base_url, self.permit.trust).holds(target):
            raise GatehouseError(
                "other_host", f"A request to {target.name} was stopped: it was allowed for {self.permit.provider} only."
            )
        if "?" in url or "#" in url or not (method == "POST" or (method == "GET" and not body)):
            raise GatehouseError("not_permitted", f"A request of another form than agreed was stopped ({method[:10]}).")
        check_permit(self.permit, body)
        if self.permit.final_check is not None:
            await self.permit.final_check(body)
        return target

    async def begin(self, host: str, bytes_out: int, body: bytes) -> None:
        """Write the ledger's first row. Raises ``GatehouseError``: then nothing leaves."""
        self._bytes_out = bytes_out
        digest = hashlib.sha256(body).hexdigest() if body else ""
        self._beginning = asyncio.ensure_future(self._ledger.begin(self.permit, host, bytes_out, digest))
        await asyncio.shield(self._beginning)
        # Writing takes a moment, in which a person may have turned the switch.
        self._offline.check()

    async def leaves(self) -> None:
        """The first byte is about to leave. Raises ``GatehouseError`` when that is no longer allowed: then none does.

        Finding and reaching a server takes up to minutes, in which a person may shut the gate.
        """
        if self._sent:
            return
        if self.permit.still is not None:
            await self.permit.still()
        self._offline.check()
        self._sent = True

    def waits(self, break_off: Callable[[], None] | None) -> None:
        """The request is on its way or waits for an answer, until told ``None``; ``break_off`` ends that."""
        self._break = break_off

    def answered(self, content_type: str, break_off: Callable[[], None]) -> None:
        """The head of an answer is there; ``break_off`` ends the connection."""
        self.outcome = Outcome.CUT
        self.content_type = content_type.partition(";")[0].strip().lower()
        self._break = break_off
        self.took(0)

    def took(self, count: int) -> None:
        """So many bytes of the answer came. Raises ``GatehouseError`` when the product has gone offline."""
        self.bytes_in += count
        if self._offline.is_on:
            raise refused(forced=self._offline.is_forced)

    def break_off(self) -> None:
        """End the connection, if there is one. In the core thread."""
        if self._break is not None:
            self._break()

    async def _end(self) -> None:
        if self._beginning is None:
            return
        try:
            first = await self._beginning
        except GatehouseError:
            return  # never written, so nothing left
        ending = Ending(
            outcome=self.outcome,
            bytes_out=self._bytes_out if self._sent else 0,
            bytes_in=self.bytes_in,
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            cost_usd=self.cost_usd if self._sent else 0.0,
        )
        try:
            await self._ledger.end(first, ending)
        except GatehouseError as error:
            _log.warning("The ledger's second row of a request could not be written (%s).", error.code)


def check_permit(permit: Permit, body: bytes) -> None:
    """Whether these bytes may leave on this permit. Pure. Raises ``GatehouseError``."""
    if permit.label is Label.RESTRICTED:
        raise GatehouseError("restricted", "What is restricted never leaves this machine. Nothing was sent.")
    if permit.purpose not in ("answer", "test") or (permit.purpose == "answer" and not body):
        raise GatehouseError("not_permitted", f"A request for “{permit.purpose}” has nothing to send.")
    if body and hashlib.sha256(body).hexdigest() != permit.body_sha256:
        raise GatehouseError("other_bytes", "What would leave is not what was agreed to, so nothing was sent.")
    if permit.purpose == "test":
        return
    if permit.label is None or permit.mode is None or permit.final_check is None or not permit.consent:
        raise GatehouseError("not_permitted", "Nobody has agreed to this request, so nothing was sent.")
    if permit.mode is GateMode.LOCAL:
        raise GatehouseError("local_only", "This conversation is local only, so nothing was sent.")
