"""Conversations and answers: what ``app.services.ChatApi`` promises.

All coroutines run in the core thread. Which model answers is ``app.models``'s, how an answer grows and is saved is
``app.chat.answer``'s and ``app.chat.saver``'s, rows are ``app.store``'s. Answers from elsewhere get their place in the
tree here (:meth:`ChatService.answer_elsewhere`); whether they are asked for is ``app.gate.service``'s.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from app.bus import Bus
from app.chat import prompt as prompts
from app.chat.answer import LiveAnswer
from app.chat.conversing import Conversing, Write
from app.chat.lines import Line, exchange, kept_label, new_conversation, new_message
from app.chat.local_answer import LocalAnswers, ModelHost
from app.chat.prompt import AttachedText, Attachments, Part
from app.chat.records import (
    ContextUse,
    Conversation,
    Message,
    MessageStatus,
    SearchHit,
    Transcript,
)
from app.chat.saver import AnswerSaver
from app.chat.title import DEFAULT_TITLE, title_from
from app.events import (
    AnswerFinished,
    BranchChosen,
    ConversationChanged,
    ConversationDeleted,
    Event,
    MessageAdded,
)
from app.gate.label import GateMode, Label
from app.gate.records import Flag
from app.lanes import StoreLane
from app.providers.provider import PromptMessage, Provider
from app.settings import Settings
from app.store import conversations, messages, search
from app.store.database import Connection
from engine.errors import GatehouseError, RequestError

LEFT_BEHIND = "Gatehouse ended while this was being written."


class ChatService:
    """The one implementation of ``ChatApi``."""

    def __init__(
        self,
        lane: StoreLane,
        bus: Bus,
        host: ModelHost,
        provider: Provider,
        settings: Settings,
        forget: Callable[[str], Awaitable[None]] | None = None,
        attachments: Attachments | None = None,
    ) -> None:
        """``forget`` makes sure that nothing of a deleted conversation is left outside the store."""
        self.attachments = attachments
        self._forget = forget
        self._lane = lane
        self._bus = bus
        self._host = host
        self._provider = provider
        self._settings = settings
        self._sending: set[str] = set()
        self._saver = AnswerSaver(lane, bus.publish)
        self._local = LocalAnswers(host, provider, settings)
        self._answers = Conversing(self._saver, self._finished)

    async def recover(self) -> int:
        """At the start of the one window: end what a dead process left unfinished; returns how many answers."""
        return await self._lane.write(lambda connection: messages.interrupt_unfinished(connection, LEFT_BEHIND))

    async def purge(self) -> int:
        """At the start of the one window: destroy deleted conversations, which nobody can bring back any more."""
        return await self._lane.write(conversations.purge)

    @property
    def busy(self) -> bool:
        """Whether any answer is being written."""
        return self._answers.busy

    async def close(self) -> None:
        """End running answers, keeping their text, and save everything."""
        await self._answers.close()
        await self._saver.close()

    async def conversations(self) -> Sequence[Conversation]:
        return await self._lane.read(conversations.every)

    async def open(self, conversation_id: str) -> Transcript:
        def work(connection: Connection) -> Transcript:
            conversation = conversations.get(connection, conversation_id)
            return Transcript(conversation, messages.branch(connection, conversation_id))

        stored = await self._lane.read(work)
        # What is newer than the store; nothing is awaited from here on, so no event can fall in between.
        newer = self._saver.unsaved | self._answers.snapshot()
        return Transcript(stored.conversation, messages.with_places(stored.messages, newer))

    async def create(self, model_id: str | None = None) -> Conversation:
        conversation = new_conversation(DEFAULT_TITLE, model_id)
        await self._lane.write(lambda connection: conversations.insert(connection, conversation))
        self._publish(ConversationChanged(conversation))
        return conversation

    async def rename(self, conversation_id: str, title: str) -> None:
        wanted = " ".join(title.split())[:200]
        if not wanted:
            raise RequestError("empty_title", "A conversation needs a title.")
        changed = await self._lane.write(lambda connection: conversations.rename(connection, conversation_id, wanted))
        self._publish(ConversationChanged(changed))

    async def pin(self, conversation_id: str, pinned: bool) -> None:
        changed = await self._lane.write(lambda connection: conversations.pin(connection, conversation_id, pinned))
        self._publish(ConversationChanged(changed))

    async def set_system_prompt(self, conversation_id: str, text: str) -> None:
        changed = await self._lane.write(
            lambda connection: conversations.set_system_prompt(connection, conversation_id, text)
        )
        self._publish(ConversationChanged(changed))

    async def delete(self, conversation_id: str) -> None:
        await self._answers.stop_all(conversation_id)
        title = await self._lane.write(
            lambda connection: conversations.delete(connection, conversation_id, time.time())
        )
        self._publish(ConversationDeleted(conversation_id, title))
        if self._forget is not None:
            await self._forget(conversation_id)

    async def undelete(self, conversation_id: str) -> None:
        restored = await self._lane.write(lambda connection: conversations.undelete(connection, conversation_id))
        self._publish(ConversationChanged(restored))

    async def send(self, conversation_id: str | None, text: str) -> str:
        if not text.strip():
            raise RequestError("empty_message", "There is nothing to send.")
        if conversation_id is None:
            return await self._send(None, text)
        if conversation_id in self._sending:  # a double click
            raise _answer_running()
        self._sending.add(conversation_id)
        try:
            return await self._send(conversation_id, text)
        finally:
            self._sending.discard(conversation_id)

    async def _send(self, conversation_id: str | None, text: str) -> str:
        conversation, branch = await self._branch(conversation_id)
        if any(self._answers.is_running(message.id) for message in branch[-1:]):
            raise _answer_running()
        parts = await self._lay_out(conversation, branch, text)
        await self._refuse_overflow(prompts.messages_of(parts))
        question, answer = exchange(conversation.id, branch, text, kept_label(branch, parts))
        changed = await self._add(conversation, branch, question, answer, is_new=conversation_id is None)
        self._start(changed, answer)
        return answer.id

    async def _add(
        self, conversation: Conversation, branch: Sequence[Message], question: Message, answer: Message, *, is_new: bool
    ) -> Conversation:
        """Store a person's message and its pending answer at the end of the branch, and announce them."""
        text = question.text
        title = title_from(text) if not branch and conversation.title == DEFAULT_TITLE else None

        def work(connection: Connection) -> tuple[Conversation, tuple[Message, ...]]:
            if is_new:
                conversations.insert(connection, conversation)
            if title is not None:
                conversations.rename(connection, conversation.id, title)
            added = messages.insert(connection, (question, answer))
            conversations.touch(connection, conversation.id, answer.created_at)
            return conversations.get(connection, conversation.id), added

        changed, added = await self._lane.write(work)
        self._publish(ConversationChanged(changed), *(MessageAdded(message) for message in added))
        return changed

    async def edit(self, message_id: str, text: str) -> str:
        if not text.strip():
            raise RequestError("empty_message", "There is nothing to send.")
        original = await self._lane.read(lambda connection: messages.get(connection, message_id))
        if original.role != "user":
            raise RequestError("not_editable", "Only your own messages can be edited.")
        question = new_message(
            original.conversation_id, original.parent_id, "user", text, MessageStatus.COMPLETE, original.label
        )
        above = await self._path(original.parent_id)
        return await self._branch_off(original.conversation_id, above, (question,), question.id)

    async def regenerate(self, message_id: str) -> str:
        original = await self._lane.read(lambda connection: messages.get(connection, message_id))
        if original.role != "assistant" or original.parent_id is None:
            raise RequestError("not_an_answer", "Only an answer can be written anew.")
        await self._answers.stop(message_id)
        above = await self._path(original.parent_id)
        return await self._branch_off(original.conversation_id, above, (), original.parent_id)

    async def stop(self, message_id: str) -> None:
        await self._answers.stop(message_id)

    async def choose_branch(self, message_id: str, step: int = 0) -> None:
        def work(connection: Connection) -> str:
            return messages.choose(connection, messages.sibling(connection, message_id, step))

        conversation_id = await self._lane.write(work)
        self._publish(BranchChosen(conversation_id))

    async def search(self, words: str, limit: int = 50) -> Sequence[SearchHit]:
        return await self._lane.read(lambda connection: search.search(connection, words, limit))

    async def measure(self, conversation_id: str | None, draft: str) -> ContextUse:
        conversation, branch = await self._branch(conversation_id)
        return await self._measure(prompts.messages_of(await self._lay_out(conversation, branch, draft)))

    async def line_after(self, conversation_id: str, draft: str) -> Line:
        """What would be asked of a model with ``draft`` at the end of the chosen branch. Raises ``GatehouseError``."""
        conversation, branch = await self._branch(conversation_id)
        return Line(conversation, None, branch, await self._lay_out(conversation, branch, draft))

    async def line_beside(self, message_id: str) -> Line:
        """What would be asked for another answer in the place of this one. Raises ``GatehouseError``."""
        stored, answer = await self.answer(message_id)
        above = await self._path(answer.parent_id)
        return Line(stored, answer, above, await self._lay_out(stored, above))

    async def first_line(self, draft: str, mode: GateMode, label: Label, system_prompt: str = "") -> Line:
        """What would be asked in a conversation that begins with ``draft``; it is stored with the answer."""
        begun = replace(new_conversation(DEFAULT_TITLE, None, mode, label), system_prompt=system_prompt)
        return Line(begun, None, (), await self._lay_out(begun, (), draft))

    async def answer_elsewhere(self, line: Line, write: Write, draft: str = "", text: str = "") -> str:
        """A sibling of the line's answer, or the answer to ``draft``, written by ``write``; returns its id.

        ``text`` is what a cut answer had already.
        """
        label = kept_label(line.branch, line.parts)
        if line.answer is None:
            if any(self._answers.is_running(message.id) for message in line.branch[-1:]):
                raise _answer_running()
            is_new = not await self._exists(line.conversation.id)
            question, answer = exchange(line.conversation.id, line.branch, draft, label)
            await self._add(line.conversation, line.branch, question, answer, is_new=is_new)
            self._answers.start(LiveAnswer(answer, self._bus.publish, self._saver.note), write)
            return answer.id
        parent_id = line.answer.parent_id
        assert parent_id is not None, "an answer answers something"
        pending = new_message(line.conversation.id, parent_id, "assistant", text, MessageStatus.PENDING, label)
        await self._insert_branch(line.conversation.id, line.branch, (), pending)
        self._answers.start(LiveAnswer(pending, self._bus.publish, self._saver.note), write)
        return pending.id

    async def set_flag(self, message_id: str, flag: Flag | None) -> Message:
        """Change the flag of an answer that is not being written any more."""

        def work(connection: Connection) -> Message:
            messages.set_flag(connection, message_id, flag)
            return messages.get(connection, message_id)

        return await self._lane.write(work)

    async def answer(self, message_id: str) -> tuple[Conversation, Message]:
        """An answer as it is now, and its conversation. Raises ``GatehouseError`` when it is none."""

        def work(connection: Connection) -> tuple[Conversation, Message]:
            found = messages.get(connection, message_id)
            if found.role != "assistant" or found.parent_id is None:
                raise RequestError("not_an_answer", "Only an answer can be asked for anew.")
            return conversations.get(connection, found.conversation_id), found

        conversation, stored = await self._lane.read(work)
        return conversation, (self._saver.unsaved | self._answers.snapshot()).get(message_id, stored)

    async def _exists(self, conversation_id: str) -> bool:
        return await self._lane.read(lambda connection: conversations.exists(connection, conversation_id))

    async def _branch(self, conversation_id: str | None) -> tuple[Conversation, tuple[Message, ...]]:
        """The conversation and its chosen branch as of now; a new, unsaved conversation for ``None``."""
        if conversation_id is None:
            return new_conversation(DEFAULT_TITLE, None), ()
        transcript = await self.open(conversation_id)
        return transcript.conversation, transcript.messages

    async def _path(self, message_id: str | None) -> tuple[Message, ...]:
        if message_id is None:
            return ()
        stored = await self._lane.read(lambda connection: messages.path_to(connection, message_id))
        return messages.with_places(stored, self._saver.unsaved | self._answers.snapshot())

    async def _branch_off(
        self, conversation_id: str, above: tuple[Message, ...], added: tuple[Message, ...], parent_id: str
    ) -> str:
        """Store ``added`` and a pending answer below ``parent_id`` as the chosen branch, and start the answer."""
        current = await self._lane.read(lambda connection: conversations.get(connection, conversation_id))
        parts = await self._lay_out(current, (*above, *added))
        await self._refuse_overflow(prompts.messages_of(parts))
        label = kept_label((*above, *added), parts)
        answer = new_message(conversation_id, parent_id, "assistant", "", MessageStatus.PENDING, label)
        changed = await self._insert_branch(conversation_id, above, added, answer)
        self._start(changed, answer)
        return answer.id

    async def _insert_branch(
        self, conversation_id: str, above: Sequence[Message], added: Sequence[Message], answer: Message
    ) -> Conversation:
        def work(connection: Connection) -> Conversation:
            if not added and above:
                messages.choose(connection, above[-1].id)
            messages.insert(connection, (*added, answer))
            conversations.touch(connection, conversation_id, answer.created_at)
            return conversations.get(connection, conversation_id)

        changed = await self._lane.write(work)
        self._publish(ConversationChanged(changed), BranchChosen(conversation_id))
        return changed

    async def _lay_out(
        self, conversation: Conversation, branch: Sequence[Message], draft: str = ""
    ) -> tuple[Part, ...]:
        attached: Sequence[AttachedText] = ()
        if self.attachments is not None:
            attached = await self.attachments.texts(conversation.id, branch, draft)
        system_prompt = conversation.system_prompt or self._settings.values.system_prompt
        return prompts.lay_out(system_prompt, branch, draft, attached, conversation.label)

    async def _refuse_overflow(self, prompt: Sequence[PromptMessage]) -> None:
        prompts.refuse_overflow(await self._measure(prompt))

    async def _measure(self, prompt: Sequence[PromptMessage]) -> ContextUse:
        endpoint = self._host.endpoint()
        if endpoint is not None and prompt:
            try:
                return ContextUse(await self._provider.count_tokens(endpoint, prompt), endpoint.n_ctx, exact=True)
            except GatehouseError:
                pass  # the worker went away between two lines; the guess below is all there is
        return ContextUse(prompts.estimate_tokens(prompt), self._host.expected_n_ctx(), exact=False)

    def _start(self, conversation: Conversation, pending: Message) -> None:
        live = LiveAnswer(pending, self._bus.publish, self._saver.note)

        async def make_prompt() -> tuple[Part, ...]:
            parts = await self._lay_out(conversation, await self._path(pending.parent_id))
            live.inherit(kept_label((), parts))  # what was attached since it was begun is in it as well
            return parts

        self._answers.start(live, self._local.writer(conversation.model_id, make_prompt))

    async def _finished(self, message: Message) -> None:
        """An answer ended and was saved, or is kept to be saved."""
        self._publish(AnswerFinished(message))
        try:
            changed = await self._lane.read(lambda connection: conversations.get(connection, message.conversation_id))
        except GatehouseError:
            return  # deleted while its answer ended
        self._publish(ConversationChanged(changed))

    def _publish(self, *events: Event) -> None:
        for event in events:
            self._bus.publish(event)


def _answer_running() -> RequestError:
    return RequestError("answer_running", "The last answer is still being written.", "Wait for it, or stop it.")
