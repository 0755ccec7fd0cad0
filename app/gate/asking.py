"""Asking somebody elsewhere: from what is to be asked, over the sheet and the consent, to the answer in its place.

In the core thread. The order is the promise: policy, detectors, redaction, policy, the exact bytes and a last look at
them, consent to those bytes, everything about the present moment once more, the placeholders stored, and only then the
one request. What breaks is a failed or cut answer beside the local one; nothing is sent again by itself.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from app.chat.answer import LiveAnswer, Source
from app.chat.lines import Line
from app.chat.prompt import ANSWER, Part
from app.chat.records import Conversation, Message, MessageStatus
from app.chat.service import ChatService
from app.gate import policy, preview
from app.gate.addresses import target_of
from app.gate.consent import Consents, Shown
from app.gate.label import GateMode, Label, strictest
from app.gate.last_look import Eyes
from app.gate.outside import Outside
from app.gate.permit import Permit
from app.gate.placeholders import LITERAL, parse
from app.gate.policy import Facts
from app.gate.preview import Detect, Sheet, Surroundings
from app.gate.records import Ask, Preview, PreviewChange, Provider, Verdict
from app.gate.restore import StreamRestorer
from app.lanes import StoreLane
from app.providers.prices import cost_usd
from app.providers.provider import Chunk, Usage
from app.providers.remote_wire import GO_ON
from app.settings import Settings
from app.store import conversations, documents, messages
from app.store import gate as rows
from app.store.database import Connection
from engine.errors import GatehouseError, RequestError

SHEET = "sheet"
OPEN = "open conversation"
COMMAND = "command"
"""How a person agreed, as the ledger says it."""


class Asking:
    """The part of ``GateApi`` about previews, sending, and what may be asked at all."""

    def __init__(
        self,
        lane: StoreLane,
        chat: ChatService,
        outside: Outside,
        detect: Detect,
        eyes: Eyes,
        settings: Settings,
    ) -> None:
        self._lane = lane
        self._chat = chat
        self._outside = outside
        self._detect = detect
        self._eyes = eyes
        self._settings = settings
        self._consents = Consents()

    async def may_ask(self, conversation: Conversation | None) -> Verdict:
        """Before anything is known of the request: whether a conversation may ask anybody elsewhere."""
        fresh = Conversation("", "", 0.0, 0.0, False, None, "", 0, "")
        of = conversation or fresh
        return policy.judge(
            Facts(
                of.label,
                of.gate,
                self._outside.offline.is_on,
                bool(await self._outside.providers.every()),
                offline_forced=self._outside.offline.is_forced,
            )
        )

    async def preview(self, ask: Ask, *, with_sheet: bool = True) -> Preview:
        """Make a sheet for what is to be asked."""
        era = self._consents.era
        line = await self._line(ask)
        conversation = line.conversation
        if not await self._outside.providers.every():
            policy.refuse(await self.may_ask(conversation))
        sheet = Sheet(
            id=uuid.uuid4().hex,
            ask=ask,
            conversation_id=ask.conversation_id or (line.answer.conversation_id if line.answer else None),
            parts=_going_on(line) if ask.resume else line.parts,
            label=conversation.label,
            mode=conversation.gate,
            provider=await self._provider(ask.provider_id),
            with_sheet=with_sheet,
            known=await self._lane.read(lambda connection: rows.placeholders(connection, conversation.id)),
        )
        return await self._show(sheet, line, era)

    async def change(self, preview_id: str, change: PreviewChange) -> Preview:
        """Make the sheet anew after a change."""
        era = self._consents.era
        before = self._consents.shown(preview_id)
        provider = before.sheet.provider
        if change.provider_id is not None and change.provider_id != provider.id:
            provider = await self._provider(change.provider_id)
        return await self._show(before.sheet.changed(change, provider), before.line, era)

    async def discard(self, preview_id: str) -> None:
        """Forget a sheet."""
        self._consents.forget(preview_id)

    def forget_all(self) -> None:
        """The app is locked: open sheets are gone, and those that are being made are not shown."""
        self._consents.forget_all()

    async def send(self, preview_id: str, body_sha256: str, consent: str = SHEET) -> str:
        """Send what was consented to, as a new answer in its place; returns the answer's id."""
        with self._consents.consent(preview_id, body_sha256) as shown:
            await self._judge_now(shown)
            answer, resumed = shown.line.answer, shown.sheet.ask.resume

            async def write(live: LiveAnswer) -> None:
                await self._write(live, shown, consent)

            so_far = answer.text if resumed and answer is not None else ""
            return await self._chat.answer_elsewhere(shown.line, write, shown.sheet.ask.draft, so_far)

    async def ask(self, ask: Ask) -> str:
        """Preview and send in one. Raises ``GatehouseError`` when policy wants the sheet or forbids it."""
        made = await self.preview(ask, with_sheet=False)
        if not made.verdict.allowed:
            await self.discard(made.id)
            policy.refuse(made.verdict)
        return await self.send(made.id, made.body_sha256, OPEN)

    async def stream(self, preview_id: str, body_sha256: str) -> AsyncGenerator[Chunk, None]:
        """Send what was consented to on the command line; the answer is kept nowhere."""
        with self._consents.consent(preview_id, body_sha256) as shown:
            await self._judge_now(shown)
        async with aclosing(self._restored(shown, self._permit(shown, COMMAND))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _show(self, sheet: Sheet, line: Line, era: int) -> Preview:
        around = Surroundings(
            offline=self._outside.offline.is_on,
            offline_forced=self._outside.offline.is_forced,
            budget=await self._outside.ledger.budget(),
            canaries=await self._lane.read(rows.canaries),
            max_tokens=self._settings.values.max_tokens,
        )
        made = await preview.make(sheet, around, self._detect, self._eyes)
        if era != self._consents.era:
            raise GatehouseError("locked", "Gatehouse was locked meanwhile, so nothing is shown.", "Open it again.")
        self._consents.show(Shown(replace(sheet, known=made.known), made, line))
        return made.preview

    async def _line(self, ask: Ask) -> Line:
        if ask.message_id is None and not ask.draft.strip():
            raise RequestError("empty_message", "There is nothing to ask.")
        if ask.message_id is not None:
            return await self._chat.line_beside(ask.message_id)
        if ask.conversation_id is not None:
            return await self._chat.line_after(ask.conversation_id, ask.draft)
        return await self._chat.first_line(ask.draft, ask.mode, ask.label, ask.system_prompt)

    async def _provider(self, provider_id: str | None) -> Provider:
        if provider_id is not None:
            return await self._outside.providers.get(provider_id)
        return (await self._outside.providers.every())[0]

    async def _judge_now(self, shown: Shown, *, with_budget: bool = True) -> None:
        """Policy on the present moment: what may have changed while the sheet was open. Raises ``GatehouseError``.

        Once the ledger has its first row, the budget holds this request already and is not asked again.
        """
        sheet, facts = shown.sheet, shown.made.facts
        label, mode = await self._label_and_mode(sheet)
        provider = await self._outside.providers.get(sheet.provider.id)
        if replace(provider, has_key=sheet.provider.has_key) != sheet.provider:
            raise GatehouseError("provider_changed", f"{provider.name} was changed meanwhile, so nothing was sent.")
        now = replace(
            facts,
            label=strictest((facts.label, label)),
            mode=mode,
            offline=self._outside.offline.is_on,
            offline_forced=self._outside.offline.is_forced,
            budget=await self._outside.ledger.budget() if with_budget else None,
        )
        policy.refuse(policy.judge(now))

    async def _label_and_mode(self, sheet: Sheet) -> tuple[Label, GateMode]:
        conversation_id = sheet.conversation_id
        if conversation_id is None:
            return sheet.label, sheet.mode
        parts = [part for place, part in enumerate(sheet.parts) if place not in sheet.left_out]

        def work(connection: Connection) -> tuple[Label, GateMode]:
            found = conversations.get(connection, conversation_id)
            said = messages.labels(connection, [message for part in parts for message in part.messages])
            read = documents.labels(connection, [one.document_id for part in parts for one in part.documents])
            return strictest((found.label, *said, *read)), found.gate

        return await self._lane.read(work)

    async def _write(self, live: LiveAnswer, shown: Shown, consent: str) -> None:
        """The answer's own task: from the stored placeholders to the last piece."""
        # From here on a conversation that began with this has a row of its own, whose gate can be shut.
        shown = replace(shown, sheet=replace(shown.sheet, conversation_id=live.conversation_id))
        known = shown.made.known
        kinds = [token.kind if (token := parse(placeholder)) else LITERAL for placeholder in known]
        await self._lane.write(
            lambda connection: rows.keep_placeholders(connection, live.conversation_id, known, kinds)
        )
        permit = self._permit(shown, consent)
        live.sent_elsewhere(_source(shown, permit))
        async with aclosing(self._restored(shown, permit)) as chunks:
            async for chunk in chunks:
                live.take(chunk)

    async def _restored(self, shown: Shown, permit: Permit) -> AsyncGenerator[Chunk, None]:
        """The answer's pieces with names put back; at a cut also what was held back for a placeholder."""
        provider, body = shown.made.preview.provider, shown.made.preview.body
        text, reasoning = StreamRestorer(shown.made.known), StreamRestorer(shown.made.known)
        await self._outside.providers.note_used(provider.id)
        cut: GatehouseError | None = None
        try:
            async with aclosing(
                self._outside.remote.stream(provider, body, permit, shown.made.preview.max_tokens)
            ) as chunks:
                async for chunk in chunks:
                    yield replace(chunk, text=text.feed(chunk.text), reasoning=reasoning.feed(chunk.reasoning))
        except GatehouseError as error:
            cut = error
        rest = Chunk(text=text.end(), reasoning=reasoning.end())
        if rest.text or rest.reasoning:
            yield rest
        if cut is not None:
            raise cut

    def _permit(self, shown: Shown, consent: str) -> Permit:
        made, facts = shown.made, shown.made.facts

        async def final_check(body: bytes) -> None:
            found = await made.look.find(body)
            looked = replace(facts, leaks=found.leaks, quoted=found.quoted)
            await self._judge_now(replace(shown, made=replace(made, facts=looked)))

        async def still() -> None:
            await self._judge_now(shown, with_budget=False)

        counts: Counter[str] = Counter()
        for redaction in made.preview.redactions:
            if redaction.on:
                counts[redaction.kind] += redaction.count
        provider = made.preview.provider
        return Permit(
            purpose="answer",
            base_url=provider.base_url,
            trust=provider.trust,
            consent=consent,
            provider=provider.name,
            model=provider.model,
            conversation_id=shown.sheet.conversation_id,
            label=facts.label,
            mode=facts.mode,
            body_sha256=made.preview.body_sha256,
            prompt_tokens=made.preview.prompt_tokens,
            cost_usd_at_most=made.preview.cost_usd_at_most,
            redactions=dict(counts),
            final_check=final_check,
            still=still,
        )


def _going_on(line: Line) -> tuple[Part, ...]:
    """The parts of a request that goes on with a cut answer. Raises ``RequestError`` when it was not cut."""
    answer = line.answer
    if answer is None or not _is_cut(answer):
        raise RequestError("not_cut", "This answer was not cut off, so there is nothing to go on with.")
    label = line.conversation.label if answer.label is None else strictest((line.conversation.label, answer.label))
    cut = Part("assistant", answer.text, (ANSWER,), label, messages=(answer.id,))
    return (*line.parts, cut, Part("user", GO_ON, ("Gatehouse, to go on",), line.conversation.label))


def _is_cut(answer: Message) -> bool:
    by_limit = answer.stats is not None and answer.stats.finish_reason == "length"
    return bool(answer.text) and (answer.status in (MessageStatus.INTERRUPTED, MessageStatus.STOPPED) or by_limit)


def _source(shown: Shown, permit: Permit) -> Source:
    provider, prompt_tokens = shown.made.preview.provider, shown.made.preview.prompt_tokens

    def cost(usage: Usage | None, pieces: int) -> float | None:
        if usage is not None:
            return cost_usd(provider, usage.prompt_tokens, usage.completion_tokens)
        return cost_usd(provider, prompt_tokens, pieces) if pieces else None

    host = target_of(provider.base_url).name
    return Source(provider.model, host, provider.trust, provider.name, permit.request_id, cost)
