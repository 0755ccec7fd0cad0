"""The models on disk as rows: raw values for sorting, words for showing, one text for filtering."""

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

from app.models.records import LoadedModel, ModelCard
from engine.worker.spec import Failed, Loading, Ready, Starting
from ui import display
from ui.theme import ThemeStore

Index = QModelIndex | QPersistentModelIndex
CARD_ROLE = Qt.ItemDataRole.UserRole
SORT_ROLE = Qt.ItemDataRole.UserRole + 1


class Column(IntEnum):
    """The columns, in their order."""

    NAME = 0
    STATE = 1
    SIZE = 2
    PARAMETERS = 3
    KIND = 4
    ARCHITECTURE = 5
    QUANTIZATION = 6
    CONTEXT = 7


@dataclass(frozen=True, slots=True)
class _Field:
    title: str
    words: Callable[[ModelCard], str]
    value: Callable[[ModelCard], str | float]
    """For sorting; numbers as floats, since Qt compares integers in 32 bits."""
    right: bool = False


_FIELDS: dict[Column, _Field] = {
    Column.NAME: _Field("Name", lambda c: c.name, lambda c: c.name.casefold()),
    Column.STATE: _Field("State", lambda c: "", lambda c: ""),
    Column.SIZE: _Field("Size", lambda c: display.byte_size(c.size_bytes), lambda c: float(c.size_bytes), right=True),
    Column.PARAMETERS: _Field(
        "Params", lambda c: display.parameters(c.parameters), lambda c: float(c.parameters or 0), right=True
    ),
    Column.KIND: _Field("Kind", lambda c: kind_words(c), lambda c: float(c.n_expert)),
    Column.ARCHITECTURE: _Field("Family", lambda c: c.architecture or "—", lambda c: c.architecture),
    Column.QUANTIZATION: _Field("Quant.", lambda c: c.quantization or "—", lambda c: c.quantization),
    Column.CONTEXT: _Field(
        "Context",
        lambda c: display.tokens_short(c.n_ctx_train) if c.n_ctx_train else "—",
        lambda c: float(c.n_ctx_train or 0),
        right=True,
    ),
}


class ModelTable(QAbstractTableModel):
    """Rows are ``ModelCard``s; the state column follows the loaded model."""

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._themes = themes
        self._cards: list[ModelCard] = []
        self._loaded = LoadedModel(None, None, None, None)

    def replace(self, cards: Sequence[ModelCard]) -> None:
        self.beginResetModel()
        self._cards = list(cards)
        self.endResetModel()

    def show_loaded(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        if self._cards:
            self.dataChanged.emit(self.index(0, Column.STATE), self.index(len(self._cards) - 1, Column.STATE))

    def row_of(self, model_id: str) -> int:
        """The row of a model, or -1."""
        return next((row for row, card in enumerate(self._cards) if card.id == model_id), -1)

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._cards)

    def columnCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(Column)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if orientation is not Qt.Orientation.Horizontal:
            return None
        field = _FIELDS[Column(section)]
        if role == Qt.ItemDataRole.DisplayRole:
            return _tr(field.title)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignVCenter | _side(field))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        card, column = self._cards[index.row()], Column(index.column())
        field = _FIELDS[column]
        stateful = column is Column.STATE
        answers: dict[int, Callable[[], object]] = {
            Qt.ItemDataRole.DisplayRole: lambda: state_words(card, self._loaded) if stateful else field.words(card),
            Qt.ItemDataRole.TextAlignmentRole: lambda: int(Qt.AlignmentFlag.AlignVCenter | _side(field)),
            Qt.ItemDataRole.ForegroundRole: lambda: QColor(
                getattr(self._themes.theme, _tone(card, column, self._loaded))
            ),
            Qt.ItemDataRole.FontRole: lambda: (
                self._themes.fonts.body if column is Column.NAME else self._themes.fonts.caption
            ),
            Qt.ItemDataRole.ToolTipRole: lambda: card.fault or str(card.path),
            CARD_ROLE: lambda: card,
            SORT_ROLE: lambda: state_words(card, self._loaded) if stateful else field.value(card),
        }
        answer = answers.get(role)
        return answer() if answer is not None else None


class ModelFilter(QSortFilterProxyModel):
    """Rows in which every typed word occurs, in any of their words."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self.setSortRole(SORT_ROLE)

    def set_words(self, text: str) -> None:
        self.beginFilterChange()
        self._words = text.casefold().split()
        self.endFilterChange(QSortFilterProxyModel.Direction.Rows)

    def filterAcceptsRow(self, source_row: int, source_parent: Index) -> bool:
        card = self.sourceModel().index(source_row, 0).data(CARD_ROLE)
        assert isinstance(card, ModelCard)
        return matches(card, self._words)


def matches(card: ModelCard, words: Sequence[str]) -> bool:
    """Whether every word (case folded) occurs in what the table says of the model."""
    text = " ".join(
        (card.name, card.id, card.architecture, card.quantization, kind_words(card), card.licence or "")
    ).casefold()
    return all(word in text for word in words)


def kind_words(card: ModelCard) -> str:
    """``Dense``, or ``MoE 8 of 128``."""
    if card.fault and not card.architecture:
        return "—"
    if not card.n_expert:
        return _tr("Dense")
    return _tr("MoE %1 of %2").replace("%1", str(card.n_expert_used)).replace("%2", str(card.n_expert))


def state_words(card: ModelCard, loaded: LoadedModel) -> str:
    """What the model is doing, in one or two words."""
    if card.fault:
        return _tr("Damaged")
    if loaded.model_id == card.id:
        if isinstance(loaded.state, Ready):
            return _tr("Loaded")
        if isinstance(loaded.state, Starting):
            return _tr("Starting")
        if isinstance(loaded.state, Loading):
            return _tr("Loading %1").replace("%1", display.percent(loaded.state.progress_ratio))
        if isinstance(loaded.state, Failed):
            return _tr("Failed")
    return _tr("Built in") if card.built_in else _tr("On disk")


def _tone(card: ModelCard, column: Column, loaded: LoadedModel) -> str:
    if column is Column.NAME:
        return "muted" if card.fault else "text"
    if column is not Column.STATE:
        return "muted"
    if card.fault:
        return "danger"
    if loaded.model_id != card.id:
        return "muted"
    return {Ready: "success", Failed: "danger"}.get(type(loaded.state), "accent")


def _side(field: _Field) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if field.right else Qt.AlignmentFlag.AlignLeft


def _tr(text: str) -> str:
    return QCoreApplication.translate("models", text)
