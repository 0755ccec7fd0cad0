"""What is asked and where its answer goes, and new conversations and messages before they are stored. Pure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from app.chat.prompt import Part
from app.chat.records import Conversation, Message, MessageStatus
from app.chat.title import shorten
from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode, Label, strictest


@dataclass(frozen=True, slots=True)
class Line:
    """What would be asked of a model, and where the answer's place is."""

    conversation: Conversation
    answer: Message | None
    """Beside which the new one will be; ``None`` at the end of the chosen branch."""
    branch: tuple[Message, ...]
    """What stands above."""
    parts: tuple[Part, ...]


def new_conversation(
    title: str, model_id: str | None, mode: GateMode = DEFAULT_MODE, label: Label = DEFAULT_LABEL
) -> Conversation:
    """One without messages, not stored yet."""
    now = time.time()
    return Conversation(uuid.uuid4().hex, shorten(title), now, now, False, model_id, "", 0, "", label, mode, label)


def kept_label(branch: Sequence[Message], parts: Sequence[Part]) -> Label | None:
    """What is made from documents keeps the strictest of their labels, also once those are detached."""
    labels = [document.label for part in parts for document in part.documents]
    labels += [message.label for message in branch if message.label is not None]
    return strictest(labels) if labels else None


def exchange(
    conversation_id: str, branch: Sequence[Message], text: str, label: Label | None
) -> tuple[Message, Message]:
    """A person's message at the end of a branch, and its pending answer."""
    parent = branch[-1].id if branch else None
    question = new_message(conversation_id, parent, "user", text, MessageStatus.COMPLETE, label)
    return question, new_message(conversation_id, question.id, "assistant", "", MessageStatus.PENDING, label)


def new_message(
    conversation_id: str, parent_id: str | None, role: str, text: str, status: MessageStatus, label: Label | None = None
) -> Message:
    """One that is not stored yet."""
    return Message(
        id=uuid.uuid4().hex,
        conversation_id=conversation_id,
        parent_id=parent_id,
        role="user" if role == "user" else "assistant",
        text=text,
        reasoning="",
        status=status,
        created_at=time.time(),
        model_id=None,
        stats=None,
        error="",
        branch_index=0,
        branch_count=1,
        label=label,
    )
