"""What is wrong with a model, in a frame: the sentence, the hint, the evidence, and what can be done as buttons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtWidgets import QFrame, QPlainTextEdit, QPushButton, QVBoxLayout, QWidget

from ui.theme import GRID, ThemeStore
from ui.widgets.parts import button, column, label, row, set_kind


@dataclass(frozen=True, slots=True)
class WayOut:
    """Something to do about it."""

    words: str
    run: Callable[[], object]
    detail: str = ""
    """One sentence beside the button."""


class TroubleFrame(QFrame):
    """Hidden while nothing is wrong."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._themes = themes
        self.setProperty("kind", "warning")
        self._words = label("", wrap=True)
        self._hint = label("", themes.fonts.caption, "muted", wrap=True)
        self._more = button(self.tr("Details"), self._toggle, "link")
        self._evidence = QPlainTextEdit()
        self._evidence.setReadOnly(True)
        self._evidence.setTabChangesFocus(True)
        self._evidence.setFont(themes.fonts.mono)
        self._evidence.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self._evidence.setAccessibleName(self.tr("Last lines of the worker's log"))
        self._evidence.setFixedHeight(18 * GRID)
        self._evidence.document().setDocumentMargin(GRID)
        self._evidence.hide()
        self._ways: QVBoxLayout = column(spacing=GRID)
        self._shown: tuple[WayOut, ...] = ()
        self.setLayout(column(self._words, self._hint, self._ways, row(self._more, None), self._evidence, margin=12))
        self.hide()

    @property
    def sentence(self) -> str:
        """What it says; empty when nothing is wrong."""
        return self._words.text()

    def tell(
        self, sentence: str, hint: str = "", kind: str = "warning", evidence: str = "", ways: Sequence[WayOut] = ()
    ) -> None:
        """An empty sentence hides the frame."""
        self.setVisible(bool(sentence))
        set_kind(self, kind)
        self._words.setText(sentence)
        self._hint.setText(hint)
        self._hint.setVisible(bool(hint))
        self._more.setVisible(bool(evidence))
        self._evidence.setPlainText(evidence)
        if not evidence:
            self._evidence.hide()
        if tuple((way.words, way.detail) for way in ways) != tuple((way.words, way.detail) for way in self._shown):
            self._shown = tuple(ways)
            self._lay_out()
        self._shown = tuple(ways)

    def buttons(self) -> Sequence[QPushButton]:
        """Of the ways out, in order."""
        return self.findChildren(QPushButton)[1:]

    def _lay_out(self) -> None:
        while (item := self._ways.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for place, way in enumerate(self._shown):
            name = f"{way.words}: {way.detail}" if way.detail else way.words
            act = button(way.words, partial(self._take, place), name=name)
            line = QWidget()
            if way.detail:
                inner = row(label(way.detail, self._themes.fonts.caption, wrap=True), act, spacing=12)
                inner.setStretch(0, 1)
            else:
                inner = row(act, None)
            line.setLayout(inner)
            self._ways.addWidget(line)

    def _take(self, place: int) -> None:
        self._shown[place].run()

    def _toggle(self) -> None:
        self._evidence.setVisible(not self._evidence.isVisible())
        self._more.setText(self.tr("Fewer details") if self._evidence.isVisible() else self.tr("Details"))
