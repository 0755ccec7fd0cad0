"""Detectors: a box to try them on a text, and the glossary of words that are always hidden."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QColor, QTextCursor
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QStackedWidget,
    QTextEdit,
    QWidget,
)

from app.gate.records import Finding, Term
from engine.errors import GatehouseError
from ui import gate_words
from ui.desk import Action, Desk
from ui.models.findings import FindingColumn, FindingTable, TermColumn, TermTable
from ui.theme import GRID, grown
from ui.widgets.nothing import NothingView
from ui.widgets.parts import button, column, label, row
from ui.widgets.plain_table import PlainTable
from ui.widgets.side_by_side import SideBySide

_PAUSE_MS = 350
_MOST_MARKS = 1000
_BESIDE = 352
_HEADING = 32


class TryBox(QWidget):
    """What one types or pastes is scanned on this machine when typing pauses, and is kept nowhere."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._scanning: concurrent.futures.Future[Sequence[Finding]] | None = None
        self._findings: tuple[Finding, ...] = ()
        fonts = desk.themes.fonts
        self.text = QPlainTextEdit()
        self.text.setTabChangesFocus(True)
        self.text.document().setDocumentMargin(12)
        self.text.setAccessibleName(self.tr("Text to try the detectors on"))
        self.text.setPlaceholderText(
            self.tr("Type or paste something: a letter, an invoice, a line of a log. It stays here and is not kept.")
        )
        self.state = label("", fonts.caption, "muted", wrap=True)
        self._model = FindingTable(desk.themes, self)
        self.view = PlainTable(
            self._model,
            fonts.caption,
            stretch=FindingColumn.TEXT,
            least=140,
            widths={FindingColumn.KIND: 148, FindingColumn.DETECTOR: 180, FindingColumn.SCORE: 72},
            given_up=(FindingColumn.SCORE, FindingColumn.DETECTOR),
        )
        self.view.setAccessibleName(self.tr("What was found"))
        self.view.selectionModel().currentRowChanged.connect(lambda _now, _before: self._mark())
        self._pause = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._pause.timeout.connect(self.scan)
        self.text.textChanged.connect(self._typed)
        heading = label(self.tr("Try the detectors"), fonts.title)
        heading.setFixedHeight(grown(_HEADING))
        title = row(heading, None)
        layout = column(title, self.text, self.state, self.view, spacing=GRID)
        layout.setStretch(1, 3)
        layout.setStretch(3, 2)
        self.setLayout(layout)
        self._show_state()
        desk.themes.changed.connect(self._mark)

    def scan(self) -> None:
        """Look at the text as it is now; an earlier look is not waited for any more."""
        self._stop()
        text = self.text.toPlainText()
        if not text.strip():
            self._take(())
            return
        gate = self._desk.services.gate
        self._scanning = self._desk.bridge.call(lambda: gate.scan(text), self._take, self._failed, owner=self)
        self._show_state()

    def _typed(self) -> None:
        self._stop()
        self._findings = ()
        self.text.setExtraSelections([])
        self._pause.start()

    def _stop(self) -> None:
        if self._scanning is not None:
            self._scanning.cancel()
            self._scanning = None

    def _take(self, findings: Sequence[Finding]) -> None:
        self._scanning = None
        self._findings = tuple(findings)
        self._model.replace(findings)
        self._mark()
        self._show_state()

    def _failed(self, error: GatehouseError) -> None:
        self._scanning = None
        self._model.replace(())
        self.state.setText(f"{error.sentence} {error.hint}".strip())

    def _show_state(self) -> None:
        count = len(self._findings)
        if self._scanning is not None:
            words = self.tr("Looking…")
        elif not self.text.toPlainText().strip():
            words = self.tr(
                "Found strings are marked here as you type. Detectors miss things; this is where to see which."
            )
        elif not count:
            words = self.tr("Nothing was found. That is no proof that nothing is there.")
        else:
            found = self.tr("1 string was found.") if count == 1 else self.tr("%1 strings were found.")
            words = found.replace("%1", str(count))
        self.state.setText(words)
        self.view.setVisible(count > 0)

    def _mark(self) -> None:
        theme, text = self._desk.themes.theme, self.text.toPlainText()
        chosen = self.view.currentIndex().row() if self.view.selectionModel().hasSelection() else -1
        made = []
        for place, finding in enumerate(self._findings[:_MOST_MARKS]):
            mark = QTextEdit.ExtraSelection()
            mark.cursor = QTextCursor(self.text.document())
            mark.cursor.setPosition(_units(text[: finding.start]))
            mark.cursor.setPosition(_units(text[: finding.end]), QTextCursor.MoveMode.KeepAnchor)
            mark.format.setBackground(QColor(theme.accent if place == chosen else theme.accent_soft))
            mark.format.setForeground(QColor(theme.accent_text if place == chosen else theme.accent))
            made.append(mark)
        self.text.setExtraSelections(made)


