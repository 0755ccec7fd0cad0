"""What the window and the command line may ask of the product.

All coroutines run in the core thread. Errors of the environment are raised as ``engine.errors.GatehouseError``.
The implementations are ``app.chat.service``, ``app.models.service`` and ``app.gate.service``; tests of the window use
doubles of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app.bus import Bus
from app.chat.records import ContextUse, Conversation, SearchHit, Transcript
from app.documents.api import DocumentsApi
from app.gate.label import GateMode, Label
from app.gate.records import (
    Ask,
    Budget,
    BytesLeft,
    Finding,
    LedgerCheck,
    LedgerPage,
    Offers,
    Place,
    Preview,
    PreviewChange,
    Provider,
    ProviderTest,
    Routed,
    Term,
)
from app.models.bundles import Piece
from app.models.offers import Choice, Offer, Query, Suggestion
from app.models.records import Copied, Download, LoadedModel, Measured, ModelCard, RemotePlan, Removed
from app.settings import Settings
from app.vault.records import Lock, Retention, Shredded, VaultState
from engine.fit.plan import Misfit, Plan, Wish
from engine.fit.routed import RoutedExperts
from engine.hardware.profile import Machine
from engine.hub.catalogue import Task


class ChatApi(Protocol):
    """Conversations and answers."""

    async def conversations(self) -> Sequence[Conversation]:
        """All that are not deleted: pinned first, then the latest first."""

    async def open(self, conversation_id: str) -> Transcript: ...

    async def create(self, model_id: str | None = None) -> Conversation: ...

    async def rename(self, conversation_id: str, title: str) -> None: ...

    async def pin(self, conversation_id: str, pinned: bool) -> None: ...

    async def set_system_prompt(self, conversation_id: str, text: str) -> None: ...

    async def delete(self, conversation_id: str) -> None:
        """Hide it; ``undelete`` brings it back until the app's next start purges it."""

    async def undelete(self, conversation_id: str) -> None: ...

    async def send(self, conversation_id: str | None, text: str) -> str:
        """Store the message and start its answer; returns the answer's id. ``None`` starts a conversation."""

    async def edit(self, message_id: str, text: str) -> str:
        """A sibling of a person's message with other text, and its answer; returns the answer's id."""

    async def regenerate(self, message_id: str) -> str:
        """A new sibling of an answer; returns its id."""

    async def stop(self, message_id: str) -> None: ...

    async def choose_branch(self, message_id: str, step: int = 0) -> None:
        """Make the branch through this message, or through its sibling ``step`` places on, the chosen one."""

    async def search(self, words: str, limit: int = 50) -> Sequence[SearchHit]: ...

    async def measure(self, conversation_id: str | None, draft: str) -> ContextUse:
        """What the next prompt would take of the context."""


class ModelsApi(Protocol):
    """Models on disk and the one that is loaded."""

    async def models(self) -> Sequence[ModelCard]: ...

    async def add_file(self, path: Path) -> ModelCard:
        """Use a file in place. Raises ``ModelFileError`` with the fault."""

    async def remove(self, model_id: str) -> Removed:
        """Forget a file used in place (the file stays), or delete one of our own; ``restore`` undoes it for a while.

        Raises ``ModelFileError`` for what came with the set-up or belongs to another program.
        """

    async def restore(self, token: str) -> None:
        """Undo a removal. Raises ``ModelFileError`` when the time for that is over."""

    async def plan(self, model_id: str, wish: Wish) -> Plan | Misfit:
        """What loading would take, against what is free now."""

    async def load(self, model_id: str, wish: Wish | None = None) -> None:
        """Load it, replacing the loaded one; progress comes as ``LoadedModelChanged``."""

    async def unload(self) -> None: ...

    def loaded(self) -> LoadedModel: ...

    async def machine(self, refresh: bool = False) -> Machine: ...

    async def glance(self) -> Machine | None:
        """What was measured last, with the memory that is free now: cheap enough to be asked every few seconds."""

    def pinned(self, model_id: str) -> Wish | None:
        """What this model is loaded with when nobody says otherwise."""

    async def pin(self, model_id: str, wish: Wish, plan: Plan | None) -> None:
        """Load this model as ``plan`` does from now on; ``None`` leaves it to the planner again."""

    async def measured(self, model_id: str) -> Measured | None:
        """What its latest answers on this machine reached; ``None`` when there was none."""

    async def command(self, plan: Plan) -> str:
        """The llama-server command line that loads the model in the same way."""

    async def watch_experts(self, watching: bool) -> RoutedExperts | None:
        """Begin or end counting which experts the loaded model uses; what was counted so far."""

    async def experts(self) -> RoutedExperts | None:
        """What was counted; ``None`` when nothing ever was. Raises ``WorkerError``."""


