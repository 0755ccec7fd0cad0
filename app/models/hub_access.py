"""The one door to a hub of models: which hub it is, and with which token. Through the gate, like everything else.

Everything that goes online for models makes its client here, and only because a person searched, asked for a plan, or
fetched something. Each request stands in the ledger; while the product is offline there is none. Proxies and mirrors
are the environment's (``HTTPS_PROXY``, ``HF_ENDPOINT``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from app.models.hub_token import GivenToken, HubToken
from engine.hub.endpoint import endpoint_of, host_of
from engine.hub.interrupt import Interrupt
from engine.hub.patience import Patience

if TYPE_CHECKING:
    from app.gate.egress import Egress
    from engine.hub.client import HubClient

T = TypeVar("T")

ATTENDED = Patience(connect_s=8.0, stall_s=15.0, attempts=2, first_pause_s=0.5)
"""While a person waits for the answer: a sentence soon is better than an answer after a minute."""


class HubAccess:
    """Makes clients. Usable from any thread but the core's, which the ledger is written by."""

    def __init__(
        self,
        token: HubToken | GivenToken,
        egress: Egress,
        endpoint: Callable[[], str] = endpoint_of,
        consent: Literal["button", "command"] = "button",
    ) -> None:
        self.token = token
        self._egress = egress
        self._endpoint = endpoint
        self._consent: Literal["button", "command"] = consent

    @property
    def host(self) -> str:
        """Who is asked, as told to the person."""
        return host_of(self._endpoint())

    def client(self, patience: Patience | None = None, purpose: Literal["hub", "download"] = "hub") -> HubClient:
        """Close it when done. Blocking: the token may be asked of the system's keyring. Raises: ``HubError``."""
        from engine.hub.client import HubClient

        endpoint = self._endpoint()
        # First, so that nobody is asked for a keyring's password only to hear that the product is offline.
        made = self._egress.hub_client(patience or Patience(), endpoint, self._consent, purpose)
        return HubClient(endpoint=endpoint, token=self.token.read(), patience=patience, make_client=lambda _: made)

    def downloading(self) -> HubClient:
        """As :meth:`client`, for files."""
        return self.client(purpose="download")

    async def ask(self, work: Callable[[HubClient, Interrupt], T]) -> T:
        """Run blocking work with a client of its own; cancelling interrupts it. Raises what the work raises."""
        interrupt = Interrupt()

        def run() -> T:
            with self.client(ATTENDED) as client:
                return work(client, interrupt)

        try:
            return await asyncio.to_thread(run)
        except asyncio.CancelledError:
            interrupt.set()
            raise
