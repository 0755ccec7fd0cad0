"""Everything that services announce. Frozen values, published on the bus in the core thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.chat.records import Conversation, Message
from app.documents.batch_records import Batch, BatchFile
from app.documents.review_records import AttachedDocument, ReviewedValue
from app.gate.records import LedgerRow
from app.models.records import Download, LoadedModel


@dataclass(frozen=True, slots=True)
class ConversationChanged:
    """A conversation was created, renamed, pinned, restored, or got a message."""

    conversation: Conversation


@dataclass(frozen=True, slots=True)
class ConversationDeleted:
    """A conversation was deleted; ``ChatService.undelete`` brings it back, unless it is gone for good (retention)."""

    conversation_id: str
    title: str
    for_good: bool = False


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
class GateChanged:
    """A conversation's mode or label changed (``ConversationChanged`` follows), or, with ``None``, a place's label."""

    conversation_id: str | None


@dataclass(frozen=True, slots=True)
class OfflineChanged:
    """The whole product went offline or may ask others again."""

    offline: bool


@dataclass(frozen=True, slots=True)
class ProvidersChanged:
    """A provider was added, changed or removed, or got or lost its key."""


@dataclass(frozen=True, slots=True)
class GlossaryChanged:
    """The words that are always hidden changed."""


@dataclass(frozen=True, slots=True)
class BudgetChanged:
    """A budget was set, or money was spent; ask for it again."""


@dataclass(frozen=True, slots=True)
class AnswerFlagged:
    """An answer got its first flag, another reason, or lost its flag; maybe while it is being written."""

    message: Message


@dataclass(frozen=True, slots=True)
class NamesSought:
    """The local model looks for names in what would leave: so many pieces of the text are done, of so many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class LedgerGrew:
    """A request begins to leave this machine, or has ended."""

    row: LedgerRow


@dataclass(frozen=True, slots=True)
class BatchChanged:
    """A batch was made, renamed, moved, restored, changed its state, or came further: at most four times a second."""

    batch: Batch


@dataclass(frozen=True, slots=True)
class BatchRemoved:
    """A batch was hidden; ``DocumentsApi.restore`` brings it back, unless it is gone for good (retention)."""

    batch_id: str
    title: str
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class FilesAdded:
    """Files joined or left a batch, or changed their order; ask for all of them again."""

    batch_id: str
    count: int


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A file of a batch came further, failed, or was reviewed."""

    file: BatchFile


@dataclass(frozen=True, slots=True)
class ValueChanged:
    """A person decided about a value, or took it back."""

    file_id: str
    value: ReviewedValue


@dataclass(frozen=True, slots=True)
class SchemasChanged:
    """A schema was saved or removed."""


@dataclass(frozen=True, slots=True)
class AttachmentChanged:
    """A document was attached to a conversation, was read, failed, or (``removed``) was taken off."""

    attachment: AttachedDocument
    removed: bool = False


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
    | GateChanged
    | OfflineChanged
    | ProvidersChanged
    | GlossaryChanged
    | BudgetChanged
    | AnswerFlagged
    | LedgerGrew
    | NamesSought
    | BatchChanged
    | BatchRemoved
    | FilesAdded
    | FileChanged
    | ValueChanged
    | SchemasChanged
    | AttachmentChanged
    | NoticeRaised
)
