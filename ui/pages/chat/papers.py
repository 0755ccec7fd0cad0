"""The documents of the open conversation on the Chat page: attached, taken off, unlocked, labelled, cited.

Carries wishes to the service and answers back to the parts; reading and looking up are the service's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QEvent, QObject, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QFileDialog, QWidget

from app.documents.review_records import AttachedDocument, Citation
from app.events import AttachmentChanged
from app.gate.label import Label
from engine.errors import GatehouseError
from ui.desk import Action, Desk, DocumentPlace
from ui.pages.chat.session import NEW
from ui.widgets.composer import Composer
from ui.widgets.growing_edit import local_files
from ui.widgets.transcript import Transcript

Begin = Callable[[Callable[[str], None]], None]
"""Makes the conversation that does not exist yet, and goes on with its id."""


class ChatPapers(QObject):
    """One for the page; ``follow`` tells it which conversation is open."""

    changed = Signal()
    """The next prompt takes another number of tokens."""

    def __init__(self, desk: Desk, page: QWidget, composer: Composer, transcript: Transcript, begin: Begin) -> None:
        super().__init__(page)
        self._desk, self._documents, self._page = desk, desk.services.documents, page
        self._composer, self._transcript, self._begin = composer, transcript, begin
        self._open_id = NEW
        self._asked: set[str] = set()
        self._beginning: list[Path] | None = None
        """For a conversation that is being made."""
        self.bar = composer.papers
        self._connect()
        page.setAcceptDrops(True)
        page.installEventFilter(self)

    def follow(self, conversation_id: str) -> None:
        """Another conversation is open; a new one has no documents."""
        if conversation_id != self._open_id:
            self._open_id = conversation_id
            self.bar.show_all(())
        if conversation_id != NEW:
            self._call(lambda: self._documents.attachments(conversation_id), partial(self._show, conversation_id))

    # Wishes.

    def choose(self) -> None:
        """Ask for documents; the dialog does not block."""
        dialog = QFileDialog(self._page, self.tr("Documents to attach"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.attach([Path(name) for name in names]))
        dialog.open()

    def attach(self, paths: Sequence[Path]) -> None:
        """Attach documents to the open conversation, which begins with them if it does not exist yet."""
        folders = [path for path in paths if path.is_dir()]
        if folders:
            words = self.tr("%1 is a folder; documents are attached one by one.").replace("%1", folders[0].name)
            self._desk.notices.show("warning", words, self.tr("The Documents page reads whole folders."))
        files = [path for path in paths if path not in folders]
        if not files:
            return
        if self._beginning is not None:
            self._beginning += files
        elif self._open_id == NEW:
            self._beginning = files
            self._begin(self._begun)
        else:
            self._attach(self._open_id, files)

    def remove(self, key: str) -> None:
        """Take a document off."""
        self._call(lambda: self._documents.detach(key))

    def set_label(self, key: str, tag: Label) -> None:
        item = self._item(key)
        if item is None or item.document_id is None:
            return
        document_id, conversation_id = item.document_id, item.conversation_id

        def again(_none: None) -> None:
            self.follow(conversation_id)

        self._call(lambda: self._documents.set_document_label(document_id, Label(tag)), again)

    def open(self, key: str) -> None:
        """Show a document on the Documents page."""
        item = self._item(key)
        if item is not None and item.document_id is not None:
            self._desk.open_place(DocumentPlace(item.document_id))

    def cite(self, citation: Citation) -> None:
        """Show the place that an answer points to."""
        self._desk.open_place(DocumentPlace(citation.document_id, citation.page, citation.boxes))

    # Inside.

    def _connect(self) -> None:
        bar, composer, transcript = self.bar, self._composer, self._transcript
        bar.removed.connect(self.remove)
        bar.unlocked.connect(lambda key, words: self._call(lambda: self._documents.unlock(key, words)))
        bar.opened.connect(self.open)
        bar.label_chosen.connect(self.set_label)
        composer.attach_wanted.connect(self.choose)
        composer.files_given.connect(self.attach)
        transcript.citations_wanted.connect(self._ask_citations)
        transcript.cited.connect(self.cite)
        self._desk.bridge.attachment_changed.connect(self._attachment_changed)

    def _attach(self, conversation_id: str, files: Sequence[Path]) -> None:
        self._call(lambda: self._documents.attach(conversation_id, files))

    def _begun(self, conversation_id: str) -> None:
        files, self._beginning = self._beginning or [], None
        self._attach(conversation_id, files)

    def _show(self, conversation_id: str, items: Sequence[AttachedDocument]) -> None:
        if conversation_id == self._open_id:
            self.bar.show_all(items)

    def _attachment_changed(self, event: AttachmentChanged) -> None:
        item = event.attachment
        if event.removed:
            undo = Action(self.tr("Undo"), lambda: self._put_back(item))
            self._desk.notices.show("info", self.tr("Took %1 off.").replace("%1", item.name), action=undo)
        if item.conversation_id != self._open_id:
            return
        if event.removed:
            self.bar.take(item.id)
        else:
            self.bar.put(item)
        self.follow(self._open_id)  # whether all of them still fit whole
        self.changed.emit()

    def _put_back(self, item: AttachedDocument) -> None:
        document_id = item.document_id
        if document_id is not None:
            self._call(lambda: self._documents.attach_documents(item.conversation_id, [document_id]))
        else:
            self._attach(item.conversation_id, [item.path])

    def _ask_citations(self, message_id: str) -> None:
        if message_id in self._asked:
            return
        self._asked.add(message_id)

        def show(citations: Sequence[Citation]) -> None:
            self._asked.discard(message_id)
            self._transcript.show_citations(message_id, citations)

        def fail(_error: GatehouseError) -> None:
            """The message is gone, or a document is: the answer stands without its sources."""

        self._desk.bridge.call(lambda: self._documents.citations(message_id), show, fail, owner=self._page)

    def _item(self, key: str) -> AttachedDocument | None:
        return next((item for item in self.bar.items if item.id == key), None)

    def _call(self, make: Callable[[], Coroutine[Any, Any, Any]], show: Callable[[Any], None] | None = None) -> None:
        self._desk.bridge.call(make, show, owner=self._page)

    # Files dragged over the page.

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QDragEnterEvent):
            if local_files(event.mimeData()):
                self._composer.set_dropping(True)
                event.acceptProposedAction()
                return True
        elif event.type() is QEvent.Type.DragLeave:
            self._composer.set_dropping(False)
        elif isinstance(event, QDropEvent) and event.type() is QEvent.Type.Drop:
            self._composer.set_dropping(False)
            self.attach(local_files(event.mimeData()))
            event.acceptProposedAction()
            return True
        return super().eventFilter(watched, event)
