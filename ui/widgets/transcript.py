"""The messages of a conversation, of which only those in sight have widgets.

Heights of the others are estimated and corrected when they come into sight, while what one is reading stays where it
is. At the bottom the view follows the stream. One clock gives the visible messages their slices of layout and colour:
not more than ``WORK_S`` a frame, however long the answer is.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PySide6.QtCore import QPoint, Qt, QTimer, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from app.chat.records import Message
from app.documents.review_records import Citation
from app.gate.records import Offers
from ui.icons import Icons
from ui.theme import FRAME_MS, TEXT_WIDTH, ThemeStore
from ui.widgets.heights import Heights, estimate
from ui.widgets.highlight import LexerShelf
from ui.widgets.ink import mix_ink
from ui.widgets.jump_button import JumpButton
from ui.widgets.message import EDGE, UNFINISHED, MessageView, Surroundings
from ui.widgets.waiting import Waiting

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


class Transcript(QAbstractScrollArea):
    """Shows messages; asks for things by signals, decides nothing."""

    retried = Signal(str)
    continued = Signal(str)
    edited = Signal(str, str)
    branch_wanted = Signal(str, int)
    larger_wanted = Signal(str)
    cloud_wanted = Signal(str)
    kept = Signal(str)
    offers_wanted = Signal(str)
    citations_wanted = Signal(str)
    cited = Signal(object)

    def __init__(self, themes: ThemeStore, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._themes = themes
        self._names: dict[str, str] = {}
        self._around = Surroundings(
            mix_ink(themes.theme, themes.fonts), icons, LexerShelf(), self._model_name, Waiting("")
        )
        self._entries: list[Entry] = []
        self._heights = Heights(TOP, GAP)
        self._following = True
        self._anchor: tuple[int, int] | None = None
        self._placing = False
        self._stale = False
        self._words = ""
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Messages"))
        self.viewport().setObjectName("transcript")
        self.verticalScrollBar().setSingleStep(24)
        self.verticalScrollBar().actionTriggered.connect(self._scrolled_by_person)
        self._jump = JumpButton(self._around.ink, icons, self)
        self._jump.clicked.connect(self.jump_to_end)
        self._clock = QTimer(self, interval=FRAME_MS)
        self._clock.setTimerType(Qt.TimerType.PreciseTimer)
        self._clock.timeout.connect(self._tick)
        themes.changed.connect(self._change_theme)

    # What is shown.

    @property
    def messages(self) -> list[Message]:
        return [entry.message for entry in self._entries]

    def text_of_last(self) -> str:
        """The last message's text as far as it came."""
        return self._entries[-1].text if self._entries else ""

    def show_messages(self, messages: Sequence[Message], *, keep: bool = False) -> None:
        """Show a conversation from its end; ``keep`` holds on to what is on screen already (another branch)."""
        kept = {entry.message.id: entry for entry in self._entries} if keep else {}
        anchor = self._anchor_now() if keep else None
        anchored = self._entries[anchor[0]].message.id if anchor is not None else None
        entries = []
        for message in messages:
            entry = kept.pop(message.id, None)
            if entry is None:
                entry = Entry(message, message.text, message.reasoning)
            entries.append(entry)
        for entry in kept.values() if keep else self._entries:
            self._drop(entry)
        self._entries = entries
        if keep:
            for entry, message in zip(entries, messages, strict=True):
                self._renew(entry, message)
        self._heights.reset([self._estimate(entry) for entry in entries])
        for number, entry in enumerate(entries):
            if entry.view is not None:
                self._heights.set(number, entry.view.tall)
        place = next((n for n, e in enumerate(entries) if e.message.id == anchored), None)
        self._following = place is None or self._following
        self._anchor = (place, anchor[1]) if place is not None and anchor is not None else None
        self._arrange()

    def add_message(self, message: Message) -> None:
        """A new message at the end; one's own brings the view to the end."""
        if any(entry.message.id == message.id for entry in self._entries[-4:]):
            self.renew_message(message)
            return
        self._entries.append(Entry(message, message.text, message.reasoning))
        self._heights.append(self._estimate(self._entries[-1]))
        if message.role == "user":
            self._following = True
            self._anchor = None
        self._arrange()

    def grow(
        self, message_id: str, text: str, reasoning: str, text_start: int | None = None, reasoning_start: int = 0
    ) -> None:
        """More of an answer; what is there already is skipped. The starts are what the service said."""
        entry = self._entry(message_id)
        if entry is None:
            return
        if text_start is not None:
            text = text[max(len(entry.text) - text_start, 0) :]
            reasoning = reasoning[max(len(entry.reasoning) - reasoning_start, 0) :]
        entry.text += text
        entry.reasoning += reasoning
        if entry.view is not None:
            entry.view.grow(text, reasoning)
            self._wake()

    def renew_message(self, message: Message) -> None:
        """A message has another state: it finished, failed, or got siblings."""
        entry = self._entry(message.id)
        if entry is not None:
            self._renew(entry, message)
            self._wake()
            self._restack()

    def placed(self, message: Message) -> Message:
        """With the place among its siblings that is known here; what announces an answer's end does not know it."""
        entry = self._entry(message.id)
        if entry is None:
            return message
        known = entry.message
        return replace(message, branch_index=known.branch_index, branch_count=known.branch_count)

    def set_model_names(self, names: dict[str, str]) -> None:
        self._names = names
        for entry in self._entries:
            if entry.view is not None:
                entry.view.set_message(entry.view.message)

    def set_waiting(self, waiting: Waiting) -> None:
        """Why the pending answer is not there yet."""
        self._around.waiting = waiting
        for entry in self._entries[-2:]:
            if entry.view is not None:
                entry.view.set_waiting()

    def set_can_ask(self, can_ask: bool) -> None:
        """Whether the gate of this conversation lets one ask the cloud; offers that were known are asked for again."""
        if can_ask != self._around.can_ask:
            self._around.can_ask = can_ask
            self.forget_offers()

    def forget_offers(self) -> None:
        """What flagged answers offer may have changed. What is in sight stays until that is known: nothing jumps."""
        viewed = {entry.message.id for entry in self._entries if entry.view is not None}
        for message_id in self._around.offers.keys() - viewed:
            del self._around.offers[message_id]
        for entry in self._entries:
            if entry.view is not None:
                entry.view.show_gate()
                if entry.message.flag is not None:
                    self.offers_wanted.emit(entry.message.id)

    def show_offers(self, message_id: str, offers: Offers) -> None:
        self._around.offers[message_id] = offers
        entry = self._entry(message_id)
        if entry is not None and entry.view is not None:
            entry.view.show_gate()

    def show_citations(self, message_id: str, citations: Sequence[Citation]) -> None:
        """The places that an answer points to."""
        self._around.citations[message_id] = tuple(citations)
        entry = self._entry(message_id)
        if entry is not None and entry.view is not None:
            entry.view.renew_citations()

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

    def mark_words(self, words: str) -> None:
        """Mark words wherever they are in sight, now and after scrolling; empty marks nothing."""
        self._words = words
        for entry in self._entries:
            if entry.view is not None:
                entry.view.body.mark_words(words)

    def show_found(self, message_id: str, nth: int) -> None:
        """Bring the nth marked place of a message into sight as the current one."""
        for entry in self._entries:
            if entry.view is not None and entry.message.id != message_id:
                entry.view.body.point_out(None)
        view = self.jump_to(message_id)
        if view is not None:
            found = view.body.mark_words(self._words)
            if found:
                y = view.body.point_out(found[min(nth, len(found) - 1)])
                self.show_in(view, view.body.y() + y)

    def last_own(self) -> Message | None:
        return next((e.message for e in reversed(self._entries) if e.message.role == "user"), None)

    def begin_edit(self, message_id: str) -> None:
        view = self.jump_to(message_id)
        if view is not None:
            view.begin_edit()

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
                    view.work(deadline)
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
        view = MessageView(message, self._around, self.viewport())
        entry.view = view
        if entry.text != message.text or entry.reasoning != message.reasoning:
            view.grow(entry.text[len(message.text) :], entry.reasoning[len(message.reasoning) :])
        view.set_width(self._column()[1])
        view.work(time.perf_counter() + WORK_S)
        if self._words:
            view.body.mark_words(self._words)
        view.height_changed.connect(self._restack)
        view.retried.connect(self.retried)
        view.continued.connect(self.continued)
        view.edited.connect(self.edited)
        view.branch_wanted.connect(self.branch_wanted)
        view.dragged.connect(self._drag_near_edge)
        view.larger_wanted.connect(self.larger_wanted)
        view.cloud_wanted.connect(self.cloud_wanted)
        view.kept.connect(self.kept)
        view.offers_wanted.connect(self.offers_wanted)
        view.citations_wanted.connect(self.citations_wanted)
        view.cited.connect(self.cited)
        if view.may_cite:
            self.citations_wanted.emit(message.id)
        if message.flag is not None and message.id not in self._around.offers:
            self.offers_wanted.emit(message.id)
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

    def _entry(self, message_id: str) -> Entry | None:
        return next((e for e in reversed(self._entries) if e.message.id == message_id), None)

    def _renew(self, entry: Entry, message: Message) -> None:
        """Take a newer state, but never lose text that arrived since it was read."""
        ended = message.status not in UNFINISHED
        if ended or len(message.text) >= len(entry.text):
            entry.text, entry.reasoning = message.text, message.reasoning
        entry.message = message
        if entry.view is not None:
            entry.view.set_message(message)
            if entry.text != message.text:
                entry.view.grow(entry.text[len(message.text) :], "")
            self._wake()

    def _model_name(self, model_id: str | None) -> str:
        return self._names.get(model_id, model_id) if model_id is not None else ""

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

    def _change_theme(self) -> None:
        self._around.ink = mix_ink(self._themes.theme, self._themes.fonts)
        self._jump.set_ink(self._around.ink)
        for entry in self._entries:
            if entry.view is not None:
                entry.view.set_ink()
        self._wake()
        self.viewport().update()
