"""The one door to a hub of models: whether it may be used, which hub it is, and with which token.

Everything of the window that goes online for models makes its client here, and only because a person searched, asked
for a plan, or fetched something. Proxies and mirrors are the environment's (``HTTPS_PROXY``, ``HF_ENDPOINT``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from app.models.hub_token import HubToken
from engine.hub.endpoint import endpoint_of, host_of
from engine.hub.interrupt import Interrupt
from engine.hub.patience import Patience

if TYPE_CHECKING:
    from engine.hub.client import HubClient

T = TypeVar("T")

ATTENDED = Patience(connect_s=8.0, stall_s=15.0, attempts=2, first_pause_s=0.5)
"""While a person waits for the answer: a sentence soon is better than an answer after a minute."""


def always() -> None:
    """Nothing forbids going online yet; a switch for the whole house raises ``HubError`` here instead."""


class HubAccess:
    """Makes clients. Usable from any thread."""

    def __init__(
        self, token: HubToken, check_allowed: Callable[[], None] = always, endpoint: Callable[[], str] = endpoint_of
    ) -> None:
        self.token = token
        self._check_allowed = check_allowed
        self._endpoint = endpoint

    @property
    def host(self) -> str:
        """Who is asked, as told to the person."""
        return host_of(self._endpoint())

    def client(self, patience: Patience | None = None) -> HubClient:
        """Close it when done. Blocking: the token may be asked of the system's keyring. Raises: ``HubError``."""
        from engine.hub.client import HubClient

        self._check_allowed()
        return HubClient(endpoint=self._endpoint(), token=self.token.read(), patience=patience)

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
