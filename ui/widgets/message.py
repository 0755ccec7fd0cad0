"""One message in the transcript: its text, what became of it, and what can be done with it.

A person's message is a bubble at the right; an answer is plain text over the whole column with one quiet line below.
Lays itself out by hand to a given width and says how tall it is; where it stands is the transcript's affair.
"""

from __future__ import annotations

import re

from PySide6.QtCore import QEvent, QPoint, QRectF, QUrl, Signal
from PySide6.QtGui import (
    QDesktopServices,
    QEnterEvent,
    QGuiApplication,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QApplication, QWidget

from app.chat.records import Message, MessageStatus
from ui.widgets.body import MessageBody
from ui.widgets.gate_flag import FlagLine
from ui.widgets.message_edit import MessageEdit
from ui.widgets.message_ground import BUBBLE_X, BUBBLE_Y, EDGE, natural_width, paint_ground
from ui.widgets.message_menu import OPENABLE, UNFINISHED, menu_of
from ui.widgets.message_tools import MessageTools
from ui.widgets.reasoning import Reasoning
from ui.widgets.sources import SourcesLine
from ui.widgets.stats_line import StatsLine
from ui.widgets.surroundings import Surroundings
from ui.widgets.text_finds import CITED
from ui.widgets.verdict import Verdict
from ui.widgets.waiting import HEIGHT as WAITING_HEIGHT
from ui.widgets.waiting import WaitingLine

FOOT = 28
_BUBBLE_RATIO = 0.78
_CITES = re.compile(r"\[\d")


class MessageView(QWidget):
    """``set_width`` first; ``tall`` is its height then."""

    height_changed = Signal()
    retried = Signal(str)
    continued = Signal(str)
    edited = Signal(str, str)
    branch_wanted = Signal(str, int)
    """The message's id, and how many siblings further."""
    dragged = Signal(QPoint)
    larger_wanted = Signal(str)
    cloud_wanted = Signal(str)
    kept = Signal(str)
    offers_wanted = Signal(str)
    citations_wanted = Signal(str)
    cited = Signal(object)
    """The ``Citation`` to show."""

    def __init__(self, message: Message, around: Surroundings, parent: QWidget) -> None:
        super().__init__(parent)
        self._around = around
        self.message = message
        self.own = message.role == "user"
        self.tall = FOOT
        self._column = 0
        self.body = MessageBody(around.ink, around.shelf, plain=self.own, parent=self)
        self.body.height_changed.connect(self._lay_out)
        self.body.link_clicked.connect(self.open_link)
        self.body.dragged.connect(self.dragged)
        self.body.menu_wanted.connect(self._open_menu)
        self.body.focus_changed.connect(self.update)
        self._reasoning: Reasoning | None = None
        self._waiting: WaitingLine | None = None
        self._verdict: Verdict | None = None
        self._flag: FlagLine | None = None
        self._offers_asked = False
        self._sources: SourcesLine | None = None
        self._edit: MessageEdit | None = None
        self._tools = MessageTools(
            self,
            around.ink,
            around.icons,
            own=self.own,
            step=lambda by: self.branch_wanted.emit(self.message.id, by),
            copy=self.copy,
            again=self.begin_edit if self.own else lambda: self.retried.emit(self.message.id),
            ask_cloud=lambda: self.cloud_wanted.emit(self.message.id),
        )
        self._stats = StatsLine(around.ink, around.icons, self)
        self.body.append(message.text)
        self._take(message)

    # What the transcript calls.

    def set_message(self, message: Message) -> None:
        """The message as it is now; text that is already there is not laid out again."""
        if message.text != self.body.source:
            if message.text.startswith(self.body.source):
                self.body.append(message.text[len(self.body.source) :])
            else:
                self.body.replace(message.text)
        self._take(message)
        self._lay_out()

    def grow(self, text: str, reasoning: str) -> None:
        """More of a streaming answer."""
        self.body.append(text)
        if reasoning:
            self._show_reasoning().append(reasoning)
        if (text or reasoning) and self._waiting is not None:
            self._show_waiting(not self.body.source)
        self._lay_out()

    def set_waiting(self) -> None:
        """The reason to wait changed."""
        if self._waiting is not None:
            self._waiting.show_waiting(self._around.waiting)

    def set_width(self, width: int) -> None:
        """The width of the column; the widget itself is wider by ``EDGE`` at both sides, for the focus ring."""
        if width != self._column:
            self._column = width
            self.resize(width + 2 * EDGE, self.tall)
            self._lay_out()

    def work(self, deadline: float) -> None:
        self.body.work(deadline)
        if self._reasoning is not None:
            self._reasoning.work(deadline)

    @property
    def idle(self) -> bool:
        return self.body.idle and (self._reasoning is None or self._reasoning.idle)

    @property
    def busy_with_person(self) -> bool:
        """Editing, or holding a selection or the focus: not to be thrown away."""
        return self._edit is not None or bool(self.body.selected_text()) or self.isAncestorOf(_focus())

    def copy(self) -> None:
        """The whole message as Markdown."""
        QGuiApplication.clipboard().setText(self.body.source)

    def begin_edit(self) -> None:
        """Put an editor in the place of the text."""
        if self._edit is not None:
            return
        self._edit = MessageEdit(self.message.text, self._around.ink, self)
        self._edit.accepted.connect(self._finish_edit)
        self._edit.cancelled.connect(self._drop_edit)
        self._edit.height_changed.connect(self._lay_out)
        self.body.hide()
        self._tools.hide()
        self._edit.show()
        self._lay_out()
        self._edit.take_focus()

    def set_ink(self) -> None:
        """The theme changed."""
        ink = self._around.ink
        self.body.set_ink(ink)
        self._tools.set_ink(ink)
        for child in (self._stats, self._waiting, self._flag, self._sources):
            if child is not None:
                child.set_ink(ink)
        if self._reasoning is not None:
            self._reasoning.set_ink(ink)
        self._lay_out()
        self.update()

    # Inside.

    def _take(self, message: Message) -> None:
        self.message = message
        unfinished = message.status in UNFINISHED
        if not unfinished:
            self.body.end()
        if message.reasoning:
            self._show_reasoning().show_all(message.reasoning, finished=not unfinished)
        self._show_waiting(unfinished and not message.text)
        self._show_verdict(message)
        self._show_flag(message)
        self.show_citations()
        name = self._around.model_name(message.model_id)
        if not self.own:
            writing = self.tr("Writing…") if unfinished and message.text else ""
            self._stats.show_stats(name, message.stats, writing)
        self._stats.setVisible(not self.own and bool(self._stats.text()))
        can_retry = not unfinished and self._verdict is None
        self._tools.show_for(message, finished=not unfinished, can_retry=can_retry, can_ask=self._around.can_ask)
        who = self.tr("You wrote") if self.own else self.tr("Answer of %1").replace("%1", name)
        self.body.setAccessibleName(who)
        if not unfinished:
            self.body.setAccessibleDescription(message.text[:4000])

    def _show_reasoning(self) -> Reasoning:
        if self._reasoning is None:
            self._reasoning = Reasoning(self._around.ink, self._around.icons, self._around.shelf, self)
            self._reasoning.height_changed.connect(self._lay_out)
            self._reasoning.show()
        return self._reasoning

    def _show_waiting(self, wanted: bool) -> None:
        if wanted and self._waiting is None:
            self._waiting = WaitingLine(self._around.ink, self)
            self._waiting.show()
        elif not wanted and self._waiting is not None:
            self._waiting.hide()
            self._waiting.deleteLater()
            self._waiting = None
        self.set_waiting()

    def _show_verdict(self, message: Message) -> None:
        if self._verdict is not None:
            self._verdict.hide()
            self._verdict.deleteLater()
            self._verdict = None
        if not self.own and message.status in (
            MessageStatus.STOPPED,
            MessageStatus.INTERRUPTED,
            MessageStatus.FAILED,
        ):
            self._verdict = Verdict(message, self._around.ink, self._around.icons, self)
            self._verdict.retried.connect(lambda: self.retried.emit(self.message.id))
            self._verdict.continued.connect(lambda: self.continued.emit(self.message.id))
            self._verdict.show()

    def show_gate(self) -> None:
        """The gate opened or shut, or what a flagged answer offers is known by now."""
        self._take(self.message)
        self._lay_out()

    def _show_flag(self, message: Message) -> None:
        flag = message.flag if not self.own and message.status not in UNFINISHED else None
        offers = self._around.offers.get(message.id)
        if flag is not None and offers is None and not self._offers_asked:
            self._offers_asked = True
            self.offers_wanted.emit(message.id)
        if flag is None or flag.kept or flag.tier == "local" or offers is None or not offers.any:
            if self._flag is not None:
                self._flag.hide()
                self._flag.deleteLater()
                self._flag = None
            return
        if self._flag is not None:
            self._flag.show_flag(flag)
            self._flag.show_offers(offers)
            return
        self._flag = FlagLine(flag, offers, self._around.ink, self._around.icons, self)
        self._flag.larger_wanted.connect(lambda: self.larger_wanted.emit(self.message.id))
        self._flag.cloud_wanted.connect(lambda: self.cloud_wanted.emit(self.message.id))
        self._flag.kept.connect(lambda: self.kept.emit(self.message.id))
        self._flag.show()

    @property
    def may_cite(self) -> bool:
        """Whether it is an answer that points to places by numbers, none of which are known yet."""
        done = not self.own and self.message.status not in UNFINISHED
        return done and self.message.id not in self._around.citations and bool(_CITES.search(self.message.text))

    def show_citations(self) -> None:
        """The places that the answer points to, as far as they are known; asks for them once."""
        if self.may_cite:
            self.citations_wanted.emit(self.message.id)
        cited = self._around.citations.get(self.message.id, ()) if not self.own else ()
        if not cited:
            if self._sources is not None:
                self._sources.hide()
                self._sources.deleteLater()
                self._sources = None
                self.body.set_cited({})
            return
        if self._sources is None:
            self._sources = SourcesLine(cited, self._around.ink, self._around.icons, self)
            self._sources.chosen.connect(self.cited)
            self._sources.unfolded.connect(self._lay_out)
            self._sources.show()
        self._sources.show_citations(cited)
        self.body.set_cited({citation.number: f"{citation.name}, {citation.page}" for citation in cited})

    def renew_citations(self) -> None:
        """They are known by now."""
        self.show_citations()
        self._lay_out()

    @property
    def outside(self) -> bool:
        """Whether somebody elsewhere wrote it."""
        stats = self.message.stats
        return stats is not None and stats.route != "local"

    def _lay_out(self) -> None:
        tall = self._lay_out_own(self._column) if self.own else self._lay_out_answer(self._column)
        if tall != self.tall or self.height() != tall:
            self.tall = tall
            self.resize(self._column + 2 * EDGE, tall)
            self.height_changed.emit()

    def _lay_out_own(self, width: int) -> int:
        if self._edit is not None:
            height = self._edit.height_for(width)
            self._edit.setGeometry(EDGE, 0, width, height)
            return height
        most = int(width * _BUBBLE_RATIO) - 2 * BUBBLE_X
        inner = min(natural_width(self.body.source, self._around.ink), most)
        self.body.set_width(inner)
        left = EDGE + width - inner - BUBBLE_X
        self.body.move(left, BUBBLE_Y)
        tall = self.body.height() + 2 * BUBBLE_Y
        self._tools.line_up(left - BUBBLE_X - 4 - self._tools.width, tall - FOOT - 4)
        return tall

    def _lay_out_answer(self, width: int) -> int:
        y = 0
        if self._reasoning is not None:
            self._reasoning.set_width(width)
            self._reasoning.move(EDGE, y)
            y += self._reasoning.tall + 8
        self.body.set_width(width)
        self.body.move(EDGE, y)
        self.body.setVisible(bool(self.body.source))
        if self.body.source:
            y += self.body.height() + 6
        if self._waiting is not None:
            self._waiting.setGeometry(EDGE, y, width, WAITING_HEIGHT)
            y += WAITING_HEIGHT
        if self._verdict is not None:
            height = self._verdict.height_for(width)
            self._verdict.setGeometry(EDGE, y + 4, width, height)
            y += height + 8
        if self._flag is not None:
            height = self._flag.height_for(width)
            self._flag.setGeometry(EDGE, y, width, height)
            y += height
        if self._sources is not None:
            height = self._sources.height_for(width + 8)
            self._sources.setGeometry(EDGE - 8, y, width + 8, height)
            self._sources.set_width(width + 8)
            y += height
        x = self._tools.line_up(EDGE - 6, y)
        self._stats.setGeometry(x, y, min(self._stats.sizeHint().width(), width + EDGE - x), FOOT)
        return y + (FOOT if self._tools.shown or not self._stats.isHidden() or self._waiting is not None else 0)

    def _finish_edit(self, text: str) -> None:
        self._drop_edit()
        if text.strip() and text != self.message.text:
            self.edited.emit(self.message.id, text)

    def _drop_edit(self) -> None:
        if self._edit is not None:
            self._edit.hide()
            self._edit.deleteLater()
            self._edit = None
            self.body.show()
            self.body.setFocus()
            self._take(self.message)
            self._lay_out()
            self.update()

    def open_link(self, address: str) -> None:
        """A source opens here, an address where the system opens it."""
        if address.startswith(CITED):
            number = int(address.removeprefix(CITED))
            known = self._around.citations.get(self.message.id, ())
            for citation in (citation for citation in known if citation.number == number):
                self.cited.emit(citation)
            return
        url = QUrl(address)
        if url.scheme() in OPENABLE:
            QDesktopServices.openUrl(url)

    def _open_menu(self, at: QPoint) -> None:
        menu_of(self, can_ask=self._around.can_ask).popup(at)

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._edit is None:
            painter = QPainter(self)
            # A cloud's answer without words has nothing to mark.
            outside = self.outside and bool(self.body.source)
            box = QRectF(self.body.geometry())
            paint_ground(painter, box, self._around.ink, own=self.own, outside=outside, ringed=self.body.ringed)
            painter.end()

    def enterEvent(self, event: QEnterEvent) -> None:
        self._tools.reveal(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._tools.reveal(False)
        super().leaveEvent(event)


def _focus() -> QWidget:
    return QApplication.focusWidget() or QWidget()
