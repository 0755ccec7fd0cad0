"""A virtualised list of messages: only those in sight have widgets.

Heights of the others are estimated and corrected when they come into sight, while what one is reading stays where it
is. At the bottom the view follows the stream. One clock gives the visible messages their slices of layout and colour:
not more than ``WORK_S`` a frame, however long the answer is. What is said in them is ``transcript``'s.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from app.chat.records import Message
from ui.icons import Icons
from ui.theme import FRAME_MS, TEXT_WIDTH
from ui.widgets.heights import Heights, estimate
from ui.widgets.ink import Ink
from ui.widgets.jump_button import JumpButton
from ui.widgets.message import MessageView
from ui.widgets.message_ground import EDGE
from ui.widgets.message_menu import UNFINISHED

WORK_S = 0.006
OVERSCAN = 300
SIDE = 24
TOP = 24
BOTTOM = 24
GAP = 20
_NEAR_END = 24


@dataclass(slots=True)
class Entry:
    """A message, what it grew by since, and its widget while it has one."""

    message: Message
    text: str
    reasoning: str
    view: MessageView | None = None


class MessageList(QAbstractScrollArea):
    """Keeps entries in place; a subclass makes their widgets (``make_view``)."""

    def __init__(self, ink: Ink, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: list[Entry] = []
        self._heights = Heights(TOP, GAP)
        self._following = True
        self._anchor: tuple[int, int] | None = None
        self._placing = False
        self._stale = False
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.verticalScrollBar().setSingleStep(24)
        self.verticalScrollBar().actionTriggered.connect(self._scrolled_by_person)
        self._jump = JumpButton(ink, icons, self)
        self._jump.clicked.connect(self.jump_to_end)
        self._clock = QTimer(self, interval=FRAME_MS)
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.timeout.connect(self._tick)

    def make_view(self, message: Message) -> MessageView:
        """The widget of a message, with its signals connected; what it grew by since is added here."""
        raise NotImplementedError

    def view_made(self, view: MessageView) -> None:
        """The widget is laid out as far as one slice goes."""

    # Where one is.

    @property
    def at_end(self) -> bool:
        bar = self.verticalScrollBar()
        return bar.value() >= bar.maximum() - _NEAR_END

    def jump_to_end(self) -> None:
        self._following = True
        self._anchor = None
        self._arrange()

    def jump_to(self, message_id: str) -> MessageView | None:
        """Bring a message to the top third of the view; returns its widget."""
        number = next((n for n, e in enumerate(self._entries) if e.message.id == message_id), None)
        if number is None:
            return None
        self._following = False
        self._anchor = (number, TOP)
        self._arrange()
        view = self._entries[number].view
        if view is not None:
            view.work(time.perf_counter() + 10 * WORK_S)
            self._arrange()
        return view

    def show_in(self, view: MessageView, y: int) -> None:
        """Scroll so that a height within a visible message is in sight."""
        number = next((n for n, e in enumerate(self._entries) if e.view is view), None)
        if number is not None:
            self._following = False
            self._anchor = (number, self.viewport().height() // 3 - y)
            self._arrange()

    def out_of_sight(self, part: QWidget) -> bool:
        """Whether a part of a message lies wholly above or below what is shown."""
        if not self.viewport().isAncestorOf(part):
            return False
        top = part.mapTo(self.viewport(), QPoint()).y()
        return top + part.height() <= 0 or top >= self.viewport().height()

    # The clock.

    @property
    def idle(self) -> bool:
        """Whether every visible message is laid out and coloured."""
        return not self._clock.isActive()

    def _wake(self) -> None:
        if not self._clock.isActive():
            self._clock.start()

    def _tick(self) -> None:
        deadline = time.perf_counter() + WORK_S
        self._placing = True
        busy = False
        for entry in self._shown_first():
            view = entry.view
            if view is not None and not view.idle:
                if time.perf_counter() < deadline:
                    reading = view.body.reading
                    view.work(deadline)
                    # Its place was held by an estimate until now, which may have been wrong though its height was not.
                    self._stale = self._stale or reading != view.body.reading
                busy = busy or not view.idle
        self._placing = False
        if self._stale:
            self._restack()
        if not busy:
            self._clock.stop()

    def _shown_first(self) -> list[Entry]:
        first, last = self._heights.between(self.verticalScrollBar().value(), self.viewport().height())
        rest = [e for e in self._entries[max(first - 4, 0) : first] + self._entries[last : last + 4] if e.view]
        return self._entries[first:last] + rest

    # Placing.

    def _column(self) -> tuple[int, int]:
        """Left edge and width of the text."""
        # Measured with the scroll bar, so that the text does not move aside when one appears.
        room = self.width()
        width = max(min(TEXT_WIDTH, room - 2 * SIDE), 200)
        return (room - width) // 2, width

    def _arrange(self) -> None:
        """Set the range and the value, make the widgets in sight, put them in place; until heights agree."""
        if self._placing:
            self._stale = True
            return
        self._placing = True
        for _ in range(6):
            self._set_scroll()
            if not self._make_visible():
                break
        self._set_scroll()
        self._stale = False
        self._put()
        self._placing = False

    def _restack(self) -> None:
        """Heights changed: keep what one reads where it is."""
        if self._placing:
            self._stale = True
            return
        if self._anchor is None and not self._following:
            self._anchor = self._anchor_now()
            self._arrange()
            self._anchor = None
        else:
            self._arrange()

    def _set_scroll(self) -> None:
        for number, entry in self._viewed():
            self._heights.set(number, self._height_of(entry))
        bar = self.verticalScrollBar()
        total = self._heights.total + BOTTOM
        bar.setRange(0, max(0, total - self.viewport().height()))
        bar.setPageStep(max(self.viewport().height() - 48, 48))
        if self._following:
            bar.setValue(bar.maximum())
        elif self._anchor is not None:
            number, offset = self._anchor
            bar.setValue(self._heights.top(number) - offset)

    def _make_visible(self) -> bool:
        """Widgets for what is in sight and none for what is far away; whether any were made."""
        value, height = self.verticalScrollBar().value(), self.viewport().height()
        first, last = self._heights.between(value - OVERSCAN, height + 2 * OVERSCAN)
        for number, entry in self._viewed():
            if not first <= number < last and self._may_go(entry):
                self._drop(entry)
        in_first, in_last = self._heights.between(value, height)
        deadline = time.perf_counter() + 2 * WORK_S
        made = False
        for number in range(first, last):
            entry = self._entries[number]
            if entry.view is None and (in_first <= number < in_last or time.perf_counter() < deadline):
                self._make(entry)
                self._heights.set(number, self._height_of(entry))
                made = True
        return made

    def _make(self, entry: Entry) -> None:
        message = entry.message
        view = self.make_view(message)
        entry.view = view
        if entry.text != message.text or entry.reasoning != message.reasoning:
            view.grow(entry.text[len(message.text) :], entry.reasoning[len(message.reasoning) :])
        view.set_width(self._column()[1])
        view.work(time.perf_counter() + WORK_S)
        view.height_changed.connect(self._restack)
        view.dragged.connect(self._drag_near_edge)
        self.view_made(view)
        if not view.idle:
            self._wake()

    def _put(self) -> None:
        left, width = self._column()
        value = self.verticalScrollBar().value()
        for number, entry in self._viewed():
            view = entry.view
            assert view is not None
            view.set_width(width)
            view.move(left - EDGE, self._heights.top(number) - value)
            view.show()
        self._jump.place(self.viewport().rect(), hidden=self._following or self.at_end)

    def _height_of(self, entry: Entry) -> int:
        view = entry.view
        assert view is not None
        if view.body.reading and entry.message.status not in UNFINISHED:
            # Until all of it is laid out the estimate holds the place, so that nothing below moves twice.
            return max(view.tall, self._estimate(entry))
        return view.tall

    def _viewed(self) -> list[tuple[int, Entry]]:
        return [(number, entry) for number, entry in enumerate(self._entries) if entry.view is not None]

    def _may_go(self, entry: Entry) -> bool:
        return entry.view is None or not (entry.view.busy_with_person or entry.message.status in UNFINISHED)

    def _drop(self, entry: Entry) -> None:
        if entry.view is not None:
            entry.view.hide()
            entry.view.deleteLater()
            entry.view = None

    def _anchor_now(self) -> tuple[int, int] | None:
        """The first message that begins in sight, else the one in sight; and where it begins."""
        value = self.verticalScrollBar().value()
        first, last = self._heights.between(value, self.viewport().height())
        if first >= last:
            return None
        number = first + 1 if first + 1 < last and self._heights.top(first) < value else first
        return number, self._heights.top(number) - value

    def _estimate(self, entry: Entry) -> int:
        return estimate(entry.text, self._column()[1], own=entry.message.role == "user")

    # Events.

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        if not self._placing:
            self._arrange_after_scroll()

    def _arrange_after_scroll(self) -> None:
        self._anchor = self._anchor_now()
        self._following = self._following and self.at_end
        self._arrange()
        self._anchor = None

    def _scrolled_by_person(self, _action: int) -> None:
        bar = self.verticalScrollBar()
        self._following = bar.sliderPosition() >= bar.maximum() - _NEAR_END
        self._anchor = None

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        anchor = self._anchor_now() if not self._following else None
        if event.size().width() != event.oldSize().width():
            _, width = self._column()
            self._placing = True
            for _, entry in self._viewed():
                assert entry.view is not None
                entry.view.set_width(width)
            self._placing = False
            for number, entry in enumerate(self._entries):
                if entry.view is None:
                    self._heights.set(number, self._estimate(entry))
        self._anchor = anchor
        self._arrange()
        self._anchor = None

    def _drag_near_edge(self, at: QPoint) -> None:
        y = self.viewport().mapFromGlobal(at).y()
        bar = self.verticalScrollBar()
        if y < 0:
            self._following = False
            bar.setValue(bar.value() + max(y, -40))
        elif y > self.viewport().height():
            bar.setValue(bar.value() + min(y - self.viewport().height(), 40))
