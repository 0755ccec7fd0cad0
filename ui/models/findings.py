"""What detectors found in a text, and the words of the glossary, as rows."""

from __future__ import annotations

from enum import IntEnum

from PySide6.QtCore import QObject

from app.gate.records import Finding, Term
from ui import display, gate_words
from ui.theme import ThemeStore
from ui.widgets.records_table import Field, RecordsTable


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


class FindingTable(RecordsTable[Finding]):
    """In the order of the text."""

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        fields: tuple[Field[Finding], ...] = (
            Field("Text", _one_line, name=True),
            Field("What it is", lambda found: gate_words.kind_words(found.kind)),
            Field("Found by", lambda found: gate_words.detector_words(found.detector)),
            Field("Score", lambda found: display.percent(found.score), lambda found: found.score),
        )
        super().__init__(themes, fields, "findings", tip=_one_line, parent=parent)


class TermTable(RecordsTable[Term]):
    """In the order they were added."""

    def __init__(self, themes: ThemeStore, parent: QObject | None = None) -> None:
        fields: tuple[Field[Term], ...] = (
            Field("Word", lambda term: term.text, name=True),
            Field("What it is", lambda term: gate_words.kind_words(term.kind)),
        )
        super().__init__(themes, fields, "findings", tip=lambda term: term.text, parent=parent)


def _one_line(found: Finding) -> str:
    return " ".join(found.text.split())
