"""A document by itself, at a place: what an answer cites, or a document of a conversation."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QWidget

from app.documents.review_records import Document
from engine.errors import GatehouseError
from ui.desk import Desk, DocumentPlace
from ui.pages.documents.labels import LabelButton
from ui.pages.documents.sheet import SheetView
from ui.theme import GRID
from ui.widgets.nothing import NothingView
from ui.widgets.parts import ElidedLabel, button, column, label, row


class ReaderView(QWidget):
    """Shows pages and no values. ``left`` says that the person wants to go back."""

    left = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._documents = desk, desk.services.documents
        self._place = DocumentPlace("")
        self.document: Document | None = None
        fonts = desk.themes.fonts
        self.sheet = SheetView(desk)
        self.name = ElidedLabel(fonts.title)
        self.notes = label("", fonts.caption, "muted", wrap=True)
        self.tag = LabelButton(desk)
        self.back = button(self.tr("Back"), self.left.emit, "quiet")
        self.nothing = NothingView(desk.themes, desk.icons)
        head = row(self.back, self.name, self.tag)
        head.setStretch(1, 1)
        above = column(head, self.notes, spacing=4)
        above.setContentsMargins(GRID, GRID, 2 * GRID, GRID)
        whole = column(above, self.sheet, self.nothing, spacing=0)
        whole.setStretch(1, 1)
        self.setLayout(whole)

    def show_place(self, place: DocumentPlace, back: str) -> None:
        """Open a document there; ``back`` is what the way back is called."""
        self._place = place
        self.back.setText(back)
        self.back.setAccessibleName(back)
        if self.document is not None and self.document.id == place.document_id:
            self._show(place, self.document)
            return
        self.document = None
        self.name.setText("")
        self.notes.hide()
        self.tag.show_document(None)
        self.sheet.show_document(None)
        find = partial(self._documents.document, place.document_id)
        self._desk.bridge.call(find, partial(self._show, place), self._fail, owner=self)

    def _show(self, place: DocumentPlace, document: Document) -> None:
        if place is not self._place:
            return
        self.document = document
        self.nothing.hide()
        self.sheet.show()
        self.name.setText(document.name)
        self.notes.setText(" ".join(document.notes))
        self.notes.setVisible(bool(document.notes))
        self.tag.show_document(document)
        self.sheet.show_document(document)
        self.sheet.show_place(place.page, place.boxes)
        self.sheet.view.setFocus()

    def _fail(self, error: GatehouseError) -> None:
        self.sheet.hide()
        self.nothing.tell("triangle-alert", error.sentence, error.hint, tone="warning")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        keys = {Qt.Key.Key_PageUp: -1, Qt.Key.Key_PageDown: 1}
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif Qt.Key(event.key()) in keys:
            self.sheet.turn(keys[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)
