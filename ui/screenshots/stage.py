"""One window with its doubles, to be brought into a state and photographed."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QElapsedTimer, QEventLoop, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QWidget

from app.chat.records import Message
from app.events import Event
from app.gate.label import GateMode
from app.lanes import CoreThread
from app.models.records import Download, LoadedModel
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.locking import AppLock
from ui.pages.chat import ChatPage
from ui.pages.models.lists import Place
from ui.pages.models.page import ModelsPage
from ui.pages.settings import SettingsPage
from ui.pages.store_section import StoreSection
from ui.pages.unlock import UnlockPage
from ui.screenshots import double_store, sample, sample_chat, sample_documents
from ui.screenshots.double import sample_house
from ui.shell import page_specs
from ui.theme import Appearance, ThemeStore
from ui.window import Window

_QUIET_MS = 260
"""Longer than the debounce of any field and the longest motion."""
_LIMIT_S = 5.0


class Stage:
    """Built for one scene in one appearance; ``close`` it."""

    def __init__(
        self,
        app: QApplication,
        core: CoreThread,
        folder: Path,
        look: Appearance,
        themes: ThemeStore,
        *,
        page: str,
        loaded: LoadedModel,
        conversations: bool,
        downloads: Sequence[Download] = (),
        furnished: bool = False,
        papers: bool = False,
        width: int = 1280,
    ) -> None:
        self._app, self._core = app, core
        self._popups: list[QWidget] = []
        self.themes = themes
        themes.set_appearance(look)
        self.icons = Icons(themes)
        house = sample_house(
            folder / "settings.json",
            loaded=loaded,
            cards=sample.MODELS if conversations else sample.MODELS[:1],
            conversations=sample_chat.CONVERSATIONS if conversations else (),
            messages=sample_chat.MESSAGES if conversations else (),
            downloads=downloads,
            shelf=sample_documents.shelf() if papers else None,
        )
        self.services, self.chat, self.models = house.services, house.chat, house.models
        self.hub, self.downloads, self.gate = house.hub, house.downloads, house.gate
        self.store, self.documents = house.store, house.documents
        if furnished:
            self.gate.furnish()
        self.window = Window(page_specs(lambda: None), themes, self.icons)
        self.window.resize(width, 800)
        self.bridge = Bridge(core, self.services.bus, self.window)
        data = Path("/home/ada/.local/share/gatehouse")
        window = self.window
        desk = Desk(self.services, self.bridge, themes, self.icons, window.notices, data, window.go, window.open_place)
        self.window.show()
        self.window.go(page)
        self.window.mount(desk)
        self.app_lock = AppLock(self.window, desk, themes, self.icons)
        self.window.status.measure()
        self.settle()

    def lock(self) -> None:
        """As Ctrl+L does."""
        self.app_lock.lock()
        self.settle()

    def unlock_page(self) -> UnlockPage:
        (page,) = self.window.findChildren(UnlockPage)
        return page

    def show_store(self, *, plain: bool = False) -> StoreSection:
        """Scroll Set-up to the store's section."""
        page = self.window.page("settings")
        assert isinstance(page, SettingsPage)
        (section,) = page.findChildren(StoreSection)
        if plain:
            self.store.shown = double_store.PLAIN
            section.refresh()
            self.settle()
        page.ensureWidgetVisible(section, 0, 0)
        self.settle()
        return section

    def show_retention(self) -> None:
        """Scroll Set-up to what its rules would remove."""
        section = self.show_store()
        section.refresh()
        self.settle()
        page = self.window.page("settings")
        assert isinstance(page, SettingsPage)
        page.ensureWidgetVisible(section.retention, 0, 0)
        self.settle()

    def close(self) -> None:
        self.bridge.close()
        self.window.close()
        self.window.deleteLater()
        self._app.sendPostedEvents()
        self._app.processEvents()

    def over(self, popup: QWidget) -> None:
        """A popup is a window of its own: put it into the picture where it stands."""
        self._popups.append(popup)

    def settle(self, limit_s: float = _LIMIT_S) -> None:
        """Let everything that was asked for arrive and be painted."""
        started = time.monotonic()
        quiet = QElapsedTimer()
        quiet.start()
        while quiet.elapsed() < _QUIET_MS and time.monotonic() - started < limit_s:
            self._app.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 10)
            if not self.bridge.idle:
                quiet.restart()

    def picture(self) -> QImage:
        """The window as painted, in its 256 commonest colours: plenty for an interface, and a third of the size."""
        whole = self.window.grab()
        painter = QPainter(whole)
        for popup in self._popups:
            painter.drawPixmap(self.window.mapFromGlobal(popup.pos()), popup.grab())
        painter.end()
        image = whole.toImage().convertToFormat(QImage.Format.Format_RGB32)
        table = palette_of(Counter(memoryview(image.constBits()).cast("I")))
        flags = Qt.ImageConversionFlag.ThresholdDither | Qt.ImageConversionFlag.AvoidDither
        return image.convertToFormat(QImage.Format.Format_Indexed8, table, flags)

    # what scenes do

    def letter(self, messages: Sequence[Message], mode: GateMode = GateMode.ASK) -> ChatPage:
        """Open the conversation about the letter, with these messages and this gate."""
        self.chat.messages = [*self.chat.messages, *messages]
        self.chat.items["c4"] = replace(self.chat.items["c4"], gate=mode)
        self.open_conversation("c4")
        page: QWidget | None = self.window.page("chat")
        assert isinstance(page, ChatPage)
        return page

    def run(self, work: Coroutine[Any, Any, object]) -> None:
        self._core.submit(work).result(_LIMIT_S)

    def publish(self, event: Event) -> None:
        """Announce in the core thread, as services do."""

        async def announce() -> None:
            self.services.bus.publish(event)

        self.run(announce())

    def open_conversation(self, conversation_id: str) -> None:
        page = self.window.page("chat")
        getattr(page, "open_conversation")(conversation_id)  # noqa: B009 - the chat page is built lazily
        self.settle()

    def press(self, name: str) -> None:
        """Run what a key of the window asks of the chat page."""
        getattr(self.window.page("chat"), name)()
        self.settle()

    def type(self, text: str) -> None:
        """Into the field that has the focus."""
        field = self.window.focusWidget()
        if isinstance(field, QLineEdit):
            field.setText(text)
        self.settle()

    def click(self, words: str) -> None:
        for found in self.window.findChildren(QPushButton):
            if found.text() == words and found.isVisible():
                found.click()
                break
        self.settle()

    def select_model(self, model_id: str) -> None:
        self.models_page().select(model_id)
        self.settle()

    def models_list(self, place: Place) -> None:
        self.models_page().go(place)
        self.settle()

    def set_context(self, n_ctx: int) -> None:
        self.models_page().detail.set_context(n_ctx)
        self.settle()

    def show_end_of_details(self) -> None:
        """Scroll what is beside the table to its end."""
        bar = self.models_page().beside.verticalScrollBar()
        bar.setValue(bar.maximum())
        self.settle()

    def models_page(self) -> ModelsPage:
        """The page itself, for scenes that steer its parts."""
        page: QWidget | None = self.window.page("models")
        assert isinstance(page, ModelsPage)
        return page


def palette_of(counts: Counter[int]) -> list[int]:
    """256 colours: the commonest of each region of the colour cube first, so that a small icon keeps its colour."""
    regions: dict[int, int] = {}
    for colour, _ in counts.most_common():
        regions.setdefault(colour & 0x00E0E0E0, colour)
    chosen = dict.fromkeys(list(regions.values())[:128])
    for colour, _ in counts.most_common():
        if len(chosen) >= 256:
            break
        chosen.setdefault(colour)
    return list(chosen)
