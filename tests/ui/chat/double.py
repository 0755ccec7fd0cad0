"""A chat service held in memory: the same promises as the real one, answers under the test's hand.

Lives in a real core thread. ``write`` and ``end`` play the model; they may be called from the test's thread.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from app.bus import Bus
from app.chat.records import (
    AnswerStats,
    ContextUse,
    Conversation,
    Message,
    MessageStatus,
    Role,
    SearchHit,
    Transcript,
)
from app.events import (
    AnswerFinished,
    AnswerGrew,
    BranchChosen,
    ConversationChanged,
    ConversationDeleted,
    Event,
    MessageAdded,
)
from app.lanes import CoreThread
from engine.errors import RequestError

STATS = AnswerStats(312, 280, 120, 0.42, 23.4, 5.6, "stop", "CPU", "local")
MODEL = "smollm2"


def message(
    key: str,
    role: Role,
    text: str,
    status: MessageStatus = MessageStatus.COMPLETE,
    *,
    conversation: str = "c",
    parent: str | None = None,
    error: str = "",
    stats: AnswerStats | None = None,
    reasoning: str = "",
) -> Message:
    """A message with what tests do not care about filled in."""
    return Message(
        id=key,
        conversation_id=conversation,
        parent_id=parent,
        role=role,
        text=text,
        reasoning=reasoning,
        status=status,
        created_at=0.0,
        model_id=MODEL if role == "assistant" else None,
        stats=stats,
        error=error,
        branch_index=0,
        branch_count=1,
    )


def conversation(key: str, title: str, *, at: float = 0.0, pinned: bool = False) -> Conversation:
    return Conversation(key, title, at, at, pinned, None, "", 0, "")


class ScriptedChat:
    """Each message knows its parent; ``chosen`` says which child of a parent is shown."""

    def __init__(self, core: CoreThread, bus: Bus) -> None:
        self._core, self._bus = core, bus
        self._numbers = itertools.count(1)
        self.items: dict[str, Conversation] = {}
        self.messages: dict[str, Message] = {}
        self.chosen: dict[tuple[str, str | None], str] = {}
        self.deleted: dict[str, Conversation] = {}
        self.calls: list[tuple[str, ...]] = []
        self.n_ctx = 1000
        self.held: asyncio.Event | None = None
        """While set and not released, a transcript is read but does not arrive."""
        self.refusal: RequestError | None = None

    # What a test does.

    def put(self, item: Conversation, *messages: Message) -> None:
        """A conversation that is there already."""
        self.items[item.id] = item
        parent: str | None = None
        for given in messages:
            self._insert(replace(given, conversation_id=item.id, parent_id=parent))
            parent = given.id

    def write(self, message_id: str, text: str, reasoning: str = "") -> None:
        """The model writes on."""
        self._run(self._write, message_id, text, reasoning)

    def end(self, message_id: str, status: MessageStatus = MessageStatus.COMPLETE, error: str = "") -> None:
        """The model is done, or gone."""
        self._run(self._end, message_id, status, error)

    def release(self) -> None:
        """Let held transcripts arrive."""
        assert self.held is not None
        self._run(self.held.set)

    def last_answer(self) -> str:
        return next(key for key, found in reversed(self.messages.items()) if found.role == "assistant")

    # What the window asks.

    async def conversations(self) -> Sequence[Conversation]:
        return sorted(self.items.values(), key=lambda item: (not item.pinned, -item.updated_at))

    async def open(self, conversation_id: str) -> Transcript:
        self.calls.append(("open", conversation_id))
        transcript = Transcript(self.items[conversation_id], self._branch(conversation_id))
        if self.held is not None:
            await self.held.wait()
        return transcript

    async def create(self, model_id: str | None = None) -> Conversation:
        made = conversation(f"new{next(self._numbers)}", "New chat", at=1.0)
        self.items[made.id] = made
        self._say(ConversationChanged(made))
        return made

    async def rename(self, conversation_id: str, title: str) -> None:
        self._change(conversation_id, title=title)

    async def pin(self, conversation_id: str, pinned: bool) -> None:
        self._change(conversation_id, pinned=pinned)

    async def set_system_prompt(self, conversation_id: str, text: str) -> None:
        self._change(conversation_id, system_prompt=text)

    async def delete(self, conversation_id: str) -> None:
        gone = self.deleted[conversation_id] = self.items.pop(conversation_id)
        self._say(ConversationDeleted(conversation_id, gone.title))

    async def undelete(self, conversation_id: str) -> None:
        self.items[conversation_id] = self.deleted.pop(conversation_id)
        self._say(ConversationChanged(self.items[conversation_id]))

    async def send(self, conversation_id: str | None, text: str) -> str:
        self.calls.append(("send", conversation_id or "", text))
        if self.refusal is not None:
            raise self.refusal
        key = conversation_id or (await self.create()).id
        branch = self._branch(key)
        question = message(f"q{next(self._numbers)}", "user", text, conversation=key)
        question = self._insert(replace(question, parent_id=branch[-1].id if branch else None))
        self._change(key, title=text if not branch else self.items[key].title)
        self._say(MessageAdded(question))
        answer = self._begin(question)
        self._say(MessageAdded(answer))
        return answer.id

    async def edit(self, message_id: str, text: str) -> str:
        old = self.messages[message_id]
        question = self._insert(replace(old, id=f"q{next(self._numbers)}", text=text))
        answer = self._begin(question)
        self._say(BranchChosen(old.conversation_id))
        return answer.id

    async def regenerate(self, message_id: str) -> str:
        old = self.messages[message_id]
        assert old.parent_id is not None
        answer = self._begin(self.messages[old.parent_id])
        self._say(BranchChosen(old.conversation_id))
        return answer.id

    async def stop(self, message_id: str) -> None:
        self.calls.append(("stop", message_id))
        self._end(message_id, MessageStatus.STOPPED, "")

    async def choose_branch(self, message_id: str, step: int = 0) -> None:
        found = self.messages[message_id]
        siblings = self._siblings(found)
        at = min(max(siblings.index(message_id) + step, 0), len(siblings) - 1)
        self.chosen[(found.conversation_id, found.parent_id)] = siblings[at]
        self._say(BranchChosen(found.conversation_id))

    async def search(self, words: str, limit: int = 50) -> Sequence[SearchHit]:
        hits = []
        for found in self.messages.values():
            at = found.text.casefold().find(words.casefold())
            if at >= 0:
                title = self.items[found.conversation_id].title
                span = ((at, at + len(words)),)
                hits.append(SearchHit(found.conversation_id, title, found.id, found.role, found.text, span, 0.0))
        return hits[:limit]

    async def measure(self, conversation_id: str | None, draft: str) -> ContextUse:
        self.calls.append(("measure", conversation_id or "", draft))
        return ContextUse(10 + len(draft), self.n_ctx, exact=True)

    # Inside.

    def _run(self, work: object, *values: object) -> None:
        done: Future[None] = Future()

        def step() -> None:
            work(*values)  # type: ignore[operator]
            done.set_result(None)

        self._core.loop.call_soon_threadsafe(step)
        done.result(5)

    def _write(self, message_id: str, text: str, reasoning: str) -> None:
        old = self.messages[message_id]
        self.messages[message_id] = replace(
            old, text=old.text + text, reasoning=old.reasoning + reasoning, status=MessageStatus.STREAMING
        )
        self._say(AnswerGrew(old.conversation_id, message_id, text, reasoning, len(old.text), len(old.reasoning)))

    def _end(self, message_id: str, status: MessageStatus, error: str) -> None:
        ended = replace(self.messages[message_id], status=status, error=error, stats=STATS)
        self.messages[message_id] = ended
        self._say(AnswerFinished(self._placed(ended)))

    def _begin(self, question: Message) -> Message:
        answer = message(f"a{next(self._numbers)}", "assistant", "", MessageStatus.PENDING)
        return self._insert(replace(answer, conversation_id=question.conversation_id, parent_id=question.id))

    def _insert(self, new: Message) -> Message:
        self.messages[new.id] = new
        self.chosen[(new.conversation_id, new.parent_id)] = new.id
        return self._placed(new)

    def _siblings(self, of: Message) -> list[str]:
        return [
            found.id
            for found in self.messages.values()
            if found.parent_id == of.parent_id and found.conversation_id == of.conversation_id
        ]

    def _placed(self, found: Message) -> Message:
        siblings = self._siblings(found)
        return replace(found, branch_index=siblings.index(found.id), branch_count=len(siblings))

    def _branch(self, conversation_id: str) -> tuple[Message, ...]:
        branch: list[Message] = []
        parent: str | None = None
        while (key := self.chosen.get((conversation_id, parent))) is not None:
            branch.append(self._placed(self.messages[key]))
            parent = key
        return tuple(branch)

    def _change(self, conversation_id: str, **changes: object) -> None:
        self.items[conversation_id] = replace(self.items[conversation_id], **changes)  # type: ignore[arg-type]
        self._say(ConversationChanged(self.items[conversation_id]))

    def _say(self, event: Event) -> None:
        self._bus.publish(event)
