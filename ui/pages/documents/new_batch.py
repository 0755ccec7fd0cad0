"""What to do with files that were dropped: which schema, under which label, whether folders are watched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QGridLayout

from app.documents.batch_records import NewBatch
from app.extraction.schema import Schema
from app.gate.label import DEFAULT_LABEL, Label
from ui import display
from ui.desk import Desk
from ui.theme import GRID, grown
from ui.widgets.parts import button, column, label, row


class NewBatchSheet(QFrame):
    """A card above the queue's page; Enter starts, Escape leaves it."""

    started = Signal(object)
    """The ``NewBatch``."""
    left = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setProperty("kind", "sheet")
        self.setAccessibleName(self.tr("New batch"))
        fonts = desk.themes.fonts
        self._paths: tuple[Path, ...] = ()
        self.title = label("", fonts.title, wrap=True)
        self.told = label("", fonts.caption, "muted", wrap=True)
        self.schema = QComboBox()
        self.schema.setAccessibleName(self.tr("Schema: what to take out of them"))
        self.schema.currentIndexChanged.connect(self._describe)
        self.label_box = QComboBox()
        self.label_box.setAccessibleName(self.tr("Label of the documents"))
        for item in Label:
            self.label_box.addItem(item.value.capitalize(), item)
        self.watch = QCheckBox(self.tr("Watch the folder and read new files as they come"))
        self.about = label("", fonts.caption, "muted", wrap=True)
        self.start = button(self.tr("Start"), self._start, "primary")
        leave = button(self.tr("Cancel"), self.left.emit)
        asked = QGridLayout()
        asked.setHorizontalSpacing(2 * GRID)
        asked.setVerticalSpacing(GRID)
        asked.setColumnStretch(1, 1)
        asked.addWidget(label(self.tr("Schema")), 0, 0)
        asked.addWidget(self.schema, 0, 1)
        asked.addWidget(self.about, 1, 1)
        asked.addWidget(label(self.tr("Label")), 2, 0)
        asked.addWidget(self.label_box, 2, 1)
        whole = column(
            self.title,
            self.told,
            asked,
            self.watch,
            row(None, leave, self.start),
            spacing=12,
            margin=3 * GRID,
        )
        self.setLayout(whole)
        self.setMaximumWidth(grown(64 * GRID))

    def ask(self, paths: Sequence[Path], schemas: Sequence[Schema], last: str = "") -> None:
        """Show it for these files; ``last`` is the schema to offer first."""
        self._paths = tuple(paths)
        folders = sum(path.is_dir() for path in paths)
        words = self.tr("Read %1").replace("%1", _named(paths))
        self.title.setText(words)
        self.told.setText(
            self.tr("Folders are read with everything in them. Nothing is copied and nothing leaves this machine.")
            if folders
            else self.tr("Files stay where they are. Nothing leaves this machine.")
        )
        self.watch.setVisible(bool(folders))
        self.watch.setChecked(False)
        self.schema.clear()
        for schema in schemas:
            self.schema.addItem(schema.title, schema)
        self.schema.setCurrentIndex(likely_schema(paths, schemas, last))
        self.label_box.setCurrentIndex(list(Label).index(DEFAULT_LABEL))
        self.start.setEnabled(bool(schemas))
        self.show()
        self.schema.setFocus()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.left.emit()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._start()
        else:
            super().keyPressEvent(event)

    def _describe(self) -> None:
        schema = self.schema.currentData()
        if isinstance(schema, Schema):
            shown = [field.shown for field in schema.fields[:8]]
            names = ", ".join(name if name.isupper() else name.lower() for name in shown)
            more = self.tr(" and %1 more").replace("%1", display.integer(len(schema.fields) - 8))
            self.about.setText(names + (more if len(schema.fields) > 8 else ""))

    def _start(self) -> None:
        schema = self.schema.currentData()
        if isinstance(schema, Schema):
            self.started.emit(
                NewBatch(
                    self._paths,
                    schema.name,
                    watch=self.watch.isChecked() and not self.watch.isHidden(),
                    label=Label(self.label_box.currentData()),  # Qt keeps the text of it
                )
            )


def likely_schema(paths: Sequence[Path], schemas: Sequence[Schema], last: str) -> int:
    """The place of the schema to offer: one that the files or folders are called after, else the last one. Pure."""
    names = " ".join(f"{path.parent.name} {path.name}" for path in paths[:50]).casefold()
    words = [re.escape(schema.title.casefold()) for schema in schemas]
    called = [n for n, title in enumerate(words) if title and re.search(rf"(?<![^\W_]){title}s?(?![^\W_])", names)]
    return next(iter(called), next((n for n, schema in enumerate(schemas) if schema.name == last), 0))


def _named(paths: Sequence[Path]) -> str:
    names = [path.name for path in paths[:2]]
    if len(paths) > 2:
        return f"{', '.join(names)} and {len(paths) - 2} more"
    return " and ".join(names)
