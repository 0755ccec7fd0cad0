"""The rules between a schema's fields: one line each, written as one would say it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from app.extraction.schema import Rule
from ui.desk import Desk
from ui.models.rules import rule_of, rule_words
from ui.theme import GRID
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import button, column, label, row


class RulesView(QWidget):
    """``changed`` carries all rules once a line was written, added or taken out."""

    changed = Signal(object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        fonts = desk.themes.fonts
        self._rules: tuple[Rule, ...] = ()
        self.lines: list[QLineEdit] = []
        self._rows: list[QWidget] = []
        self.fault = label("", fonts.caption, "danger", wrap=True)
        self.fault.hide()
        self.add = button(self.tr("Add a rule"), self.add_line, "quiet")
        about = label(self.tr("Rules that the values are checked against"), fonts.caption, "muted")
        self._list = QVBoxLayout()
        self._list.setSpacing(4)
        whole = column(row(about, None, self.add), self._list, self.fault, spacing=4)
        whole.setContentsMargins(2 * GRID, GRID, 2 * GRID, GRID)
        self.setLayout(whole)
        self.setAccessibleName(self.tr("Rules of the schema"))

    def show_rules(self, rules: tuple[Rule, ...]) -> None:
        """Those of a schema; a line that is being written stays while nothing else changed."""
        if rules == self._rules and len(rules) == len(self.lines):
            return
        self._rules = rules
        self._tell("")
        for old in self._rows:
            old.hide()
            old.deleteLater()
        self.lines, self._rows = [], []
        for rule in rules:
            self._add_row(rule_words(rule))

    def add_line(self) -> None:
        """An empty line, to be written."""
        self._add_row("").setFocus()

    def _add_row(self, words: str) -> QLineEdit:
        line = QLineEdit(words)
        line.setFont(self._desk.themes.fonts.mono)
        line.setPlaceholderText("lines.amount + vat = total ± 0.05")
        line.setAccessibleName(self.tr("Rule %1").replace("%1", str(len(self.lines) + 1)))
        line.setToolTip(self.tr("a + b = c, a × b = c in each row, or a ≤ b; ± says how far off is still right"))
        line.editingFinished.connect(self._written)
        out = IconButton("x", self.tr("Take this rule out"), self._desk.icons, self._desk.themes)
        out.clicked.connect(partial(self._take_out, line))
        held = QWidget()
        held.setLayout(row(line, out, spacing=4))
        self._list.addWidget(held)
        self.lines.append(line)
        self._rows.append(held)
        return line

    def _take_out(self, line: QLineEdit, _checked: bool = False) -> None:
        place = self.lines.index(line)
        del self.lines[place]
        held = self._rows.pop(place)
        held.hide()
        held.deleteLater()
        self._written()

    def _written(self) -> None:
        texts = [line.text().strip() for line in self.lines]
        rules = [rule_of(text) for text in texts if text]
        wrong = next((text for text in texts if text and rule_of(text) is None), "")
        if wrong:
            hint = self.tr("“%1” is no rule. Write a + b = c, a × b = c or a ≤ b, with names of fields.")
            self._tell(hint.replace("%1", wrong[:80]))
            return
        self._tell("")
        said = tuple(rule for rule in rules if rule is not None)
        if said != self._rules:
            self._rules = said
            self.changed.emit(said)

    def _tell(self, words: str) -> None:
        self.fault.setText(words)
        self.fault.setVisible(bool(words))
