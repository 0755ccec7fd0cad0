"""A text field that grows with its text up to a limit, and where Enter sends."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QMimeData, Qt, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QPlainTextEdit, QWidget


class GrowingEdit(QPlainTextEdit):
    """Plain text only: pasted formats are dropped. With ``takes_files`` files are not text but ``files_given``."""

    submitted = Signal()
    height_wanted = Signal(int)
    files_given = Signal(list)
    """Paths that were dropped or pasted."""

    def __init__(
        self, *, least_lines: int, most_lines: int, takes_files: bool = False, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._takes_files = takes_files
        self._least, self._most = least_lines, most_lines
        self.setTabChangesFocus(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.document().setDocumentMargin(2)
        self.textChanged.connect(self._fit_now)

    def fit(self, width: int) -> int:
        """The height that the text takes at a width, within the limits; sets it."""
        if width > 0 and width != self.width():
            self.resize(width, self.height())
        return self._fit_now()

    def event(self, event: QEvent) -> bool:
        """Undo is the window's while nothing typed can be undone."""
        if (
            isinstance(event, QKeyEvent)
            and event.type() is QEvent.Type.ShortcutOverride
            and event.matches(QKeySequence.StandardKey.Undo)
            and not self.document().isUndoAvailable()
        ):
            event.ignore()
            return False
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        enter = event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter)
        if enter and not event.modifiers() & (Qt.KeyboardModifier.ShiftModifier | Qt.KeyboardModifier.AltModifier):
            self.submitted.emit()
            return
        if event.key() == Qt.Key.Key_Escape:
            event.ignore()
            return
        super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return super().canInsertFromMimeData(source) or (self._takes_files and bool(local_files(source)))

    def insertFromMimeData(self, source: QMimeData) -> None:
        paths = local_files(source) if self._takes_files else []
        if paths:
            self.files_given.emit(paths)
        elif source.hasText():
            self.insertPlainText(source.text())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self._fit_now()

    def _fit_now(self) -> int:
        # A plain text document measures its height in lines.
        lines = min(max(int(self.document().size().height()), self._least), self._most)
        margins = self.contentsMargins()
        height = int(lines * self.fontMetrics().lineSpacing() + 2 * self.document().documentMargin() + 4)
        height += margins.top() + margins.bottom()
        wanted = Qt.ScrollBarPolicy.ScrollBarAsNeeded
        self.setVerticalScrollBarPolicy(
            wanted if int(self.document().size().height()) > self._most else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        )
        if height != self.height() or self.minimumHeight() != height:
            self.setFixedHeight(height)
            self.height_wanted.emit(height)
        return height


def local_files(source: QMimeData) -> list[Path]:
    """The files of this machine that are dragged or were copied."""
    return [Path(url.toLocalFile()) for url in source.urls() if url.isLocalFile()]
