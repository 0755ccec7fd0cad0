"""The quiet line of numbered sources under an answer about documents: file and page, each opens the place."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from app.documents.review_records import Citation
from ui.icons import Icons
from ui.widgets.ink import Ink
from ui.widgets.quiet_button import QuietButton

_MOST_SHOWN: Final = 8
_NAME_PX: Final = 200
_QUOTED: Final = 240


class SourcesLine(QWidget):
    """Lays itself out by hand to the width of its message."""

    chosen = Signal(object)
    """The ``Citation``."""
    unfolded = Signal()

    def __init__(self, citations: Sequence[Citation], ink: Ink, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink, self._icons = ink, icons
        self._buttons: list[QuietButton] = []
        self._more: QuietButton | None = None
        self.citations: tuple[Citation, ...] = ()
        self.setAccessibleName(self.tr("Sources of this answer"))
        self.show_citations(citations)

    def show_citations(self, citations: Sequence[Citation]) -> None:
        if self.citations == tuple(citations):
            return
        self.citations = tuple(citations)
        self._fill(_MOST_SHOWN)

    def height_for(self, width: int) -> int:
        return self._place(width, move=False)

    def set_width(self, width: int) -> None:
        self._place(width, move=True)

    def set_ink(self, ink: Ink) -> None:
        self._ink = ink
        for made in self._all():
            made.set_ink(ink)

    def _fill(self, most: int) -> None:
        for old in self._all():
            old.hide()
            old.deleteLater()
        self._buttons, self._more = [self._make(citation) for citation in self.citations[:most]], None
        left = len(self.citations) - most
        if left > 0:
            words = self.tr("%1 more").replace("%1", str(left))
            self._more = QuietButton(words, self._ink, self._icons, self, text=words)
            self._more.clicked.connect(self._unfold)
        for made in self._all():
            made.show()

    def _make(self, citation: Citation) -> QuietButton:
        made = QuietButton("", self._ink, self._icons, self, icon="file-text", text=self._words(citation))
        whole = self.tr("Source %1: %2, page %3").replace("%1", str(citation.number))
        whole = whole.replace("%2", citation.name).replace("%3", str(citation.page))
        quoted = " ".join(citation.text.split())
        made.setToolTip(f"{whole}\n{quoted[:_QUOTED]}{'…' if len(quoted) > _QUOTED else ''}")
        made.setAccessibleName(whole)
        made.setAccessibleDescription(quoted[:_QUOTED])
        made.clicked.connect(partial(self._choose, citation))
        return made

    def _words(self, citation: Citation) -> str:
        metrics = self.fontMetrics()
        name = metrics.elidedText(citation.name, Qt.TextElideMode.ElideMiddle, _NAME_PX)
        words = self.tr("%1 · %2, p. %3").replace("%1", str(citation.number))
        return words.replace("%2", name).replace("%3", str(citation.page))

    def _choose(self, citation: Citation, _checked: bool = False) -> None:
        self.chosen.emit(citation)

    def _unfold(self) -> None:
        self._fill(len(self.citations))
        self.unfolded.emit()

    def _all(self) -> list[QuietButton]:
        return [*self._buttons, *((self._more,) if self._more is not None else ())]

    def _place(self, width: int, *, move: bool) -> int:
        x = y = tall = 0
        for made in self._all():
            if x and x + made.width() > width:
                x, y = 0, y + tall
            if move:
                made.move(x, y)
            x += made.width()
            tall = made.height()
        return y + tall
