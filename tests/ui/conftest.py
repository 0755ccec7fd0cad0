"""What tests of the window share: a theme, a core thread, doubles of the services, and a desk made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QApplication

from app.lanes import CoreThread
from ui import plain_imports
from ui.bridge import Bridge
from ui.desk import Action, Desk, NoticeLevel
from ui.icons import Icons
from ui.screenshots.double import SampleChat, SampleModels, sample_house
from ui.screenshots.double_gate import SampleGate
from ui.screenshots.double_hub import SampleDownloads, SampleHub
from ui.theme import ThemeStore

plain_imports.restore()


@dataclass
class Told:
    """Keeps notices instead of showing them."""

    notices: list[tuple[NoticeLevel, str, str, Action | None]] = field(default_factory=list)

    def show(self, level: NoticeLevel, sentence: str, hint: str = "", action: Action | None = None) -> None:
        self.notices.append((level, sentence, hint, action))

    @property
    def sentences(self) -> list[str]:
        return [sentence for _, sentence, _, _ in self.notices]


@dataclass
class House:
    """A desk and what stands behind it."""

    desk: Desk
    chat: SampleChat
    models: SampleModels
    hub: SampleHub
    downloads: SampleDownloads
    told: Told
    gone: list[str]
    """Pages that were asked for."""
    gate: SampleGate


@pytest.fixture(autouse=True)
def _english() -> None:
    """Numbers are written the same on every machine."""
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))


@pytest.fixture
def themes(qapp: QApplication) -> Iterator[ThemeStore]:
    store = ThemeStore(qapp, "light", shipped_fonts=True)
    yield store
    store.deleteLater()


@pytest.fixture
def core() -> Iterator[CoreThread]:
    thread = CoreThread()
    thread.start()
    yield thread
    thread.stop()


@pytest.fixture
def house(qapp: QApplication, themes: ThemeStore, core: CoreThread, tmp_path: Path) -> Iterator[House]:
    made = sample_house(tmp_path / "settings.json")
    services = made.services
    bridge = Bridge(core, services.bus)
    told, gone = Told(), list[str]()
    desk = Desk(services, bridge, themes, Icons(themes), told, tmp_path, gone.append)
    yield House(desk, made.chat, made.models, made.hub, made.downloads, told, gone, made.gate)
    bridge.close()
