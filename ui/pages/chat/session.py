"""Which conversation is open, what is being written where, and what was drafted: the page's memory, without a widget.

Pure bookkeeping, so that the rules ("a draft stays with its conversation", "stop means this answer") can be tested as
such.
"""

from __future__ import annotations

from app.chat.records import Message, MessageStatus

NEW = ""
"""The conversation that does not exist yet."""
UNFINISHED = (MessageStatus.PENDING, MessageStatus.STREAMING)


class Session:
    """The state of one Chat page."""

    def __init__(self) -> None:
        self.open_id = NEW
        self.sending = False
        """A message of the open conversation is on its way to the service."""
        self._drafts: dict[str, str] = {}
        self._writing: dict[str, str] = {}

    def keep_draft(self, text: str) -> None:
        """Remember what stands in the composer for the open conversation."""
        if text.strip():
            self._drafts[self.open_id] = text
        else:
            self._drafts.pop(self.open_id, None)

    def draft(self) -> str:
        """What was written for the open conversation and not sent."""
        return self._drafts.get(self.open_id, "")

    def drop_draft(self, conversation_id: str) -> None:
        self._drafts.pop(conversation_id, None)

    def adopt(self, conversation_id: str) -> None:
        """The new conversation got its name."""
        self._drafts.pop(NEW, None)
        self.open_id = conversation_id

    def note(self, message: Message) -> bool:
        """Learn from a message whether its conversation is being written to; returns that."""
        if message.role != "assistant":
            return self.writing(message.conversation_id)
        if message.status in UNFINISHED:
            self._writing[message.conversation_id] = message.id
        elif self._writing.get(message.conversation_id) == message.id:
            del self._writing[message.conversation_id]
        return self.writing(message.conversation_id)

    def grew(self, conversation_id: str, message_id: str) -> bool:
        """An answer grew; returns whether that is news."""
        news = self._writing.get(conversation_id) != message_id
        self._writing[conversation_id] = message_id
        return news

    def writing(self, conversation_id: str) -> bool:
        return conversation_id in self._writing

    def answer_under_way(self) -> str | None:
        """The id of the answer that is being written in the open conversation."""
        return self._writing.get(self.open_id)

    def forget(self, conversation_id: str) -> None:
        self._writing.pop(conversation_id, None)
