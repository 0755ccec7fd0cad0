"""The gate of the open conversation on the Chat page: its setting, the sheet, and what is asked elsewhere.

Carries choices to the service and answers back to the parts; policy, scanning and sending are the service's.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from PySide6.QtCore import QEvent, QObject, QRect, Signal
from PySide6.QtWidgets import QWidget

from app.chat.records import Conversation, Message, MessageStatus
from app.events import AnswerFlagged, GateChanged, OfflineChanged
from app.gate.label import GateMode, Label
from app.gate.records import Ask, Offers, Place, Preview, PreviewChange, Provider
from engine.errors import GatehouseError
from ui.desk import Action, Desk
from ui.theme import GRID
from ui.widgets.composer import Composer
from ui.widgets.gate_control import GateSetting
from ui.widgets.gate_refusal import step_of
from ui.widgets.gate_sheet import GateSheet
from ui.widgets.transcript import Transcript

T = TypeVar("T")
_ROOM = 720
"""Below this width of the conversation the sheet covers the list of conversations too."""


class ChatGate(QObject):
    """One for the page; ``follow`` tells it which conversation is open."""

    shown = Signal(object)
    """The ``GateSetting`` in force."""

    def __init__(self, desk: Desk, page: QWidget, composer: Composer, transcript: Transcript) -> None:
        super().__init__(page)
        self._desk, self._gate, self._page = desk, desk.services.gate, page
        self._composer, self._transcript = composer, transcript
        self._conversation: Conversation | None = None
        self._fresh = GateSetting()
        """Of a conversation that does not exist yet."""
        self._offline = self._gate.offline()
        self._providers: tuple[Provider, ...] = ()
        self._places: tuple[Place, ...] = ()
        self._ask: Ask | None = None
        self._looking: concurrent.futures.Future[Preview] | None = None
        self._pending = PreviewChange()
        self._beside: QWidget | None = None
        self.sheet = GateSheet(desk.themes, desk.icons, page)
        self._connect()
        self._read_providers()
        self._places_changed(GateChanged(None))
        self._show()

    # The setting.

    @property
    def setting(self) -> GateSetting:
        """What is in force for the open conversation."""
        found = self._conversation
        base = replace(self._fresh, offline=self._offline, providers=len(self._providers))
        if found is None:
            return base
        where = replace(base, place_id=found.place_id, places=self._places)
        return replace(where, mode=found.gate, label=found.label, own_label=found.own_label)

    @property
    def fresh(self) -> GateSetting:
        """What a conversation that does not exist yet is to begin with."""
        return self._fresh

    def follow(self, conversation: Conversation | None) -> None:
        """This conversation is open now, or changed; ``None`` is a new one."""
        before = self._conversation.id if self._conversation is not None else None
        self._conversation = conversation
        if before != (conversation.id if conversation is not None else None):
            self.stay_local()
        self._show()

    def begin_fresh(self) -> None:
        """A new conversation begins: with the defaults, whatever the last one had."""
        self._fresh = GateSetting()
        if self.open:
            self.stay_local()
        self.follow(None)

    def set_mode(self, mode: GateMode) -> None:
        found = self._conversation
        if found is None:
            self._fresh = replace(self._fresh, mode=mode)
            self._show()
        else:
            self._call(lambda: self._gate.set_mode(found.id, mode))

    def set_label(self, tag: Label) -> None:
        found = self._conversation
        if found is None:
            self._fresh = replace(self._fresh, label=tag, own_label=tag)
            self._show()
        else:
            self._call(lambda: self._gate.set_label(found.id, tag))

    def move(self, place_id: str | None) -> None:
        """Put the conversation into a workspace or folder; it takes on at least that one's label."""
        found = self._conversation
        if found is not None:
            self._call(lambda: self._gate.move(found.id, place_id))

    # Asking elsewhere.

    def ask_about(self, message_id: str) -> None:
        """A sibling of an answer by a model elsewhere."""
        found = self._message(message_id)
        if found is not None:
            self._begin(Ask(found.conversation_id, found.id))

    def resume(self, message_id: str) -> bool:
        """Ask for the rest of an answer that was cut, if somebody elsewhere wrote it; returns whether that is so."""
        found = self._message(message_id)
        elsewhere = found is not None and from_elsewhere(found)
        if found is not None and elsewhere:
            self._begin(Ask(found.conversation_id, found.id, resume=True))
        return elsewhere

    def retry(self, message_id: str) -> bool:
        """Ask elsewhere once more for an answer that did not come whole; returns whether it was asked there."""
        found = self._message(message_id)
        elsewhere = found is not None and from_elsewhere(found) and found.status is not MessageStatus.COMPLETE
        if elsewhere:
            self.ask_about(message_id)
        return elsewhere

    def _message(self, message_id: str) -> Message | None:
        return next((found for found in self._transcript.messages if found.id == message_id), None)

    def ask_with(self, draft: str, system_prompt: str = "") -> None:
        """What is drafted, for a model elsewhere."""
        found = self._conversation
        if found is not None:
            self._begin(Ask(found.id, draft=draft))
        else:
            fresh = self._fresh
            ask = Ask(None, draft=draft, label=fresh.own_label, mode=fresh.mode, system_prompt=system_prompt)
            self._begin(ask)

    def ask_larger(self, message_id: str) -> None:
        self._call(lambda: self._gate.ask_larger(message_id))

    def keep(self, message_id: str) -> None:
        self._call(lambda: self._gate.keep(message_id))

    def stay_local(self) -> None:
        """Close the sheet; nothing leaves."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._discard()
        was_open = self.open
        self.sheet.start_again()
        self.sheet.hide()
        self._ask = None
        if was_open:
            self._composer.take_focus()

    @property
    def open(self) -> bool:
        """Whether the sheet is shown."""
        return not self.sheet.isHidden()

    def cover(self, beside: QWidget | None) -> None:
        """``beside`` is the conversation's side of the page; the sheet lies over it."""
        assert beside is not None
        self._beside = beside
        beside.installEventFilter(self)

    def covers(self, part: QWidget) -> bool:
        """Whether a widget lies out of sight behind the sheet."""
        beside = self._beside
        return self.open and beside is not None and beside.isAncestorOf(part)

    # Inside: the sheet.

    def _begin(self, ask: Ask) -> None:
        if self.setting.mode is GateMode.OPEN and not self.setting.shut:
            self._call(
                lambda: self._gate.ask(ask), lambda _id: self._asked(ask), lambda error: self._refused(ask, error)
            )
        else:
            self._open_sheet(ask)

    def _discard(self) -> None:
        preview = self.sheet.preview
        if preview is not None:
            self._call(lambda: self._gate.discard(preview.id))

    def _open_sheet(self, ask: Ask) -> None:
        self._discard()
        self._ask = ask
        self.sheet.start_again()
        self.sheet.show_providers(self._providers)
        self.sheet.show_waiting()
        self._place()
        self.sheet.show()
        self.sheet.raise_()
        self.sheet.setFocus()
        self._look(lambda: self._gate.preview(ask))

    def _look(self, make: Callable[[], Coroutine[Any, Any, Preview]]) -> None:
        if self._looking is not None:
            self._looking.cancel()
        self.sheet.show_waiting()
        self._looking = self._desk.bridge.call(make, self._looked, self._trouble, owner=self.sheet)

    def _looked(self, preview: Preview) -> None:
        self._looking = None
        self._pending = PreviewChange()
        self.sheet.show_preview(preview)

    def _trouble(self, error: GatehouseError) -> None:
        self._looking = None
        self.sheet.show_trouble(error)

    def _change(self, change: PreviewChange) -> None:
        """Changes that come while one is being looked at are put together."""
        preview, old = self.sheet.preview, self._pending
        if preview is None:
            return
        self._pending = PreviewChange(
            old.off if change.off is None else change.off,
            old.edits if change.edits is None else change.edits,
            change.provider_id or old.provider_id,
            old.left_out if change.left_out is None else change.left_out,
        )
        together = self._pending
        self._look(lambda: self._gate.change(preview.id, together))

    def _send(self, preview_id: str, body_sha256: str) -> None:
        ask = self._ask

        def sent(_answer_id: str) -> None:
            self.sheet.start_again()
            self.stay_local()
            if ask is not None:
                self._asked(ask)

        self._call(lambda: self._gate.send(preview_id, body_sha256), sent, self.sheet.show_trouble)

    def _asked(self, ask: Ask) -> None:
        if ask.draft and self._composer.draft.strip() == ask.draft:
            self._composer.set_draft("")

    def _refused(self, ask: Ask, error: GatehouseError) -> None:
        """An open conversation was refused: say why; what needs the sheet gets it."""
        if error.code == "needs_sheet":
            self._open_sheet(ask)
            return
        step = step_of(error.code)
        action = Action(step.words, lambda: self.take_step(step.key)) if step is not None else None
        self._desk.notices.show("error", error.sentence, error.hint, action)

    def take_step(self, step: str) -> None:
        """The way out of a refusal."""
        if step == "online":
            self._call(lambda: self._gate.set_offline(False), lambda _none: self._look_again())
        elif step == "ask":
            self.set_mode(GateMode.ASK)
            self._look_again()
        else:
            self.stay_local()
            self._desk.go(f"gate/{step}")

    def _look_again(self) -> None:
        if self._ask is not None and self.open:
            self._open_sheet(replace(self._ask, mode=self._fresh.mode))

    def _place(self) -> None:
        if self._beside is None:
            return
        corner = self._beside.mapTo(self._page, self._beside.rect().topLeft())
        area = QRect(corner, self._beside.size())
        if area.width() < _ROOM:
            area = self._page.rect()
        self.sheet.setGeometry(area.adjusted(GRID, GRID, -GRID, -GRID))

    # Inside: events.

    def _connect(self) -> None:
        gate, transcript, bridge = self._composer.gate, self._transcript, self._desk.bridge
        gate.mode_chosen.connect(self.set_mode)
        gate.label_chosen.connect(self.set_label)
        gate.place_chosen.connect(self.move)
        gate.page_wanted.connect(lambda: self._desk.go("gate"))
        bridge.names_sought.connect(lambda event: self.sheet.show_progress(event.done, event.total))
        self.sheet.sent.connect(self._send)
        self.sheet.changed.connect(self._change)
        self.sheet.stayed.connect(self.stay_local)
        self.sheet.again.connect(self._look_again)
        self.sheet.step_wanted.connect(self.take_step)
        transcript.larger_wanted.connect(self.ask_larger)
        transcript.kept.connect(self.keep)
        transcript.offers_wanted.connect(self._read_offers)
        bridge.offline_changed.connect(self._offline_changed)
        bridge.providers_changed.connect(self._read_providers)
        bridge.gate_changed.connect(self._places_changed)
        bridge.models_changed.connect(lambda _event: transcript.forget_offers())
        bridge.answer_flagged.connect(self._flagged)

    def _read_providers(self, _event: object = None) -> None:
        self._call(self._gate.providers, self._show_providers)

    def _show_providers(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)
        self._show()
        self._transcript.forget_offers()

    def _places_changed(self, event: GateChanged) -> None:
        if event.conversation_id is None:
            self._call(self._gate.places, self._show_places)

    def _show_places(self, places: Sequence[Place]) -> None:
        self._places = tuple(places)
        self._show()

    def _read_offers(self, message_id: str) -> None:
        def show(offers: Offers) -> None:
            self._transcript.show_offers(message_id, offers)

        self._call(lambda: self._gate.offers(message_id), show)

    def _offline_changed(self, event: OfflineChanged) -> None:
        self._offline = event.offline
        self._show()
        self._transcript.forget_offers()

    def _flagged(self, event: AnswerFlagged) -> None:
        if any(message.id == event.message.id for message in self._transcript.messages):
            self._transcript.renew_message(self._transcript.placed(event.message))

    def _show(self) -> None:
        setting = self.setting
        self._composer.show_gate(setting)
        self._transcript.set_can_ask(not setting.shut)
        self.shown.emit(setting)

    def _call(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        done: Callable[[T], None] | None = None,
        failed: Callable[[GatehouseError], None] | None = None,
    ) -> None:
        self._desk.bridge.call(make, done, failed, owner=self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize and self.open:
            self._place()
        return False


def from_elsewhere(message: Message) -> bool:
    """Whether a model elsewhere wrote it, or was to."""
    return message.stats is not None and message.stats.route != "local"
