"""A schema's fields as a Qt table that can be written into; every change is another schema, so all can be undone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from app.extraction import editing
from app.extraction.schema import Field, FieldType, Schema

Index = QModelIndex | QPersistentModelIndex
DEPTH = int(Qt.ItemDataRole.UserRole)
"""How many tables and groups a field lies in."""

NAME, TYPE, ABOUT, REQUIRED, EXAMPLE, CHOICES, CHECKS = range(7)


class SchemaModel(QAbstractTableModel):
    """Rows are all fields, those of tables and groups below them."""

    changed = Signal(object)
    """The ``Schema`` as it is now."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._schema: Schema | None = None
        self._rows: list[tuple[editing.Address, Field]] = []
        self._before: list[Schema] = []
        self._after: list[Schema] = []

    @property
    def schema(self) -> Schema | None:
        return self._schema

    @property
    def undoable(self) -> bool:
        return bool(self._before)

    def show_schema(self, schema: Schema | None) -> None:
        """Another schema, with nothing to undo."""
        self._before, self._after = [], []
        self._show(schema)

    def change(self, schema: Schema) -> None:
        """A changed schema; undo brings the one before back."""
        if self._schema is None or schema == self._schema:
            return
        self._before.append(self._schema)
        self._after = []
        self._show(schema)
        self.changed.emit(schema)

    def undo(self) -> None:
        if self._before and self._schema is not None:
            self._after.append(self._schema)
            self._show(self._before.pop())
            self.changed.emit(self._schema)

    def redo(self) -> None:
        if self._after and self._schema is not None:
            self._before.append(self._schema)
            self._show(self._after.pop())
            self.changed.emit(self._schema)

    def address(self, row: int) -> editing.Address | None:
        return self._rows[row][0] if 0 <= row < len(self._rows) else None

    def row_of(self, address: editing.Address) -> int | None:
        return next((row for row, (known, _) in enumerate(self._rows) if known == address), None)

    # What Qt asks.

    def rowCount(self, parent: Index | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index | None = None) -> int:
        return 7

    def headerData(self, section: int, way: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if way is not Qt.Orientation.Horizontal or role != Qt.ItemDataRole.DisplayRole:
            return None
        return (
            self.tr("Name"),
            self.tr("Type"),
            self.tr("Description"),
            self.tr("Required"),
            self.tr("Example"),
            self.tr("Choices"),
            self.tr("Checks"),
        )[section]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        address, field = self._rows[index.row()]
        at = index.column()
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return _READ[at](field)
        if role == DEPTH:
            return len(address) - 1
        if role == Qt.ItemDataRole.CheckStateRole and at == REQUIRED:
            return Qt.CheckState.Checked if field.required else Qt.CheckState.Unchecked
        return _READ[at](field) if role == Qt.ItemDataRole.ToolTipRole else None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if not index.isValid() or self._schema is None:
            return False
        address, field = self._rows[index.row()]
        if role == Qt.ItemDataRole.CheckStateRole and index.column() == REQUIRED:
            made = replace(field, required=Qt.CheckState(value) is Qt.CheckState.Checked)
        elif role == Qt.ItemDataRole.EditRole and index.column() in _WRITE:
            made = _WRITE[index.column()](field, str(value).strip())
        else:
            return False
        self.change(editing.put(self._schema, address, made))
        return True

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.isValid() and index.column() == REQUIRED:
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        return flags | Qt.ItemFlag.ItemIsEditable

    def _show(self, schema: Schema | None) -> None:
        self.beginResetModel()
        self._schema = schema
        self._rows = list(editing.every_field(schema.fields)) if schema is not None else []
        self.endResetModel()


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)


def _typed(field: Field, text: str) -> Field:
    kind = FieldType(text)
    choices = field.choices or (("yes", "no") if kind is FieldType.CHOICE else ())
    return replace(field, type=kind, choices=choices)


_READ: Final[dict[int, Callable[[Field], str]]] = {
    NAME: lambda field: field.name,
    TYPE: lambda field: field.type.value,
    ABOUT: lambda field: field.description,
    REQUIRED: lambda field: "",
    EXAMPLE: lambda field: field.example,
    CHOICES: lambda field: ", ".join(field.choices),
    CHECKS: lambda field: ", ".join(field.validators),
}
_WRITE: Final[dict[int, Callable[[Field, str], Field]]] = {
    NAME: lambda field, text: replace(field, name=text or field.name, label=""),
    TYPE: _typed,
    ABOUT: lambda field, text: replace(field, description=text),
    EXAMPLE: lambda field, text: replace(field, example=text),
    CHOICES: lambda field, text: replace(field, choices=_listed(text) or field.choices),
    CHECKS: lambda field, text: replace(field, validators=_listed(text)),
}
