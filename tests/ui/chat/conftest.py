"""A Chat page before a scripted service, and a transcript alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.lanes import CoreThread
from tests.ui.chat.double import ScriptedChat
from tests.ui.conftest import Told
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.pages.chat import ChatPage
from ui.screenshots import sample
from ui.screenshots.double import SampleModels, sample_services
from ui.theme import ThemeStore
from ui.widgets.transcript import Transcript


@dataclass
class Room:
    """A page, and who stands behind it."""

    page: ChatPage
    chat: ScriptedChat
    models: SampleModels
    told: Told
    gone: list[str]
    bot: QtBot
    bridge: Bridge

    def until(self, condition: Callable[[], object]) -> None:
        """Let things arrive until it holds."""
        self.bot.waitUntil(lambda: bool(condition()), timeout=5000)

    def settle(self) -> None:
        """Until all visible text is laid out."""
        self.until(lambda: self.page.transcript.idle)


@pytest.fixture
def make_room(
    qtbot: QtBot, themes: ThemeStore, core: CoreThread, tmp_path: Path
) -> Iterator[Callable[[Callable[[ScriptedChat], None]], Room]]:
    bridges: list[Bridge] = []

    def make(prepare: Callable[[ScriptedChat], None] = lambda _chat: None) -> Room:
        services, _, models = sample_services(tmp_path / "settings.json")
        chat = ScriptedChat(core, services.bus)
        prepare(chat)
        services = replace(services, chat=chat)
        bridge = Bridge(core, services.bus)
        bridges.append(bridge)
        told = Told()
        gone: list[str] = []
        desk = Desk(services, bridge, themes, Icons(themes), told, tmp_path, gone.append)
        page = ChatPage(desk)
        qtbot.addWidget(page)
        page.resize(1100, 760)
        page.show()
        return Room(page, chat, models, told, gone, qtbot, bridge)

    yield make
    for bridge in bridges:
        bridge.close()


@pytest.fixture
def room(make_room: Callable[[], Room]) -> Room:
    return make_room()


@pytest.fixture
def transcript(qapp: QApplication, qtbot: QtBot, themes: ThemeStore) -> Transcript:
    view = Transcript(themes, Icons(themes))
    qtbot.addWidget(view)
    view.resize(900, 700)
    view.show()
    view.set_model_names({card.id: card.name for card in sample.MODELS})
    return view
