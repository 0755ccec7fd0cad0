"""A gate that asks nobody: it redacts the samples' names by plain search, and refuses when a scene says so."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from app.bus import Bus
from app.chat.records import Conversation, Message, Role
from app.events import (
    AnswerFlagged,
    BudgetChanged,
    ConversationChanged,
    GateChanged,
    GlossaryChanged,
    OfflineChanged,
    ProvidersChanged,
)
from app.gate.label import GateMode, Label, strictest
from app.gate.records import (
    ALLOWED,
    Ask,
    Budget,
    BytesLeft,
    Finding,
    LedgerCheck,
    LedgerPage,
    LedgerRow,
    Offers,
    OutgoingAttachment,
    OutgoingMessage,
    Place,
    Preview,
    PreviewChange,
    Provider,
    ProviderTest,
    Redaction,
    Routed,
    Term,
    Verdict,
)
from engine.errors import GatehouseError, RequestError
from ui.screenshots import sample, sample_gate

_WARNINGS = (
    "Detectors look for numbers with a checksum, e-mail addresses, keys and names. They miss nicknames, rare names and "
    "people whom the story itself gives away.",
)


class SampleGate:
    """Everything in memory; ``trouble``, ``refusal`` and ``held`` steer it."""

    def __init__(self, bus: Bus, conversations: dict[str, Conversation], messages: Callable[[], list[Message]]) -> None:
        self._bus = bus
        self._conversations, self._messages = conversations, messages
        self.providers_: dict[str, Provider] = {}
        self.keys: dict[str, str] = {}
        self.rows: tuple[LedgerRow, ...] = ()
        self.places_: dict[str, Place] = {}
        self.terms: list[Term] = []
        self.budget_ = Budget(None, None, 0.0, 0.0)
        self.offline_ = False
        self.check = LedgerCheck(True, 0, None, "The ledger is intact: 0 rows.", "")
        self.refusal: Verdict | None = None
        self.trouble: GatehouseError | None = None
        self.held: asyncio.Event | None = None
        """While set and not released, a preview does not arrive."""
        self.attachments: tuple[OutgoingAttachment, ...] = ()
        self.offered = Offers(sample.MOE.id, sample.MOE.name, ALLOWED)
        self.calls: list[tuple[object, ...]] = []
        self._asks: dict[str, Ask] = {}
        self._changes: dict[str, PreviewChange] = {}

    def furnish(self) -> None:
        """A machine on which the gate has been in use for a while."""
        self.providers_ = {provider.id: provider for provider in sample_gate.PROVIDERS}
        self.rows = sample_gate.LEDGER
        self.places_ = {place.id: place for place in sample_gate.PLACES}
        self.terms = list(sample_gate.GLOSSARY)
        self.budget_ = sample_gate.BUDGET
        head = self.rows[0].mac if self.rows else ""
        self.check = LedgerCheck(True, 20, None, "The ledger is intact: 20 rows, none changed, none missing.", head)

    # Modes, labels, places.

    async def set_mode(self, conversation_id: str, mode: GateMode) -> None:
        self.calls.append(("set_mode", conversation_id, mode))
        self._change_conversation(conversation_id, gate=mode)

    async def set_label(self, conversation_id: str, label: Label) -> None:
        self.calls.append(("set_label", conversation_id, label))
        self._change_conversation(conversation_id, label=label, own_label=label)

    async def places(self) -> Sequence[Place]:
        return tuple(self.places_.values())

    async def add_place(self, name: str, label: Label, parent_id: str | None = None) -> Place:
        parent = self.places_[parent_id].effective if parent_id else Label.PUBLIC
        made = Place(f"w{len(self.places_) + 10}", parent_id, name, label, strictest((label, parent)))
        self.places_[made.id] = made
        self._bus.publish(GateChanged(None))
        return made

    async def change_place(self, place_id: str, name: str | None = None, label: Label | None = None) -> None:
        old = self.places_[place_id]
        self.places_[place_id] = replace(old, name=name or old.name, label=label or old.label)
        for key, place in self.places_.items():
            above = self.places_[place.parent_id].label if place.parent_id else Label.PUBLIC
            self.places_[key] = replace(place, effective=strictest((place.label, above)))
        self._bus.publish(GateChanged(None))

    async def remove_place(self, place_id: str) -> None:
        self.places_.pop(place_id)
        self._bus.publish(GateChanged(None))

    async def move(self, conversation_id: str, place_id: str | None) -> None:
        self._change_conversation(conversation_id, place_id=place_id)

    # Asking.

    async def route(self, text: str, conversation_id: str | None = None) -> Routed:
        return Routed("local", (), ())

    async def offers(self, message_id: str) -> Offers:
        self.calls.append(("offers", message_id))
        return self.offered

    async def ask_larger(self, message_id: str) -> str:
        self.calls.append(("ask_larger", message_id))
        return message_id

    async def keep(self, message_id: str) -> None:
        self.calls.append(("keep", message_id))
        kept = next(message for message in self._messages() if message.id == message_id)
        if kept.flag is not None:
            self._bus.publish(AnswerFlagged(replace(kept, flag=replace(kept.flag, kept=True))))

    async def preview(self, ask: Ask) -> Preview:
        self.calls.append(("preview", ask))
        if self.held is not None:
            await self.held.wait()
        if self.trouble is not None:
            raise self.trouble
        key = f"v{len(self._asks) + 1}"
        self._asks[key] = ask
        self._changes[key] = PreviewChange(frozenset(), {}, ask.provider_id, frozenset())
        return self._made(key)

    async def change(self, preview_id: str, change: PreviewChange) -> Preview:
        self.calls.append(("change", change))
        if self.held is not None:
            await self.held.wait()
        if self.trouble is not None:
            raise self.trouble
        old = self._changes[preview_id]
        self._changes[preview_id] = PreviewChange(
            old.off if change.off is None else change.off,
            old.edits if change.edits is None else change.edits,
            change.provider_id or old.provider_id,
            old.left_out if change.left_out is None else change.left_out,
        )
        return self._made(preview_id)

    async def send(self, preview_id: str, body_sha256: str) -> str:
        self.calls.append(("send", preview_id, body_sha256))
        if self.refusal is not None:
            raise RequestError(self.refusal.code, self.refusal.sentence)
        return "sent"

    async def discard(self, preview_id: str) -> None:
        self.calls.append(("discard", preview_id))

    async def ask(self, ask: Ask) -> str:
        self.calls.append(("ask", ask))
        if self.refusal is not None:
            raise RequestError(self.refusal.code, self.refusal.sentence, self.refusal.hint)
        return "sent"

    # Providers.

    async def providers(self) -> Sequence[Provider]:
        return tuple(self.providers_.values())

    async def save_provider(self, provider: Provider, key: str | None = None) -> Provider:
        if not provider.base_url.startswith("https://") and "127.0.0.1" not in provider.base_url:
            raise RequestError("not_https", f"{provider.base_url} is not encrypted.", "Use an address with https.")
        saved = provider if provider.id else replace(provider, id=f"p{len(self.providers_) + 10}")
        if key is not None:
            self.keys[saved.id] = key
        saved = replace(saved, has_key=saved.has_key or saved.id in self.keys)
        self.providers_[saved.id] = saved
        self._bus.publish(ProvidersChanged())
        return saved

    async def remove_provider(self, provider_id: str) -> None:
        self.providers_.pop(provider_id)
        self.keys.pop(provider_id, None)
        self._bus.publish(ProvidersChanged())

    async def set_key(self, provider_id: str, key: str | None) -> None:
        if key is None:
            self.keys.pop(provider_id, None)
        else:
            self.keys[provider_id] = key
        self.providers_[provider_id] = replace(self.providers_[provider_id], has_key=key is not None)
        self._bus.publish(ProvidersChanged())

    async def test_provider(self, provider_id: str) -> ProviderTest:
        provider = self.providers_[provider_id]
        if not provider.has_key:
            return ProviderTest(False, f"{provider.name} refused the key (401).")
        return ProviderTest(True, f"{provider.name} answered.", 0.62, (provider.model,))

    # Detectors and the glossary.

    async def scan(self, text: str) -> Sequence[Finding]:
        if self.trouble is not None:
            raise self.trouble
        return _findings(text)

    async def glossary(self) -> Sequence[Term]:
        return tuple(self.terms)

    async def add_term(self, text: str, kind: str) -> Term:
        made = Term(max((term.id for term in self.terms), default=0) + 1, text, kind)
        self.terms.append(made)
        self._bus.publish(GlossaryChanged())
        return made

    async def remove_term(self, term_id: int) -> None:
        self.terms = [term for term in self.terms if term.id != term_id]
        self._bus.publish(GlossaryChanged())

    # The ledger, money, the switch.

    async def ledger(self, before: int | None = None, limit: int = 100) -> LedgerPage:
        rows = [row for row in self.rows if before is None or row.seq < before]
        shown = rows[: 2 * limit]
        more = shown[-1].seq if len(rows) > len(shown) else None
        return LedgerPage(tuple(shown), more, len({row.request_id for row in self.rows}))

    async def verify_ledger(self) -> LedgerCheck:
        return self.check

    async def export_ledger(self, path: Path) -> int:
        self.calls.append(("export", path))
        return len(self.rows)

    async def bytes_left(self) -> BytesLeft:
        begun = [row for row in self.rows if row.part == "begun"]
        today = [row for row in begun if row.at > sample.NOW - 16 * 3600]
        since = min((row.at for row in begun), default=None)
        return BytesLeft(sum(row.bytes_out for row in begun), sum(row.bytes_out for row in today), len(today), since)

    async def budget(self) -> Budget:
        return self.budget_

    async def set_budget(self, day_usd: float | None, month_usd: float | None) -> None:
        self.budget_ = replace(self.budget_, day_usd=day_usd, month_usd=month_usd)
        self._bus.publish(BudgetChanged())

    def offline(self) -> bool:
        return self.offline_

    async def set_offline(self, offline: bool) -> None:
        self.offline_ = offline
        self._bus.publish(OfflineChanged(offline))

    # Inside.

    def _change_conversation(self, conversation_id: str, **changes: object) -> None:
        changed = replace(self._conversations[conversation_id], **changes)  # type: ignore[arg-type]
        self._conversations[conversation_id] = changed
        self._bus.publish(GateChanged(conversation_id))
        self._bus.publish(ConversationChanged(changed))

    def _made(self, key: str) -> Preview:
        ask, change = self._asks[key], self._changes[key]
        off, edits, left_out = change.off or frozenset(), change.edits or {}, change.left_out or frozenset()
        provider = self.providers_.get(change.provider_id or "") or next(iter(self.providers_.values()))
        before = self._texts(ask)
        redactions = _redactions([text for _, text, _ in before], off)
        messages = tuple(
            OutgoingMessage(role, text, edits.get(place, _redacted(text, redactions)), source, place in edits)
            for place, (role, text, source) in enumerate(before)
        )
        sent = [{"role": m.role, "content": m.after} for place, m in enumerate(messages) if place not in left_out]
        request = {"model": provider.model, "stream": True, "max_tokens": 2048, "messages": sent}
        verdict = self._verdict(ask, provider)
        body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode() if verdict.allowed else b""
        tokens = sum(len(message["content"]) for message in sent) // 4 + 12
        known = self._conversations.get(ask.conversation_id or "")
        return Preview(
            id=key,
            conversation_id=ask.conversation_id,
            provider=provider,
            messages=messages,
            redactions=redactions,
            body=body,
            body_sha256=hashlib.sha256(body).hexdigest(),
            prompt_tokens=tokens,
            cost_usd_at_most=_cost(provider, tokens),
            label=known.label if known else Label.INTERNAL,
            mode=known.gate if known else GateMode.ASK,
            verdict=verdict,
            warnings=_WARNINGS,
            attachments=self.attachments,
            max_tokens=2048,
            findings=tuple(_findings(text) for _, text, _ in before),
            left_out=left_out,
        )

    def _verdict(self, ask: Ask, provider: Provider) -> Verdict:
        if self.refusal is not None:
            return self.refusal
        if self.offline_:
            return Verdict(False, "offline", "Gatehouse is offline: nothing may leave this machine.")
        if not provider.is_priced and self.budget_.day_usd is not None:
            words = f"There is a budget, and nobody said what {provider.name} costs, so nothing was sent."
            return Verdict(False, "no_price", words, "Enter its prices per million tokens; 0 when it is free.")
        known = self._conversations.get(ask.conversation_id or "")
        mode = known.gate if known is not None else ask.mode
        if mode is GateMode.LOCAL:
            return Verdict(False, "local_only", "This conversation is local only: nothing of it leaves this machine.")
        if (known.label if known is not None else ask.label) is Label.RESTRICTED:
            words = "Something in this is restricted: nothing of it leaves this machine, whatever else is set."
            return Verdict(False, "restricted", words, "Leave it out, or ask the local model.")
        return ALLOWED

    def _texts(self, ask: Ask) -> list[tuple[Role, str, str]]:
        mine = [m for m in self._messages() if m.conversation_id == ask.conversation_id]
        if ask.message_id is not None:
            mine = mine[: next(place for place, m in enumerate(mine) if m.id == ask.message_id)]
        who = {"user": "your message", "assistant": "this machine's answer"}
        texts: list[tuple[Role, str, str]] = [("system", "You are a helpful assistant.", "system prompt")]
        texts += [(m.role, m.text, who.get(m.role, "")) for m in mine if m.text]
        return [*texts, ("user", ask.draft, "your draft")] if ask.draft else texts


def _cost(provider: Provider, tokens: int) -> float | None:
    if provider.input_usd_per_mtok is None or provider.output_usd_per_mtok is None:
        return None
    return (provider.input_usd_per_mtok * tokens + provider.output_usd_per_mtok * 2048) / 1e6


def _findings(text: str) -> tuple[Finding, ...]:
    found = []
    for words, kind, detector, score in sample_gate.SENSITIVE:
        start = text.find(words)
        while start >= 0:
            found.append(Finding(kind, start, start + len(words), words, detector, score))
            start = text.find(words, start + 1)
    return tuple(sorted(found, key=lambda finding: finding.start))


def _redactions(texts: Sequence[str], off: frozenset[str]) -> tuple[Redaction, ...]:
    made, numbers = [], dict[str, int]()
    for words, kind, _, _ in sample_gate.SENSITIVE:
        count = sum(text.count(words) for text in texts)
        if count:
            numbers[kind] = numbers.get(kind, 0) + 1
            placeholder = f"[{kind}_{numbers[kind]}]"
            made.append(Redaction(placeholder, kind, words, count, placeholder not in off))
    return tuple(made)


def _redacted(text: str, redactions: Sequence[Redaction]) -> str:
    for redaction in redactions:
        if redaction.on:
            text = text.replace(redaction.text, redaction.placeholder)
    return text