class HubApi(Protocol):
    """Models elsewhere. Everything but the catalogue asks the hub, and only when called."""

    def host(self) -> str:
        """Who is asked, e.g. ``huggingface.co`` or a mirror's name."""

    async def catalogue(self) -> Sequence[Offer]:
        """The models that Gatehouse knows by name, judged for this machine. Asks nobody."""

    async def suggestions(self, task: Task = "chat") -> Sequence[Suggestion]:
        """What we would take on this machine: fast ones, strong ones, and what only a cloud can run. Asks nobody."""

    async def search(self, query: Query) -> Sequence[Offer]:
        """Raises ``HubError``. Cancelling it is heard at once."""

    async def look_into(self, offer: Offer) -> Offer:
        """A search's result with the sizes of all its quantizations. Raises ``HubError``."""

    async def plan(self, choice: Choice, wish: Wish) -> RemotePlan:
        """The exact plan before the download: fetches the header once, then plans again without asking anybody.

        Raises ``HubError``, ``ModelFileError``. Cancelling it is heard at once.
        """

    async def fetch(self, choice: Choice) -> str:
        """Ask the hub what exactly the choice is, and begin to download it; returns the download's id."""

    async def has_token(self) -> bool: ...

    async def set_token(self, token: str | None) -> bool:
        """For gated models; ``None`` forgets it. Returns whether the system's keyring keeps it."""


class DownloadsApi(Protocol):
    """Models on their way here; changes come as events."""

    def downloads(self) -> tuple[Download, ...]:
        """In order: among those that wait, the earlier starts first."""

    def line_bytes_s(self) -> float | None:
        """How fast the last download was, for a guess at the next one's time."""

    async def pause(self, download_id: str) -> None: ...

    async def resume(self, download_id: str) -> None: ...

    async def cancel(self, download_id: str) -> None:
        """Stop it, and throw away what has arrived once the time for ``keep`` is over; takes a finished one off."""

    async def keep(self, download_id: str) -> None:
        """Take a cancel back."""

    async def move(self, download_id: str, position: int) -> None: ...


class BundlesApi(Protocol):
    """Models by disk, for machines without a network."""

    async def export(self, pieces: Sequence[Piece], folder: Path) -> Sequence[Copied]:
        """Copy models with their hashes and plans into a folder. Raises ``HubError``."""

    async def take_over(self, folder: Path) -> Sequence[Copied]:
        """Verify and copy every model of a bundle. Raises ``HubError`` when it is none."""


