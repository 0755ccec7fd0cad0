"""Workspaces and their folders as rows, folders indented under the workspace that they lie in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from app.gate.records import Place
from ui import gate_words
from ui.icons import Icons
from ui.theme import ThemeStore

Index = QModelIndex | QPersistentModelIndex
PLACE = Qt.ItemDataRole.UserRole


class Column(IntEnum):
    """The columns, in their order."""

    NAME = 0
    LABEL = 1
    EFFECTIVE = 2


_TITLES = {Column.NAME: "Place", Column.LABEL: "Its label", Column.EFFECTIVE: "In force"}


class PlaceTable(QAbstractTableModel):
    """As the service lists them: a workspace, then its folders."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons
        self._rows: tuple[Place, ...] = ()

    def replace(self, places: Sequence[Place]) -> None:
        self.beginResetModel()
        self._rows = tuple(places)
        self.endResetModel()

    def row_of(self, place_id: str) -> int:
        """The row of a place, or -1."""
        return next((number for number, found in enumerate(self._rows) if found.id == place_id), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _tr(_TITLES[Column(section)])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft)
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        place, column = self._rows[index.row()], Column(index.column())
        theme, fonts = self._themes.theme, self._themes.fonts
        named = column is Column.NAME
        tag = place.effective if column is Column.EFFECTIVE else place.label
        answers: dict[int, Callable[[], object]] = {
            PLACE: lambda: place,
            Qt.ItemDataRole.DisplayRole: lambda: _words(place, column),
            Qt.ItemDataRole.AccessibleTextRole: lambda: _spoken(place, column),
            Qt.ItemDataRole.FontRole: lambda: fonts.body if named else fonts.caption,
            Qt.ItemDataRole.ForegroundRole: lambda: QColor(
                theme.text if named else getattr(theme, gate_words.label_tone(tag))
            ),
        }
        if role == Qt.ItemDataRole.DecorationRole and named and place.parent_id is None:
            return self._icons.icon("folder-open")
        answer = answers.get(role)
        return answer() if answer is not None else None


def _spoken(place: Place, column: Column) -> str:
    if column is not Column.NAME:
        return _words(place, column)
    inside = _tr("folder %1") if place.parent_id else _tr("workspace %1")
    return inside.replace("%1", place.name)


def _words(place: Place, column: Column) -> str:
    if column is Column.NAME:
        return f"        {place.name}" if place.parent_id else place.name
    return gate_words.label_words(place.label if column is Column.LABEL else place.effective)


def _tr(text: str) -> str:
    return QCoreApplication.translate("places", text)
