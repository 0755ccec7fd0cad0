"""Schemas: which there are, the fields of one as a table, and beside it what the model is really asked for.

Built-in ones are changed as copies. Nothing is saved before *Save*; until then every step can be undone.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QSize, Qt, QTimer
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
    QSplitter,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from app.extraction import editing
from app.extraction.schema import Field, Rule, Schema
from engine.errors import GatehouseError
from ui.desk import Desk
from ui.models import schema_fields as columns
from ui.models.schema_fields import SchemaModel
from ui.pages.documents.rules import RulesView
from ui.pages.documents.schema_cells import FieldNames, FieldTypes
from ui.theme import GRID, grown
from ui.widgets.flow import Flow
from ui.widgets.parts import button, column, frame, label, row

Index = QModelIndex | QPersistentModelIndex
_WIDTHS: Final = {columns.NAME: 18, columns.TYPE: 12, columns.ABOUT: 34, columns.REQUIRED: 10, columns.EXAMPLE: 16}
_LIST_WIDTH: Final = 28 * GRID
_LOOK_MS: Final = 150


class SchemaEditor(QWidget):
    """One schema at a time."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._documents = desk, desk.services.documents
        self._schemas: tuple[Schema, ...] = ()
        self._saved: Schema | None = None
        self._wanted = ""
        self._proposing: Future[Any] | None = None
        fonts = desk.themes.fonts
        self.names = QListWidget()
        self.names.setAccessibleName(self.tr("Schemas"))
        self.names.setFrameShape(QListWidget.Shape.NoFrame)
        self.names.setProperty("kind", "padded")
        self.names.currentRowChanged.connect(self._choose)
        self.title = QLineEdit()
        self.title.setAccessibleName(self.tr("Name of the schema"))
        self.title.setPlaceholderText(self.tr("Name of the schema"))
        self.title.editingFinished.connect(self._retitle)
        self.model = SchemaModel(self)
        self.model.changed.connect(lambda _schema: self._changed())
        self.fields = self._table()
        self.rules = RulesView(desk)
        self.rules.changed.connect(self._rule)
        self.json = QPlainTextEdit()
        self.json.setFont(fonts.mono)
        self.json.setReadOnly(True)
        self.json.setFrameShape(QPlainTextEdit.Shape.NoFrame)
        self.json.setProperty("kind", "plain")
        self.json.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.json.setAccessibleName(self.tr("As JSON Schema"))
        self.fault = label("", fonts.caption, "danger", wrap=True)
        self.fault.hide()
        self.save = button(self.tr("Save"), self.keep, "primary")
        self.undo = button(self.tr("Undo"), self.model.undo, "quiet")
        self.drop = button(self.tr("Delete schema"), self.remove_schema, "quiet")
        self.propose = button(self.tr("Propose from samples…"), self.choose_samples)
        self._look = QTimer(self, singleShot=True, interval=_LOOK_MS)
        self._look.timeout.connect(self._show_json)
        for keys, run in (
            (QKeySequence.StandardKey.Undo, self.model.undo),
            (QKeySequence.StandardKey.Redo, self.model.redo),
        ):
            QShortcut(QKeySequence(keys), self, run, context=Qt.ShortcutContext.WidgetWithChildrenShortcut)
        self.setLayout(self._build())
        desk.bridge.schemas_changed.connect(lambda _event: self.refresh())

    def enter(self) -> None:
        """It came to the front."""
        if not self._schemas:
            self.refresh()

    # which schema

    def refresh(self, wanted: str = "") -> None:
        """Read the schemas again."""
        self._wanted = wanted or self._wanted or (self._saved.name if self._saved is not None else "")
        self._desk.bridge.call(self._documents.schemas, self._show_schemas, owner=self)

    def _show_schemas(self, schemas: Sequence[Schema]) -> None:
        self._schemas = tuple(schemas)
        wanted, self._wanted = self._wanted, ""
        if self._is_changed() and self._saved is not None and self._saved.name == wanted:
            return  # what is being written stays
        self.names.blockSignals(True)
        self.names.clear()
        for schema in schemas:
            item = QListWidgetItem(schema.title, self.names)
            item.setSizeHint(QSize(0, grown(4 * GRID)))
        self.names.blockSignals(False)
        at = next((place for place, schema in enumerate(schemas) if schema.name == wanted), 0)
        self.names.setCurrentRow(at if schemas else -1)

    def _choose(self, place: int) -> None:
        schema = self._schemas[place] if 0 <= place < len(self._schemas) else None
        self._saved = schema
        self.model.show_schema(schema)
        self.title.setText(schema.title if schema is not None else "")
        self._changed()

    def _is_changed(self) -> bool:
        return self.model.schema is not None and self.model.schema != self._saved

    # changing

    def add_field(self, *, inside: bool = False) -> None:
        """Below the current field, or as the first inside it."""
        schema = self.model.schema
        if schema is not None:
            made, address = editing.insert_below(schema, self._address(), inside=inside)
            self._become(made, address)

    def remove_field(self) -> None:
        schema, address = self.model.schema, self._address()
        if schema is not None and address is not None:
            self._become(editing.remove(schema, address), (*address[:-1], max(0, address[-1] - 1)))

    def move_field(self, step: int) -> None:
        schema, address = self.model.schema, self._address()
        if schema is not None and address is not None:
            self._become(*editing.move(schema, address, step))

    def new_schema(self) -> None:
        """An empty one, to be filled and saved."""
        taken = frozenset(schema.name for schema in self._schemas)
        name = editing.free_name((), "schema")
        while name in taken:
            name = f"{name}_"
        self._begin(Schema(name, self.tr("New schema"), "", (Field("field"),)))

    def copy_schema(self) -> None:
        if self.model.schema is not None:
            self._begin(editing.own_copy(self.model.schema, frozenset(schema.name for schema in self._schemas)))

    def keep(self) -> None:
        """Save it; results say from then on which version they answer."""
        schema = self.model.schema
        if schema is None:
            return

        def saved(kept: Schema) -> None:
            self._saved = kept
            self._say("")
            self._desk.notices.show("success", self.tr("Saved %1.").replace("%1", kept.title))
            self.model.show_schema(kept)
            self.refresh(kept.name)

        self._desk.bridge.call(lambda: self._documents.save_schema(schema), saved, self._tell, owner=self)

    def remove_schema(self) -> None:
        """Of one's own; a changed built-in one is the built-in one again."""
        saved = self._saved
        if saved is None:
            return

        def removed(_: object) -> None:
            self._desk.notices.show("info", self.tr("Removed %1.").replace("%1", saved.title))
            self._saved = None
            self.refresh()

        self._desk.bridge.call(lambda: self._documents.remove_schema(saved.name), removed, self._tell, owner=self)

    def choose_import(self) -> None:
        """Ask for a file with JSON Schema or a Pydantic model."""
        dialog = QFileDialog(self, self.tr("Schema to import"), "", self.tr("Schemas (*.json *.py)"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda name: self.take_over(Path(name)))
        dialog.open()

    def take_over(self, path: Path) -> None:
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self._say(self.tr("%1 cannot be read: %2").replace("%1", path.name).replace("%2", str(error)))
            return
        self._desk.bridge.call(lambda: self._documents.schema_from_json(text), self._begin, self._tell, owner=self)

    def choose_samples(self) -> None:
        """Ask for a few documents to propose a schema from; while that runs, the button ends it."""
        if self._proposing is not None:
            self._proposing.cancel()
            self._end_proposing()
            return
        dialog = QFileDialog(self, self.tr("A few documents of one kind"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.filesSelected.connect(lambda names: self.propose_from([Path(name) for name in names]))
        dialog.open()

    def propose_from(self, paths: Sequence[Path]) -> None:
        self.propose.setText(self.tr("Cancel proposing"))
        self._say("")

        def proposed(schema: Schema) -> None:
            self._end_proposing()
            self._begin(schema)

        def failed(error: GatehouseError) -> None:
            self._end_proposing()
            self._tell(error)

        name = self.tr("Proposed")
        self._proposing = self._desk.bridge.call(
            lambda: self._documents.propose_schema(paths, name), proposed, failed, owner=self
        )

    # inside

    def _end_proposing(self) -> None:
        self._proposing = None
        self.propose.setText(self.tr("Propose from samples…"))

    def _begin(self, schema: Schema) -> None:
        """Write on a schema that is not saved yet."""
        self.names.blockSignals(True)
        self.names.setCurrentRow(-1)
        self.names.blockSignals(False)
        self._saved = None
        self.model.show_schema(schema)
        self.title.setText(schema.title)
        self._changed()
        self.title.setFocus()
        self.title.selectAll()

    def _become(self, schema: Schema, address: editing.Address) -> None:
        self.model.change(schema)
        place = self.model.row_of(address)
        if place is not None:
            self.fields.setCurrentIndex(self.model.index(place, columns.NAME))

    def _address(self) -> editing.Address | None:
        return self.model.address(self.fields.currentIndex().row())

    def _retitle(self) -> None:
        schema, title = self.model.schema, self.title.text().strip()
        if schema is not None and title and title != schema.title:
            self.model.change(replace(schema, title=title))

    def _rule(self, rules: tuple[Rule, ...]) -> None:
        if self.model.schema is not None:
            self.model.change(replace(self.model.schema, rules=rules))

    def _changed(self) -> None:
        schema = self.model.schema
        self.rules.setVisible(schema is not None)
        self.rules.show_rules(schema.rules if schema is not None else ())
        self.save.setEnabled(self._is_changed())
        self.undo.setEnabled(self.model.undoable)
        self.drop.setEnabled(self._saved is not None)
        self._look.start()

    def _show_json(self) -> None:
        schema = self.model.schema
        if schema is None:
            self.json.clear()
            return

        def show(text: str) -> None:
            bar = self.json.verticalScrollBar()
            place = bar.value()
            self.json.setPlainText(text)
            bar.setValue(place)
            self._say("")

        self._desk.bridge.call(lambda: self._documents.schema_json(schema), show, self._tell, owner=self)

    def _say(self, words: str) -> None:
        self.fault.setText(words)
        self.fault.setVisible(bool(words))

    def _tell(self, error: GatehouseError) -> None:
        self._say(f"{error.sentence} {error.hint}".strip())

    # building

    def _table(self) -> QTableView:
        made = QTableView()
        made.setAccessibleName(self.tr("Fields of the schema"))
        made.setModel(self.model)
        made.setItemDelegateForColumn(columns.TYPE, FieldTypes(made))
        made.setItemDelegateForColumn(columns.NAME, FieldNames(made))
        made.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        made.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        made.setShowGrid(False)
        made.verticalHeader().hide()
        made.verticalHeader().setDefaultSectionSize(grown(4 * GRID))
        header = made.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setStretchLastSection(True)
        for place, width in _WIDTHS.items():
            made.setColumnWidth(place, grown(width * GRID))
        header.setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        return made

    def _build(self) -> QVBoxLayout:
        left = frame("side")
        left.setFixedWidth(grown(_LIST_WIDTH))
        more = column(
            button(self.tr("New schema"), self.new_schema),
            button(self.tr("Duplicate"), self.copy_schema),
            button(self.tr("Import…"), self.choose_import),
            self.propose,
            spacing=4,
        )
        more.setContentsMargins(GRID, GRID, GRID, GRID)
        inner = column(self.names, frame("line"), more, spacing=0)
        inner.setStretch(0, 1)
        inner.setContentsMargins(0, 6, 0, 0)
        left.setLayout(inner)
        tools = Flow(spacing=4)
        for made in (
            button(self.tr("Add a field"), self.add_field),
            button(self.tr("Add inside"), lambda: self.add_field(inside=True), "quiet"),
            button(self.tr("Delete field"), self.remove_field, "quiet"),
            button(self.tr("Move up"), lambda: self.move_field(-1), "quiet"),
            button(self.tr("Move down"), lambda: self.move_field(1), "quiet"),
        ):
            tools.addWidget(made)
        name = row(self.title, self.undo, self.drop, self.save, spacing=4)
        name.setStretch(0, 1)
        head = column(name, tools, self.fault)
        head.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        pile = QSplitter(Qt.Orientation.Vertical)
        above = QWidget()
        table = row(self.fields)
        table.setContentsMargins(2 * GRID, 0, 2 * GRID, 0)
        fields = column(table, self.rules, spacing=GRID)
        fields.setStretch(0, 1)
        above.setLayout(fields)
        pile.addWidget(above)
        pile.addWidget(self.json)
        pile.setChildrenCollapsible(False)
        pile.setSizes([420, 240])
        right = column(head, pile, spacing=0)
        right.setStretch(1, 1)
        both = row(left, right, spacing=0)
        both.setStretch(1, 1)
        return column(both, spacing=0)
