"""How cells of the schema editor's table are written in and drawn."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QModelIndex, QPersistentModelIndex
from PySide6.QtWidgets import QComboBox, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.extraction.schema import FieldType
from ui.models.schema_fields import DEPTH

Index = QModelIndex | QPersistentModelIndex


class FieldTypes(QStyledItemDelegate):
    """Types are chosen, not written."""

    def createEditor(self, parent: QWidget, option: QStyleOptionViewItem, index: Index) -> QWidget:
        made = QComboBox(parent)
        made.addItems([kind.value for kind in FieldType])
        made.activated.connect(lambda _: self._take(made))
        return made

    def _take(self, editor: QComboBox) -> None:
        self.commitData.emit(editor)
        self.closeEditor.emit(editor)

    def setEditorData(self, editor: QWidget, index: Index) -> None:
        if isinstance(editor, QComboBox):
            editor.setCurrentText(str(index.data()))

    def setModelData(self, editor: QWidget, model: Any, index: Index) -> None:
        if isinstance(editor, QComboBox):
            model.setData(index, editor.currentText())


class FieldNames(QStyledItemDelegate):
    """Fields of tables and groups stand further in."""

    def initStyleOption(self, option: QStyleOptionViewItem, index: Index) -> None:
        super().initStyleOption(option, index)
        depth = index.data(DEPTH) or 0
        option.text = f"{'    ' * int(depth)}{option.text}"
