"""Everything that services announce. Frozen values, published on the bus in the core thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.chat.records import Conversation, Message
from app.models.records import Download, LoadedModel


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """A conversation was created, renamed, pinned, restored, or got a message."""

    conversation: Conversation


@dataclass(frozen=True, slots=True)
class ConversationDeleted:
    """A conversation was deleted; ``ChatService.undelete`` brings it back."""

    conversation_id: str
    title: str


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A message joined the end of the chosen branch: after ``send`` first the person's, then the pending answer."""

    message: Message


@dataclass(frozen=True, slots=True)
class BranchChosen:
    """The chosen branch of a conversation changed; reload its transcript.

    ``edit`` and ``regenerate`` announce their new messages by this alone, without ``MessageAdded``.
    """

    conversation_id: str


@dataclass(frozen=True, slots=True)
class AnswerGrew:
    """New text of a streaming answer, to be appended.

    The starts are the lengths that the answer had before: a listener that opened the transcript meanwhile already has
    the part up to its own length and appends only what lies beyond it.
    """

    conversation_id: str
    message_id: str
    text: str
    reasoning: str
    text_start: int = 0
    reasoning_start: int = 0


@dataclass(frozen=True, slots=True)
class AnswerFinished:
    """An answer ended: complete, stopped, interrupted or failed; ``message`` holds its whole text."""

    message: Message


@dataclass(frozen=True, slots=True)
class ModelsChanged:
    """The list of models on disk changed."""


@dataclass(frozen=True, slots=True)
class LoadedModelChanged:
    """The loaded model, its lifecycle state or its plan changed."""

    loaded: LoadedModel


@dataclass(frozen=True, slots=True)
class DownloadsChanged:
    """A download was added, moved, taken off the list, or changed its state; all of them, in order."""

    downloads: tuple[Download, ...]


@dataclass(frozen=True, slots=True)
class DownloadProgressed:
    """More of a download has arrived: at most four times a second each."""

    download: Download


@dataclass(frozen=True, slots=True)
class DownloadFinished:
    """A model arrived, was verified, and is on the list of models by now."""

    download: Download


@dataclass(frozen=True, slots=True)
class DownloadFailed:
    """A download ended early; it says why, and what has arrived is kept."""

    download: Download


@dataclass(frozen=True, slots=True)
class BundleProgressed:
    """A bundle is being written or taken over."""

    file: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class NoticeRaised:
    """Something the person should know, with what can be done."""

    level: Literal["info", "warning", "error"]
    code: str
    sentence: str
    hint: str = ""


Event = (
    ConversationChanged
    | ConversationDeleted
    | MessageAdded
    | BranchChosen
    | AnswerGrew
    | AnswerFinished
    | ModelsChanged
    | LoadedModelChanged
    | DownloadsChanged
    | DownloadProgressed
    | DownloadFinished
    | DownloadFailed
    | BundleProgressed
    | NoticeRaised
)