class GlossaryBox(QWidget):
    """Words that the person knows to be delicate. Adding and removing holds at once."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._gate = desk, desk.services.gate
        fonts = desk.themes.fonts
        self.add_button = button(self.tr("Add"), self.add)
        self.add_button.setEnabled(False)
        self.word = QLineEdit()
        self.word.setPlaceholderText(self.tr("A name, a client, a project"))
        self.word.setAccessibleName(self.tr("Word to hide always"))
        self.word.returnPressed.connect(self.add)
        self.word.textChanged.connect(lambda text: self.add_button.setEnabled(bool(text.strip())))
        self.kind = QComboBox()
        self.kind.setAccessibleName(self.tr("What it is"))
        for kind in gate_words.KINDS:
            self.kind.addItem(gate_words.kind_words(kind).capitalize(), kind)
        self.remove_button = button(self.tr("Remove"), self.remove, "quiet")
        self._model = TermTable(desk.themes, self)
        self.view = PlainTable(
            self._model, fonts.caption, stretch=TermColumn.TEXT, least=120, widths={TermColumn.KIND: 140}
        )
        self.view.setAccessibleName(self.tr("Glossary"))
        self.view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.nothing = NothingView(desk.themes, desk.icons)
        self.nothing.tell(
            "scan-text",
            self.tr("No words of your own yet."),
            self.tr("Clients, colleagues, projects: what you list here is hidden wherever it occurs."),
        )
        self._pile = QStackedWidget()
        self._pile.addWidget(self.nothing)
        self._pile.addWidget(self.view)
        note = label(self.tr("These words are hidden wherever they occur."), fonts.caption, "muted", wrap=True)
        entry = column(self.word, row(self.kind, self.add_button), spacing=GRID)
        heading = label(self.tr("Glossary"), fonts.title)
        heading.setFixedHeight(grown(_HEADING))
        head = row(heading, None, self.remove_button)
        layout = column(head, note, entry, self._pile, spacing=GRID)
        layout.setStretch(3, 1)
        self.setLayout(layout)
        desk.bridge.glossary_changed.connect(lambda _event: self.refresh())

    def refresh(self) -> None:
        self._desk.bridge.call(self._gate.glossary, self._show, owner=self)

    def add(self) -> None:
        text, kind = self.word.text().strip(), str(self.kind.currentData())
        if text:
            self._desk.bridge.call(lambda: self._gate.add_term(text, kind), self._added, owner=self)

    def remove(self) -> None:
        """The chosen word; the notice puts it back."""
        found = self._model.record(self.view.currentIndex())
        if found is None:
            return
        undo = Action(
            self.tr("Undo"),
            lambda: self._desk.bridge.call(lambda: self._gate.add_term(found.text, found.kind), owner=self),
        )
        words = self.tr("“%1” is no longer always hidden.").replace("%1", found.text)
        self._desk.bridge.call(
            lambda: self._gate.remove_term(found.id),
            lambda _none: self._desk.notices.show("info", words, action=undo),
            owner=self,
        )

    def _added(self, _term: Term) -> None:
        self.word.clear()
        self.word.setFocus(Qt.FocusReason.OtherFocusReason)

    def _show(self, terms: Sequence[Term]) -> None:
        self._model.replace(terms)
        self._pile.setCurrentWidget(self.view if terms else self.nothing)
        self.nothing.setVisible(not terms)
        self.remove_button.setVisible(bool(terms))
        if terms:
            self.view.selectRow(0)


class DetectorsView(QWidget):
    """The try box at the left, the glossary at the right."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.tries = TryBox(desk)
        self.glossary = GlossaryBox(desk)
        desk.bridge.glossary_changed.connect(lambda _event: self.tries.scan())
        self.setLayout(column(SideBySide(self.tries, self.glossary, _BESIDE)))

    def enter(self) -> None:
        self.glossary.refresh()


def _units(text: str) -> int:
    """Length as Qt counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
