"""What would leave, byte for byte: a prompt's parts looked through, hidden, written as a request's body and judged.

Nothing is sent and nothing is stored here. The sheet's state between two looks is a :class:`Sheet`; consent to what it
shows is ``app.gate.consent``'s.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from app.chat.prompt import Part, estimate_tokens
from app.gate import policy
from app.gate.label import GateMode, Label, strictest
from app.gate.last_look import Eyes, LastLook
from app.gate.leaks import unseen
from app.gate.placeholders import parse
from app.gate.policy import Facts
from app.gate.records import (
    Ask,
    Budget,
    Finding,
    OutgoingAttachment,
    OutgoingMessage,
    Preview,
    PreviewChange,
    Provider,
    Redaction,
)
from app.gate.redact import Redacted, Redactor
from app.gate.restore import restore
from app.providers.prices import cost_usd_at_most
from app.providers.provider import PromptMessage
from app.providers.remote_wire import request_body


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is to be asked, and what the person changed so far."""

    id: str
    ask: Ask
    conversation_id: str | None
    parts: tuple[Part, ...] = field(repr=False)
    label: Label
    """The conversation's."""
    mode: GateMode
    provider: Provider
    with_sheet: bool
    known: Mapping[str, str] = field(repr=False)
    """The conversation's placeholders, with those that this sheet gave out."""
    off: frozenset[str] = frozenset()
    edits: Mapping[int, str] = field(default_factory=dict, repr=False)
    left_out: frozenset[int] = frozenset()

    def changed(self, change: PreviewChange, provider: Provider) -> Sheet:
        """With what the person changed. The last message is always sent."""
        last = len(self.parts) - 1
        return replace(
            self,
            provider=provider,
            off=self.off if change.off is None else change.off,
            edits=self.edits
            if change.edits is None
            else {place: text for place, text in change.edits.items() if 0 <= place <= last},
            left_out=self.left_out if change.left_out is None else change.left_out - {last},
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A preview, and what sending it takes."""

    preview: Preview
    known: Mapping[str, str] = field(repr=False)
    look: LastLook
    facts: Facts


@dataclass(frozen=True, slots=True)
class Looked:
    """What detectors found in texts."""

    findings: tuple[tuple[Finding, ...], ...]
    names_sought: bool


Detect = Callable[[Sequence[str]], Awaitable[Looked]]
"""All detectors over the texts. Raises ``GatehouseError``: then there is no preview."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else a preview depends on at this moment."""

    offline: bool
    offline_forced: bool
    budget: Budget
    canaries: tuple[str, ...] = field(repr=False)
    max_tokens: int | None


async def make(sheet: Sheet, around: Surroundings, detect: Detect, eyes: Eyes) -> Made:
    """Look, hide, write, judge. Raises ``GatehouseError`` when a detector cannot say that it looked."""
    befores = _befores(sheet)
    looked = await detect(befores)
    redacted = await asyncio.to_thread(Redactor().redact, befores, looked.findings, sheet.known, sheet.off)
    messages = tuple(
        OutgoingMessage(part.role, before, after, ", ".join(part.sources), place in sheet.edits, part.label)
        for place, (part, before, after) in enumerate(zip(sheet.parts, befores, redacted.texts, strict=True))
    )
    sent = tuple(
        PromptMessage(message.role, message.after)
        for place, message in enumerate(messages)
        if place not in sheet.left_out and message.after.strip()
    )
    body = request_body(sheet.provider, sent, max_tokens=around.max_tokens)
    tokens = estimate_tokens(sent)
    cost = cost_usd_at_most(sheet.provider, tokens, around.max_tokens)
    originals = tuple(
        message.before
        for place, message in enumerate(messages)
        if place not in sheet.left_out and message.before != message.after
    )
    look = _last_look(redacted, eyes, around.canaries, originals)
    found = await look.find(body)
    label = strictest((sheet.label, *(m.label for place, m in enumerate(messages) if place not in sheet.left_out)))
    facts = Facts(
        label=label,
        mode=sheet.mode,
        offline=around.offline,
        offline_forced=around.offline_forced,
        has_provider=True,
        provider=sheet.provider,
        with_sheet=sheet.with_sheet,
        prompt_tokens=tokens,
        max_tokens=around.max_tokens,
        cost_usd_at_most=cost,
        budget=around.budget,
        leaks=found.leaks,
        quoted=found.quoted,
    )
    verdict = policy.judge(facts)
    preview = Preview(
        id=sheet.id,
        conversation_id=sheet.conversation_id,
        provider=sheet.provider,
        messages=messages,
        redactions=redacted.redactions,
        body=body if verdict.allowed else b"",
        body_sha256=hashlib.sha256(body).hexdigest() if verdict.allowed else "",
        prompt_tokens=tokens,
        cost_usd_at_most=cost,
        label=label,
        mode=sheet.mode,
        verdict=verdict,
        warnings=_warnings(sheet, redacted.redactions, looked.names_sought, label, cost, unseen(m.text for m in sent)),
        attachments=_attachments(sheet),
        max_tokens=around.max_tokens,
        findings=looked.findings,
        left_out=sheet.left_out,
    )
    return Made(preview, redacted.known, look, facts)


def _befores(sheet: Sheet) -> list[str]:
    """The texts before they are hidden. In what the person edited, placeholders stand for what they stood for."""
    return [
        restore(sheet.edits[place], sheet.known) if place in sheet.edits else part.text
        for place, part in enumerate(sheet.parts)
    ]


def _last_look(redacted: Redacted, eyes: Eyes, canaries: tuple[str, ...], originals: tuple[str, ...]) -> LastLook:
    off = [redaction for redaction in redacted.redactions if not redaction.on]
    # Other spellings of the same thing are in the map as well; their letters are let through with it.
    things = {_thing(redaction.placeholder) for redaction in off}
    hidden = {placeholder: text for placeholder, text in redacted.known.items() if _thing(placeholder) not in things}
    return LastLook(eyes, hidden, tuple(redaction.text for redaction in off), canaries, originals)


def _thing(placeholder: str) -> str:
    token = parse(placeholder)
    return placeholder if token is None else str(token.base)


def _attachments(sheet: Sheet) -> tuple[OutgoingAttachment, ...]:
    return tuple(
        OutgoingAttachment(document.name, document.label, len(document.text))
        for place, part in enumerate(sheet.parts)
        if place not in sheet.left_out
        for document in part.documents
    )


def _warnings(
    sheet: Sheet,
    redactions: Sequence[Redaction],
    names_sought: bool,
    label: Label,
    cost: float | None,
    hidden_characters: int,
) -> tuple[str, ...]:
    through = sum(not redaction.on for redaction in redactions)
    found = [
        "Detectors miss things, names above all. What is shown is exactly what leaves: read it."
        if names_sought
        else "Nobody looked for names: no model is loaded that could. What is shown leaves as it is.",
        "This is confidential." if label is Label.CONFIDENTIAL else "",
        f"{through} found {'string leaves' if through == 1 else 'strings leave'} as they are." if through else "",
        f"{hidden_characters:,} characters in it cannot be seen here; a model reads them." if hidden_characters else "",
        f"{sheet.provider.name} has no prices, so nobody knows what this costs." if cost is None else "",
        "This goes on with an answer that was cut off, and costs its whole prompt again." if sheet.ask.resume else "",
    ]
    return tuple(sentence for sentence in found if sentence)
