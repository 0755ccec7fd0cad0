"""Everything that reaches beyond this machine, wired together: the switch, the ledger, the way out, the providers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bus import Bus
from app.events import BudgetChanged, LedgerGrew, OfflineChanged, ProvidersChanged
from app.gate.egress import Egress
from app.gate.ledger import Ledger
from app.gate.ledger_keys import ledger_keys
from app.gate.offline import Offline
from app.gate.records import LedgerRow
from app.lanes import StoreLane
from app.paths import Paths
from app.providers.keys import ProviderKeys
from app.providers.registry import Providers
from app.providers.remote import RemoteProvider
from app.settings import Settings

if TYPE_CHECKING:
    from app.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Outside:
    """Whoever wants anything from outside gets it from here."""

    offline: Offline
    ledger: Ledger
    egress: Egress
    providers: Providers
    remote: RemoteProvider


def reach_outside(paths: Paths, settings: Settings, bus: Bus, lane: StoreLane, vault: Vault) -> Outside:
    """In the core thread: the ledger is written by its loop. Asks nobody."""
    offline = Offline(settings)
    offline.listen(lambda on: bus.publish(OfflineChanged(on)))
    offline.follow()

    def grew(row: LedgerRow) -> None:
        bus.publish(LedgerGrew(row))
        if row.cost_usd:
            bus.publish(BudgetChanged())

    ledger = Ledger(lane, lambda: ledger_keys(vault), paths.data, grew)
    egress = Egress(ledger, offline)
    keys = ProviderKeys(vault)
    providers = Providers(lane, keys, lambda: bus.publish(ProvidersChanged()))
    return Outside(offline, ledger, egress, providers, RemoteProvider(egress, keys))
