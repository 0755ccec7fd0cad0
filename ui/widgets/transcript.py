"""The messages of a conversation: what is said in them, what becomes of it, and what was asked about it.

Which of them have widgets, and where those stand, is ``message_list``'s. Shows and asks by signals, decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.chat.records import Message
from app.documents.review_records import Citation
from app.gate.records import Offers
from ui.icons import Icons
from ui.theme import ThemeStore
from ui.widgets.highlight import LexerShelf
from ui.widgets.ink import mix_ink
from ui.widgets.message import MessageView
from ui.widgets.message_list import Entry, MessageList
from ui.widgets.message_menu import UNFINISHED
from ui.widgets.surroundings import Surroundings
from ui.widgets.waiting import Waiting


class Transcript(MessageList):
    """One conversation at a time."""

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
        ink = mix_ink(themes.theme, themes.fonts)
        super().__init__(ink, icons, parent)
        self._themes = themes
        self._names: dict[str, str] = {}
        self._around = Surroundings(ink, icons, LexerShelf(), self._model_name, Waiting(""))
        self._words = ""
        self.setAccessibleName(self.tr("Messages"))
        self.viewport().setObjectName("transcript")
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

    # Finding and editing.

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

    # What the list asks for.

    def make_view(self, message: Message) -> MessageView:
        view = MessageView(message, self._around, self.viewport())
        view.retried.connect(self.retried)
        view.continued.connect(self.continued)
        view.edited.connect(self.edited)
        view.branch_wanted.connect(self.branch_wanted)
        view.larger_wanted.connect(self.larger_wanted)
        view.cloud_wanted.connect(self.cloud_wanted)
        view.kept.connect(self.kept)
        view.offers_wanted.connect(self.offers_wanted)
        view.citations_wanted.connect(self.citations_wanted)
        view.cited.connect(self.cited)
        return view

    def view_made(self, view: MessageView) -> None:
        message = view.message
        if self._words:
            view.body.mark_words(self._words)
        if view.may_cite:
            self.citations_wanted.emit(message.id)
        if message.flag is not None and message.id not in self._around.offers:
            self.offers_wanted.emit(message.id)

    # Inside.

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

    def _change_theme(self) -> None:
        self._around.ink = mix_ink(self._themes.theme, self._themes.fonts)
        self._jump.set_ink(self._around.ink)
        for entry in self._entries:
            if entry.view is not None:
                entry.view.set_ink()
        self._wake()
        self.viewport().update()
