"""Providers as rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QColor

from app.gate.records import Provider
from ui import display, gate_words
from ui.icons import Icons
from ui.theme import ThemeStore

Index = QModelIndex | QPersistentModelIndex
PROVIDER = Qt.ItemDataRole.UserRole


class Column(IntEnum):
    """The columns, in their order."""

    NAME = 0
    MODEL = 1
    TRUST = 2
    PRICE = 3
    KEY = 4


_TITLES = {
    Column.NAME: "Provider",
    Column.MODEL: "Model",
    Column.TRUST: "Trust",
    Column.PRICE: "Price in / out",
    Column.KEY: "Key",
}


class ProviderTable(QAbstractTableModel):
    """In the order they were added."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._themes, self._icons = themes, icons
        self._rows: tuple[Provider, ...] = ()

    def replace(self, providers: Sequence[Provider]) -> None:
        self.beginResetModel()
        self._rows = tuple(providers)
        self.endResetModel()

    def providers(self) -> tuple[Provider, ...]:
        return self._rows

    def row_of(self, provider_id: str) -> int:
        """The place of a provider, or -1."""
        return next((place for place, found in enumerate(self._rows) if found.id == provider_id), -1)

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
        provider, column = self._rows[index.row()], Column(index.column())
        named = column is Column.NAME
        answers: dict[int, Callable[[], object]] = {
            Qt.ItemDataRole.DisplayRole: lambda: _words(provider, column),
            Qt.ItemDataRole.FontRole: lambda: self._themes.fonts.body if named else self._themes.fonts.caption,
            Qt.ItemDataRole.ForegroundRole: lambda: QColor(getattr(self._themes.theme, _tone(provider, column))),
            Qt.ItemDataRole.ToolTipRole: lambda: provider.base_url,
            PROVIDER: lambda: provider,
        }
        if role == Qt.ItemDataRole.DecorationRole and named:
            return self._icons.icon("server" if provider.trust == "team" else "cloud", "outside", on="outside")
        answer = answers.get(role)
        return answer() if answer is not None else None


def price_words(provider: Provider) -> str:
    """``$0.25 / $2.00``, ``free``, or ``not set``."""
    if not provider.is_priced:
        return _tr("not set")
    if not provider.input_usd_per_mtok and not provider.output_usd_per_mtok:
        return _tr("free")
    both = (provider.input_usd_per_mtok, provider.output_usd_per_mtok)
    return " / ".join(display.usd_per_mtok(price) for price in both)


def _words(provider: Provider, column: Column) -> str:
    return {
        Column.NAME: provider.name,
        Column.MODEL: provider.model,
        Column.TRUST: gate_words.trust_words(provider.trust),
        Column.PRICE: price_words(provider),
        Column.KEY: _tr("stored") if provider.has_key else _tr("none"),
    }[column]


def _tone(provider: Provider, column: Column) -> str:
    if column is Column.NAME:
        return "text"
    if column is Column.KEY:
        keyless = "warning" if provider.trust == "cloud" else "muted"
        return "success" if provider.has_key else keyless
    if column is Column.PRICE and not provider.is_priced:
        return "warning"
    return "muted"


def _tr(text: str) -> str:
    return QCoreApplication.translate("providers", text)
