"""The page of a document beside its values: fetches pictures, draws evidence, turns pages, zooms.

Which value is meant and what becomes of it is ``reviewer``'s.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

from PySide6.QtCore import Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QLineEdit, QWidget

from app.documents.records import Box, Reading
from app.documents.review_records import Document, PageSize, ReviewedValue
from app.extraction.records import Grounding
from engine.errors import GatehouseError
from ui.desk import Desk
from ui.theme import GRID
from ui.widgets.icon_button import IconButton
from ui.widgets.page_view import PageMark, PageView
from ui.widgets.parts import column, label, row, set_tone

_KEPT_PICTURES: Final = 12
_ZOOM: Final = 1.25
_CITED: Final = "·"
"""The name of marks that belong to no value."""
_LOCKED: Final = ("password_needed", "wrong_password")


class SheetView(QWidget):
    """One document; ``box_drawn`` carries (page, box)."""

    mark_clicked = Signal(str)
    box_drawn = Signal(int, object)

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._document: Document | None = None
        self._values: tuple[ReviewedValue, ...] = ()
        self._current = ""
        self._page = 0
        self._cited: tuple[int, tuple[Box, ...]] = (0, ())
        self._asking: Future[Any] | None = None
        self._pictures: OrderedDict[tuple[str, int, int], QImage] = OrderedDict()
        self.view = PageView(desk.themes)
        self.view.mark_clicked.connect(self.mark_clicked)
        self.view.box_drawn.connect(lambda box: self.box_drawn.emit(self._page, box))
        self.view.picture_wanted.connect(self._fetch)
        self.view.turned.connect(self.turn)
        self.view.drawing_changed.connect(self._show_hint)
        self.before = self._button("chevron-left", self.tr("Page before (Page Up)"), partial(self.turn, -1))
        self.after = self._button("chevron-right", self.tr("Next page (Page Down)"), partial(self.turn, 1))
        self.counter = label("", desk.themes.fonts.caption, "muted")
        self.hint = label("", desk.themes.fonts.caption, "accent")
        smaller = self._button("zoom-out", self.tr("Smaller (-)"), lambda: self.view.zoom(1 / _ZOOM))
        larger = self._button("zoom-in", self.tr("Larger (+)"), lambda: self.view.zoom(_ZOOM))
        width = self._button("move-horizontal", self.tr("Fit the width"), lambda: self.view.set_fit("width"))
        whole = self._button("maximize", self.tr("Fit the whole page"), lambda: self.view.set_fit("page"))
        self.password = QLineEdit()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.password.setPlaceholderText(self.tr("Password, to see its pages"))
        self.password.setAccessibleName(self.tr("Password of the document"))
        self.password.returnPressed.connect(self._unlock)
        self.password.hide()
        tools = row(
            self.before, self.counter, self.after, None, self.hint, None, smaller, larger, width, whole, spacing=4
        )
        tools.setContentsMargins(GRID, 4, GRID, 4)
        ask = row(self.password)
        ask.setContentsMargins(GRID, 0, GRID, 0)
        self.setLayout(column(tools, ask, self.view, spacing=0))
        self._show_counter()

    # what is shown

    def show_document(self, document: Document | None, values: Sequence[ReviewedValue] = ()) -> None:
        """Another document, from its first page with something on it."""
        self._document, self._values, self._current = document, tuple(values), ""
        self._page, self._cited = 0, (0, ())
        self._tell("")
        self.password.hide()
        if document is None or not document.pages:
            self.view.clear()
            self._show_counter()
            return
        self._turn_to(document.pages[0].number)

    def show_values(self, values: Sequence[ReviewedValue], current: str) -> None:
        """Other places, or another value is meant: its page comes to the front."""
        self._values, self._current = tuple(values), current
        places = next((value.places for value in self._values if value.name == current), ())
        pages = {place.page for place in places if place.box is not None}
        if pages and self._page not in pages:
            self._turn_to(min(pages))
        else:
            self._mark()

    @property
    def page(self) -> int:
        """1-based; 0 without a document."""
        return self._page

    def turn(self, step: int) -> None:
        """Go some pages on."""
        sizes = self._document.pages if self._document is not None else ()
        if any(size.number == self._page + step for size in sizes):
            self._turn_to(self._page + step)

    def show_place(self, page: int, boxes: Sequence[Box]) -> None:
        """Show a place that belongs to no value, such as a citation's."""
        if self._size(page) is not None:
            self._cited, self._current = (page, tuple(boxes)), _CITED
            self._turn_to(page)

    def draw_box(self) -> None:
        """Let the person draw a box on this page."""
        self.view.start_drawing()
        self.view.setFocus()

    # inside

    def _turn_to(self, page: int) -> None:
        size = self._size(page)
        if size is None:
            return
        self._page = page
        self.view.show_page(size.width, size.height)
        self._show_counter()
        self._mark()

    def _size(self, page: int) -> PageSize | None:
        sizes = self._document.pages if self._document is not None else ()
        return next((size for size in sizes if size.number == page), None)

    def _mark(self) -> None:
        self.view.show_marks(self._marks(), self._current)

    def _marks(self) -> list[PageMark]:
        page, boxes = self._cited
        cited = [PageMark(_CITED, box, "accent") for box in boxes if page == self._page]
        return cited + [
            PageMark(value.name, place.box, _tone(value))
            for value in self._values
            for place in value.places
            if place.page == self._page and place.box is not None
        ]

    def _fetch(self, width_px: int) -> None:
        document, page = self._document, self._page
        if document is None:
            return
        key = (document.id, page, width_px)
        known = self._pictures.get(key)
        if known is not None:
            self.view.show_picture(known)
            return
        if self._asking is not None:
            self._asking.cancel()
        documents = self._desk.services.documents

        async def draw() -> QImage:
            png = await documents.page_picture(document.id, page, width_px)
            return await asyncio.to_thread(QImage.fromData, png)  # too long for a frame of the window

        def show(picture: QImage) -> None:
            self._tell("")
            self._pictures[key] = picture
            while len(self._pictures) > _KEPT_PICTURES:
                self._pictures.popitem(last=False)
            if self._document is not None and (self._document.id, self._page) == key[:2]:
                self.view.show_picture(picture)

        def fail(error: GatehouseError) -> None:
            if self._document is not None and self._document.id == document.id:
                self._do_without(document, error)

        self._asking = self._desk.bridge.call(draw, show, fail, owner=self)

    def _do_without(self, document: Document, error: GatehouseError) -> None:
        """No picture: say why, ask for the password if that is why, and draw the words that were read."""
        self._tell(f"{error.sentence} {error.hint}".strip(), "warning")
        self.password.setVisible(error.code in _LOCKED)
        self.hint.setToolTip(self.tr("What you see are the words as they were read."))

        def show(reading: Reading) -> None:
            page = next((page for page in reading.pages if page.number == self._page), None)
            if self._document is document and page is not None:
                self.view.show_words([(word.text, word.box) for word in page.words])

        documents = self._desk.services.documents
        self._desk.bridge.call(lambda: documents.reading(document.id), show, lambda _error: None, owner=self)

    def _unlock(self) -> None:
        document, words = self._document, self.password.text()
        if document is None or not words:
            return
        self.password.clear()
        documents = self._desk.services.documents

        def opened(_none: None) -> None:
            self.password.hide()
            self._tell("")
            self._turn_to(self._page)

        def refused(error: GatehouseError) -> None:
            self._tell(f"{error.sentence} {error.hint}".strip(), "warning")

        self._desk.bridge.call(lambda: documents.unlock_document(document.id, words), opened, refused, owner=self)

    def _tell(self, words: str, tone: str = "accent") -> None:
        self.hint.setText(words)
        self.hint.setToolTip("")
        set_tone(self.hint, tone)

    def _show_counter(self) -> None:
        count = len(self._document.pages) if self._document is not None else 0
        words = self.tr("%1 of %2").replace("%1", str(self._page)).replace("%2", str(count))
        self.counter.setText(words if count else "")
        self.counter.setAccessibleName(self.tr("Page %1").replace("%1", words))
        self.before.setEnabled(self._page > 1)
        self.after.setEnabled(0 < self._page < count)

    def _show_hint(self, drawing: bool) -> None:
        self._tell(self.tr("Draw a box around the value; Esc leaves it") if drawing else "")

    def _button(self, icon: str, words: str, run: Callable[[], object]) -> IconButton:
        made = IconButton(icon, words, self._desk.icons, self._desk.themes)
        made.clicked.connect(lambda _checked=False: run())
        return made


def _tone(value: ReviewedValue) -> str:
    if value.review is not None:
        return "success"
    if value.value.problems:
        return "danger"
    return "warning" if value.doubtful or value.value.grounding is Grounding.FUZZY else "accent"
