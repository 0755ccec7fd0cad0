"""A document's label, and a menu to change it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QPushButton

from app.documents.review_records import Document
from app.gate.label import Label
from ui.desk import Desk


class LabelButton(QPushButton):
    """Shown while there is a document."""

    changed = Signal(str, object)
    """(the document's id, its new ``Label``)"""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._document_id = ""
        self.setProperty("kind", "quiet")
        self.setAutoDefault(False)
        self.setFont(desk.themes.fonts.caption)
        self.setToolTip(self.tr("Label of this document. Restricted ones never leave this machine."))
        menu = QMenu(self)
        self._acts: dict[Label, QAction] = {}
        for tag in Label:
            act = menu.addAction(tag.value.capitalize(), partial(self.choose, tag))
            act.setCheckable(True)
            self._acts[tag] = act
        self.setMenu(menu)
        self.show_document(None)

    def show_document(self, document: Document | None) -> None:
        self.setVisible(document is not None)
        self._document_id = document.id if document is not None else ""
        if document is not None:
            self._show(document.label)

    def choose(self, tag: Label) -> None:
        """Give the document another label."""
        document_id = self._document_id
        documents = self._desk.services.documents

        def done(_none: None) -> None:
            if document_id == self._document_id:
                self._show(tag)
            self.changed.emit(document_id, tag)

        self._desk.bridge.call(lambda: documents.set_document_label(document_id, tag), done, owner=self)

    def _show(self, tag: Label) -> None:
        self.setText(tag.value.capitalize())
        self.setAccessibleName(self.tr("Label: %1").replace("%1", tag.value))
        for known, act in self._acts.items():
            act.setChecked(known is tag)
