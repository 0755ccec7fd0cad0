"""Everything that reaches beyond this machine, wired together: the switch, the ledger, the way out, the providers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.bus import Bus
from app.events import LedgerGrew, OfflineChanged, ProvidersChanged
from app.gate.chain import PLAIN_KEY
from app.gate.egress import Egress
from app.gate.ledger import Ledger
from app.gate.offline import Offline
from app.lanes import StoreLane
from app.paths import Paths
from app.providers.keys import ProviderKeys
from app.providers.registry import Providers
from app.providers.remote import RemoteProvider
from app.settings import Settings
from engine.errors import GatehouseError

if TYPE_CHECKING:
    from app.vault.vault import Vault

_LEDGER_PURPOSE = "ledger"


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
    ledger = Ledger(lane, lambda: _ledger_keys(vault), paths.data, lambda row: bus.publish(LedgerGrew(row)))
    egress = Egress(ledger, offline)
    keys = ProviderKeys(vault)
    providers = Providers(lane, keys, lambda: bus.publish(ProvidersChanged()))
    return Outside(offline, ledger, egress, providers, RemoteProvider(egress, keys))


def _ledger_keys(vault: Vault) -> Sequence[bytes]:
    """A plain store has no secret; one that was sealed later has rows from before."""
    key = vault.lasting(_LEDGER_PURPOSE)
    if key is not None:
        return (PLAIN_KEY, key)
    if vault.needs_passphrase():
        raise GatehouseError("locked", "The store is locked, and with it the ledger, so nothing leaves.", "Unlock it.")
    return (PLAIN_KEY,)
