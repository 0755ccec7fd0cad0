"""What detectors found in a text, and the words of the glossary, as rows."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from app.gate.records import Finding, Term
from ui import display, gate_words
from ui.theme import ThemeStore

Index = QModelIndex | QPersistentModelIndex


class FindingColumn(IntEnum):
    """The columns of what was found, in their order."""

    TEXT = 0
    KIND = 1
    DETECTOR = 2
    SCORE = 3


class TermColumn(IntEnum):
    """The columns of the glossary, in their order."""

    TEXT = 0
    KIND = 1


class _WordTable(QAbstractTableModel):
    """Rows of words: the first column in the body's font, the others small and muted."""

    titles: tuple[str, ...] = ()

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._themes = themes
        self._words: list[tuple[str, ...]] = []

    def show_words(self, words: Sequence[tuple[str, ...]]) -> None:
        self.beginResetModel()
        self._words = list(words)
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._words)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.titles)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _tr(self.titles[section])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        words, first = self._words[index.row()][index.column()], index.column() == 0
        theme, fonts = self._themes.theme, self._themes.fonts
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole):
            return words
        if role == Qt.ItemDataRole.FontRole:
            return fonts.body if first else fonts.caption
        if role == Qt.ItemDataRole.ForegroundRole:
            return QColor(theme.text if first else theme.muted)
        return None


class FindingTable(_WordTable):
    """In the order of the text."""

    titles = ("Text", "What it is", "Found by", "Score")

    def replace(self, findings: Sequence[Finding]) -> None:
        self.show_words(
            [
                (
                    " ".join(found.text.split()),
                    gate_words.kind_words(found.kind),
                    gate_words.detector_words(found.detector),
                    display.percent(found.score),
                )
                for found in findings
            ]
        )


class TermTable(_WordTable):
    """In the order they were added."""

    titles = ("Word", "What it is")

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        super().__init__(themes, parent)
        self._terms: tuple[Term, ...] = ()

    def replace(self, terms: Sequence[Term]) -> None:
        self._terms = tuple(terms)
        self.show_words([(term.text, gate_words.kind_words(term.kind)) for term in terms])

    def term(self, index: Index) -> Term | None:
        return self._terms[index.row()] if index.isValid() else None


def _tr(text: str) -> str:
    return QCoreApplication.translate("findings", text)