class GateApi(Protocol):
    """What may leave, what would leave, what left. Only :meth:`send`, :meth:`ask` and :meth:`test_provider` send."""

    async def set_mode(self, conversation_id: str, mode: GateMode) -> None: ...

    async def set_label(self, conversation_id: str, label: Label) -> None: ...

    async def places(self) -> Sequence[Place]:
        """Workspaces, each followed by its folders."""

    async def add_place(self, name: str, label: Label, parent_id: str | None = None) -> Place: ...

    async def change_place(self, place_id: str, name: str | None = None, label: Label | None = None) -> None: ...

    async def remove_place(self, place_id: str) -> None:
        """Take a place away; what lay in it keeps at least the label that it had there."""

    async def move(self, conversation_id: str, place_id: str | None) -> None:
        """Put a conversation into a place, or into none."""

    async def route(self, text: str, conversation_id: str | None = None) -> Routed:
        """What a prompt seems to need, before anybody answers it. Asks nobody."""

    async def offers(self, message_id: str) -> Offers:
        """What can be chosen under an answer, flagged or not."""

    async def ask_larger(self, message_id: str) -> str:
        """A sibling of the answer by the larger local model; returns its id. Raises ``GatehouseError``."""

    async def keep(self, message_id: str) -> None:
        """The person keeps a flagged answer: the line under it goes."""

    async def preview(self, ask: Ask) -> Preview:
        """Exactly what would leave. What policy forbids comes as its verdict; a fault of a detector is raised."""

    async def change(self, preview_id: str, change: PreviewChange) -> Preview:
        """Scan, redact and judge again after a change in the sheet."""

    async def send(self, preview_id: str, body_sha256: str) -> str:
        """Consent to these bytes and send them; returns the new sibling answer's id.

        Raises ``GatehouseError`` when policy forbids it by now, or when the preview's body is another one.
        """

    async def discard(self, preview_id: str) -> None:
        """Forget a preview."""

    async def ask(self, ask: Ask) -> str:
        """Preview and send in one, for conversations that are open; returns the answer's id.

        Raises ``GatehouseError`` ``needs_sheet`` for all others.
        """

    async def providers(self) -> Sequence[Provider]: ...

    async def save_provider(self, provider: Provider, key: str | None = None) -> Provider:
        """Add (with an empty id) or change one; ``key`` is stored where keys are, ``None`` leaves it."""

    async def remove_provider(self, provider_id: str) -> None:
        """With its key."""

    async def set_key(self, provider_id: str, key: str | None) -> None:
        """``None`` forgets it. Raises ``GatehouseError`` when no place can keep it safe."""

    async def test_provider(self, provider_id: str) -> ProviderTest:
        """Ask it for one token: this leaves the machine and stands in the ledger."""

    async def scan(self, text: str) -> Sequence[Finding]:
        """What the detectors find in a text. Raises ``GatehouseError``."""

    async def glossary(self) -> Sequence[Term]: ...

    async def add_term(self, text: str, kind: str) -> Term: ...

    async def remove_term(self, term_id: int) -> None: ...

    async def ledger(self, before: int | None = None, limit: int = 100) -> LedgerPage: ...

    async def verify_ledger(self) -> LedgerCheck: ...

    async def export_ledger(self, path: Path) -> int:
        """Write it as JSON lines; returns how many rows."""

    async def bytes_left(self) -> BytesLeft: ...

    async def budget(self) -> Budget: ...

    async def set_budget(self, day_usd: float | None, month_usd: float | None) -> None: ...

    def offline(self) -> bool: ...

    async def set_offline(self, offline: bool) -> None:
        """The switch for the whole product: while it is on, nothing asks anybody but this machine."""


class StoreApi(Protocol):
    """How the store is kept: its key, its passphrase, its copies, what is removed from it."""

    async def state(self) -> VaultState: ...

    def locked(self) -> bool:
        """Whether a passphrase is wanted before anything is shown."""

    async def lock(self) -> None:
        """What runs goes on and is saved; then the store is closed and its key forgotten.

        Raises ``VaultError`` ``no_passphrase``.
        """

    async def unlock(self, typed: str) -> None:
        """With the passphrase or the recovery code. Raises ``VaultError``, with the time to wait after wrong ones."""

    async def set_passphrase(self, passphrase: str) -> str:
        """Choose or change it; the store gets a new key. Returns the recovery code, which is written nowhere.

        Raises ``VaultError``, ``StoreError``.
        """

    async def remove_passphrase(self) -> Lock:
        """Back to the keyring, or to a plain store where none runs; returns which. Raises ``VaultError``."""

    async def renew_recovery_code(self) -> str:
        """The one before no longer opens the store. Raises ``VaultError``."""

    async def rotate(self) -> None:
        """A new key for the whole store. Raises ``VaultError``, ``StoreError``."""

    async def back_up(self, path: Path) -> int:
        """Write a copy that opens as the store does; returns its bytes. Raises ``StoreError``, ``OSError``."""

    async def retention(self) -> Retention: ...

    async def keep_days(self, label: Label, days: int | None) -> None:
        """How long conversations, documents and batches with this label are kept after their last use.

        ``None`` is for ever.
        """

    async def hold(self, item_id: str, held: bool) -> None:
        """Keep a conversation, a document or a batch whatever its label says. Raises ``VaultError``."""

    async def shred(self, ids: Sequence[str]) -> Shredded:
        """Remove what is due and chosen, then make what the disk still holds of it unreadable."""


@dataclass(frozen=True, slots=True)
class Services:
    """The wired product."""

    bus: Bus
    chat: ChatApi
    models: ModelsApi
    hub: HubApi
    downloads: DownloadsApi
    bundles: BundlesApi
    settings: Settings
    gate: GateApi
    documents: DocumentsApi
    store: StoreApi
