"""Workspaces and their folders as rows, folders indented under the workspace that they lie in."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtCore import QCoreApplication, QObject
from PySide6.QtGui import QIcon

from app.gate.records import Place
from ui import gate_words
from ui.icons import Icons
from ui.theme import ThemeStore
from ui.widgets.records_table import Field, RecordsTable


class Column(IntEnum):
    """The columns, in their order."""

    NAME = 0
    LABEL = 1
    EFFECTIVE = 2


class PlaceTable(RecordsTable[Place]):
    """As the service lists them: a workspace, then its folders."""

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QObject | None = None) -> None:
        def icon(place: Place) -> QIcon | None:
            return icons.icon("folder-open") if place.parent_id is None else None

        fields: tuple[Field[Place], ...] = (
            Field("Place", _name, spoken=_spoken, icon=icon, name=True),
            Field(
                "Its label",
                lambda place: gate_words.label_words(place.label),
                tone=lambda place: gate_words.label_tone(place.label),
            ),
            Field(
                "In force",
                lambda place: gate_words.label_words(place.effective),
                tone=lambda place: gate_words.label_tone(place.effective),
            ),
        )
        super().__init__(themes, fields, "places", key=lambda place: place.id, parent=parent)


def _name(place: Place) -> str:
    return f"        {place.name}" if place.parent_id else place.name


def _spoken(place: Place) -> str:
    inside = _tr("folder %1") if place.parent_id else _tr("workspace %1")
    return inside.replace("%1", place.name)


def _tr(text: str) -> str:
    return QCoreApplication.translate("places", text)
