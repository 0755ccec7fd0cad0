"""Records for tests, with only what a test cares about spelled out."""

from __future__ import annotations

import itertools

from app.chat.records import Conversation, Message, MessageStatus, Role

_numbers = itertools.count(1)


def conversation(title: str = "A title", conversation_id: str | None = None, updated_at: float = 1.0) -> Conversation:
    chosen = conversation_id or f"c{next(_numbers)}"
    return Conversation(chosen, title, 1.0, updated_at, False, None, "", 0, "")


def message(
    conversation_id: str,
    text: str,
    *,
    role: Role = "user",
    parent: str | None = None,
    message_id: str | None = None,
    status: MessageStatus = MessageStatus.COMPLETE,
) -> Message:
    chosen = message_id or f"m{next(_numbers)}"
    return Message(chosen, conversation_id, parent, role, text, "", status, 2.0, None, None, "", 0, 1)
