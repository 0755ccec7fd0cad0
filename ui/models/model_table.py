"""Models as rows: raw values for sorting, words for showing. What is shown is decided in ``ui.models.rows``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import (
    QAbstractTableModel,
    QCoreApplication,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor

from app.models.offers import Offer
from app.models.records import LoadedModel, ModelCard
from engine.worker.spec import Failed, Ready
from ui import display
from ui.models.rows import FIT_TONES, Filters, Row, fit_words, kind_words, matches, speed_words, state_words
from ui.theme import ThemeStore

Index = QModelIndex | QPersistentModelIndex
ROW_ROLE = Qt.ItemDataRole.UserRole
SORT_ROLE = Qt.ItemDataRole.UserRole + 1


class Column(IntEnum):
    """The columns, in their order."""

    NAME = 0
    STATE = 1
    FIT = 2
    SPEED = 3
    SIZE = 4
    PARAMETERS = 5
    KIND = 6
    QUANTIZATION = 7
    CONTEXT = 8
    LICENCE = 9


@dataclass(frozen=True, slots=True)
class _Field:
    title: str
    words: Callable[[Row], str]
    value: Callable[[Row], str | float]
    """For sorting; numbers as floats, since Qt compares integers in 32 bits."""
    right: bool = False


_VERDICTS = ("fits", "splits", "tight", "too_large", "unknown")

_FIELDS: dict[Column, _Field] = {
    Column.NAME: _Field("Name", lambda r: r.name, lambda r: r.name.casefold()),
    Column.STATE: _Field("State", lambda r: "", lambda r: ""),
    Column.FIT: _Field(
        "Fit", lambda r: "—" if r.fault else fit_words(r.fitness), lambda r: float(_VERDICTS.index(r.fitness.verdict))
    ),
    Column.SPEED: _Field(
        "Speed",
        lambda r: speed_words(r),
        lambda r: r.fitness.decode_tok_s.likely if r.fitness.decode_tok_s else 0.0,
        right=True,
    ),
    Column.SIZE: _Field(
        "Size",
        lambda r: display.byte_size(r.size_bytes) if r.size_bytes is not None else "—",
        lambda r: float(r.size_bytes or 0),
        right=True,
    ),
    Column.PARAMETERS: _Field(
        "Params", lambda r: display.parameters(r.parameters), lambda r: float(r.parameters or 0), right=True
    ),
    Column.KIND: _Field("Kind", lambda r: kind_words(r), lambda r: float(r.n_expert)),
    Column.QUANTIZATION: _Field("Quant.", lambda r: r.quantization or "—", lambda r: r.quantization),
    Column.CONTEXT: _Field(
        "Context",
        lambda r: display.tokens_short(r.n_ctx) if r.n_ctx else "—",
        lambda r: float(r.n_ctx or 0),
        right=True,
    ),
    Column.LICENCE: _Field("Licence", lambda r: display.licence(r.licence) or "—", lambda r: r.licence.casefold()),
}


class ModelTable(QAbstractTableModel):
    """Rows of any origin; the state column follows the loaded model."""

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._themes = themes
        self._rows: list[Row] = []
        self._loaded = LoadedModel(None, None, None, None)
        self._of_offers = False

    def replace(self, rows: Sequence[Row]) -> None:
        self.beginResetModel()
        self._rows = list(rows)
        self._of_offers = bool(rows) and isinstance(rows[0].source, Offer)
        self.endResetModel()

    def renew(self, row: Row) -> None:
        """Another version of one row, in its place."""
        place = self.row_of(row.key)
        if place >= 0:
            self._rows[place] = row
            self.dataChanged.emit(self.index(place, 0), self.index(place, len(Column) - 1))

    def show_loaded(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        if self._rows:
            self.dataChanged.emit(self.index(0, Column.STATE), self.index(len(self._rows) - 1, Column.STATE))

    def rows(self) -> Sequence[Row]:
        """In the order they were given."""
        return tuple(self._rows)

    def row_of(self, key: str) -> int:
        """The place of a model, or -1."""
        return next((place for place, row in enumerate(self._rows) if row.key == key), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        field = _FIELDS[Column(section)]
        if role == Qt.ItemDataRole.DisplayRole:
            return _tr("Maker") if section == Column.STATE and self._of_offers else _tr(field.title)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignVCenter | _side(field))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        row, column = self._rows[index.row()], Column(index.column())
        field = _FIELDS[column]
        stateful = column is Column.STATE
        answers: dict[int, Callable[[], object]] = {
            Qt.ItemDataRole.DisplayRole: lambda: state_words(row, self._loaded) if stateful else field.words(row),
            Qt.ItemDataRole.TextAlignmentRole: lambda: int(Qt.AlignmentFlag.AlignVCenter | _side(field)),
            Qt.ItemDataRole.ForegroundRole: lambda: QColor(
                getattr(self._themes.theme, _tone(row, column, self._loaded))
            ),
            Qt.ItemDataRole.FontRole: lambda: (
                self._themes.fonts.body if column is Column.NAME else self._themes.fonts.caption
            ),
            Qt.ItemDataRole.ToolTipRole: lambda: _tip(row, column),
            ROW_ROLE: lambda: row,
            SORT_ROLE: lambda: state_words(row, self._loaded) if stateful else field.value(row),
        }
        answer = answers.get(role)
        return answer() if answer is not None else None


class ModelFilter(QSortFilterProxyModel):
    """Rows that the filters let through."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._filters = Filters()
        self.setSortRole(SORT_ROLE)

    def set_filters(self, filters: Filters) -> None:
        self.beginFilterChange()
        self._filters = filters
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        row = self.sourceModel().index(source_row, 0).data(ROW_ROLE)
        assert isinstance(row, Row)
        return matches(row, self._filters)


def _tip(row: Row, column: Column) -> str:
    if column is Column.FIT and row.fitness.reason:
        return row.fitness.reason
    return row.fault or (str(row.source.path) if isinstance(row.source, ModelCard) else row.key)


def _tone(row: Row, column: Column, loaded: LoadedModel) -> str:
    if column is Column.NAME:
        return "muted" if row.fault else "text"
    if column is Column.FIT and not row.fault:
        return FIT_TONES[row.fitness.verdict]
    if column is not Column.STATE:
        return "muted"
    if row.fault:
        return "danger"
    if loaded.model_id != row.key:
        return "muted"
    return {Ready: "success", Failed: "danger"}.get(type(loaded.state), "accent")


def _side(field: _Field) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if field.right else Qt.AlignmentFlag.AlignLeft


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)
