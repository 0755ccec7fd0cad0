"""The one way out of this machine: providers in the cloud, servers of a team, and the hub of models all go through it.

It refuses while the product is offline, refuses what no permit covers, writes the ledger before the first byte leaves
and after the last. Whether something should be asked at all is decided by ``app.gate.service``; the sockets are
``app.gate.transport``'s, which is imported only when something really is about to be asked.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Literal
from weakref import WeakSet

from app.gate.offline import Offline
from app.gate.passage import LedgerWriter, Passage, Patience
from app.gate.permit import Permit

if TYPE_CHECKING:
    import httpx2

    from app.gate.transport import Resolve
    from engine.hub.patience import Patience as HubPatience


class Egress:
    """Made in the core thread, whose loop writes the ledger for requests of other threads, too."""

    def __init__(self, ledger: LedgerWriter, offline: Offline, resolve: Resolve | None = None) -> None:
        """``resolve`` takes the place of the system's name servers."""
        self.offline = offline
        self._ledger = ledger
        self._resolve = resolve
        self._loop = asyncio.get_running_loop()
        self._trust: ssl.SSLContext | None = None
        self._under_way: WeakSet[Passage] = WeakSet()
        offline.listen(self._switched)

    async def passage(self, permit: Permit, patience: Patience | None = None) -> Passage:
        """A way out for one request; enter it with ``async with``. Raises ``GatehouseError`` while offline."""
        self.offline.check()
        await asyncio.to_thread(_import_transport)
        made = Passage(permit, self._ledger, self.offline, self._client, patience or Patience())
        self._under_way.add(made)
        return made

    def hub_client(
        self, patience: HubPatience, endpoint: str, consent: str, purpose: Literal["hub", "download"] = "hub"
    ) -> httpx2.Client:
        """A blocking client for a hub, for any thread but the core's. Raises ``HubError`` while offline."""
        from app.gate.hub_transport import hub_client

        return hub_client(self._ledger, self.offline, self._loop, patience, endpoint, (consent, purpose), self._resolve)

    def _client(self, passage: Passage) -> httpx2.AsyncClient:
        import httpx2

        from app.gate.transport import GateTransport, resolve

        patience = passage.patience
        return httpx2.AsyncClient(
            transport=GateTransport(passage, self._resolve or resolve, self._trusted),
            timeout=httpx2.Timeout(patience.first_byte_s, connect=patience.connect_s),
            trust_env=False,
            follow_redirects=False,
        )

    def _trusted(self) -> ssl.SSLContext:
        from app.gate.transport import trusted

        if self._trust is None:
            self._trust = trusted()
        return self._trust

    def _switched(self, on: bool) -> None:
        if on:
            for passage in tuple(self._under_way):
                passage.break_off()


def _import_transport() -> None:
    import app.gate.transport  # noqa: F401 - for its effect, off the loop
