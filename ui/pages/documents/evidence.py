"""What speaks for the value that is meant, and the four things one can do about it."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame

from app.documents.review_records import ReviewedValue
from app.extraction.records import Grounding
from ui import display
from ui.desk import Desk
from ui.theme import GRID
from ui.widgets.parts import button, column, frame, label, row

_QUOTED = 80
_MOST_ALTERNATIVES = 3


class EvidenceView(QFrame):
    """Below the list of values."""

    accepted = Signal(str)
    corrected = Signal(str, str)
    correct_wanted = Signal()
    absent = Signal(str)
    box_wanted = Signal()

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self.setProperty("kind", "side")
        fonts = desk.themes.fonts
        self._value: ReviewedValue | None = None
        self.proof = label("", fonts.caption, "muted", wrap=True)
        self.problems = label("", fonts.caption, "danger", wrap=True)
        self.alternatives = [button("", partial(self._take, index), "quiet") for index in range(_MOST_ALTERNATIVES)]
        self._others = label(self.tr("Or:"), fonts.caption, "muted")
        self.accept = button(self.tr("Accept"), self._accept, "primary")
        self.correct = button(self.tr("Correct"), self.correct_wanted.emit)
        self.say_absent = button(self.tr("Absent"), self._absent, name=self.tr("Not in the document"))
        self.box = button(self.tr("Box"), self.box_wanted.emit, name=self.tr("Take it from a box on the page"))
        for made, words in (
            (self.accept, self.tr("It is right (A or Enter)")),
            (self.correct, self.tr("Type the right value (C or F2)")),
            (self.say_absent, self.tr("The document does not have it (X)")),
            (self.box, self.tr("Draw a box around it on the page (B)")),
        ):
            made.setToolTip(words)
        self.keys = label(self.tr("Keys: A, C, X, B · N next · U undo · J, K move"), fonts.caption, "faint", wrap=True)
        line = frame("line")
        choices = row(self._others, *self.alternatives, None, spacing=4)
        acts = row(self.accept, self.correct, self.say_absent, self.box, None, spacing=4)
        inner = column(self.proof, self.problems, choices, acts, self.keys)
        inner.setContentsMargins(12, GRID, 12, 12)
        self.setLayout(column(line, inner, spacing=0))
        self.show_value(None)

    def show_value(self, value: ReviewedValue | None) -> None:
        self._value = value
        self.setVisible(value is not None)
        if value is None:
            return
        self.proof.setText(self._proof(value))
        problems = value.review.problems if value.review is not None else value.value.problems
        self.problems.setText(" ".join(problems))
        self.problems.setVisible(bool(problems))
        others = [text for text in value.value.alternatives if text != value.shown][:_MOST_ALTERNATIVES]
        for made, text in zip(self.alternatives, [*others, *[""] * _MOST_ALTERNATIVES], strict=False):
            made.setText(text if len(text) <= 24 else f"{text[:23]}…")
            made.setToolTip(text)
            made.setVisible(bool(text))
        self._others.setVisible(bool(others))

    def _proof(self, value: ReviewedValue) -> str:
        places = value.places
        page = self.tr("page %1").replace("%1", str(places[0].page)) if places else ""
        if value.review is not None:
            return self.tr("Decided by you.") if not page else self.tr("Decided by you, from %1.").replace("%1", page)
        words = {
            Grounding.EXACT: self.tr("On %1, word for word."),
            Grounding.NORMALISED: self.tr("On %1, written “%2”."),
            Grounding.FUZZY: self.tr("On %1 in nearly these words: “%2”."),
            Grounding.UNPROVEN: self.tr("Not found in the document: the model may have made it up."),
            Grounding.ABSENT: self.tr("The model says that the document does not have it."),
        }[value.value.grounding]
        told = " ".join(" ".join(place.text for place in places).split())  # of a table's row, without its gaps
        told = told if len(told) <= _QUOTED else f"{told[: _QUOTED - 1]}…"
        sure = self.tr("%1 likely to be right.").replace("%1", display.percent(value.value.confidence))
        return f"{words.replace('%1', page).replace('%2', told)} {sure}"

    def _accept(self) -> None:
        if self._value is not None:
            self.accepted.emit(self._value.name)

    def _absent(self) -> None:
        if self._value is not None:
            self.absent.emit(self._value.name)

    def _take(self, index: int) -> None:
        if self._value is not None:
            self.corrected.emit(self._value.name, self.alternatives[index].toolTip())
