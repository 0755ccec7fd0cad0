"""The lock: what is asked for at the start, what Ctrl+L covers, and that nothing shows or listens behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from app.gate.label import Label
from app.paths import Paths, resolve
from app.vault import changing, wrapping
from app.vault.vault import Vault
from engine.errors import VaultError
from tests.ui.conftest import House
from ui.instance import Claim, Instance
from ui.locking import AppLock
from ui.pages.chat import ChatPage
from ui.pages.fault import FaultPage
from ui.pages.store_section import StoreSection
from ui.pages.unlock import UnlockPage
from ui.screenshots import double_store
from ui.screenshots.double_store import DoubleStore
from ui.shell import Application, page_specs
from ui.window import Window

PASSPHRASE = double_store.PASSPHRASE


@pytest.fixture
def window(qtbot: QtBot, house: House) -> Window:
    made = Window(page_specs(lambda: None), house.desk.themes, house.desk.icons)
    qtbot.addWidget(made)
    made.show()
    made.mount(house.desk)
    return made


@pytest.fixture
def lock(window: Window, house: House) -> AppLock:
    return AppLock(window, house.desk, house.desk.themes, house.desk.icons)


def store_of(house: House) -> DoubleStore:
    store = house.desk.services.store
    assert isinstance(store, DoubleStore)
    return store


def unlock_page(window: Window) -> UnlockPage:
    (page,) = window.findChildren(UnlockPage)
    return page


def visible(window: Window, kind: type[QWidget]) -> list[QWidget]:
    return [widget for widget in window.findChildren(kind) if widget.isVisible()]


def test_ctrl_l_covers_all_and_the_passphrase_brings_the_draft_back(
    qtbot: QtBot, window: Window, lock: AppLock, house: House
) -> None:
    page = window.page("chat")
    assert isinstance(page, ChatPage)
    page.composer.set_draft("half a thought")
    QTest.keyClick(window, Qt.Key.Key_L, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: window.covered)
    assert not page.isVisible()
    assert not visible(window, ChatPage)
    locked = unlock_page(window)
    assert locked.field.echoMode() is QLineEdit.EchoMode.Password
    QTest.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    QTest.keyClick(window, Qt.Key.Key_2, Qt.KeyboardModifier.ControlModifier)
    assert not window.palette_.isVisible()
    assert window.current == "chat"
    QTest.keyClicks(locked.field, PASSPHRASE)
    QTest.keyClick(locked.field, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not window.covered)
    assert page.isVisible()
    assert page.composer.draft == "half a thought"
    assert store_of(house).calls == ["lock", "unlock"]


def test_nothing_comes_up_over_the_lock(qtbot: QtBot, window: Window, lock: AppLock, house: House) -> None:
    lock.lock()
    qtbot.waitUntil(lambda: window.covered)
    window.notices.show("info", "“The secret garden” was deleted.")
    window.show_fault(FaultPage("A fault", "Something.", "", "", [], house.desk.themes, house.desk.icons))
    shown = " ".join(widget.text() for widget in window.findChildren(QLabel) if widget.isVisible())
    assert "secret garden" not in shown
    assert not visible(window, FaultPage)
    window.cover(None)
    assert visible(window, FaultPage)
    shown = " ".join(widget.text() for widget in window.findChildren(QLabel) if widget.isVisible())
    assert "secret garden" in shown


def test_wrong_tries_wait_and_the_recovery_code_is_offered(
    qtbot: QtBot, window: Window, lock: AppLock, house: House
) -> None:
    lock.lock()
    qtbot.waitUntil(lambda: window.covered)
    page = unlock_page(window)
    store_of(house).fault = VaultError("wrong_passphrase", "This is not it.", "Nothing is lost.", wait_s=0.5)
    page.field.setText("wrong")
    page.open_button.click()
    qtbot.waitUntil(lambda: "not it" in page.fault.text())
    assert page.field.text() == ""
    page.field.setText("again")
    assert not page.open_button.isEnabled()
    assert "Wait" in page.open_button.text()
    qtbot.waitUntil(page.open_button.isEnabled, timeout=5000)
    page.other.click()
    assert page.field.echoMode() is QLineEdit.EchoMode.Normal
    assert "seven groups" in page.sentence.text()


def test_without_a_passphrase_a_notice_says_what_to_do(
    qtbot: QtBot, window: Window, lock: AppLock, house: House
) -> None:
    store_of(house).shown = double_store.PLAIN
    lock.lock()
    qtbot.waitUntil(lambda: any("no passphrase" in str(notice) for notice in house.told.notices))
    assert not window.covered


def test_idle_minutes_lock_and_input_puts_it_off(qtbot: QtBot, window: Window, lock: AppLock, house: House) -> None:
    house.desk.services.settings.update(relock_minutes=1)
    lock.idle._touched_at -= 59
    lock.idle.look()
    assert not window.covered
    lock.idle._touched_at -= 2
    QTest.mouseClick(window.windowHandle(), Qt.MouseButton.LeftButton)
    lock.idle.look()
    assert store_of(house).calls == []
    house.desk.services.settings.update(relock_minutes=None)
    lock.idle._touched_at -= 1e6
    lock.idle.look()
    assert store_of(house).calls == []
    house.desk.services.settings.update(relock_minutes=1)
    lock.idle.look()
    qtbot.waitUntil(lambda: window.covered)


# Set-up


def test_a_passphrase_is_chosen_and_the_code_shown_once(qtbot: QtBot, house: House) -> None:
    store_of(house).shown = double_store.PLAIN
    section = StoreSection(house.desk)
    qtbot.addWidget(section)
    section.show()
    qtbot.waitUntil(lambda: "Not encrypted" in section.state.text())
    assert "passphrase" in section.details.text()
    assert not section.minutes.isVisible()
    section.choose.click()
    section.form.first.setText(PASSPHRASE)
    section.form.second.setText("something else")
    section.form.save.click()
    assert "differ" in section.form.fault.text()
    section.form.second.setText(PASSPHRASE)
    section.form.save.click()
    qtbot.waitUntil(lambda: section.code.isVisible())
    assert section.code.code.text() == double_store.CODE
    qtbot.waitUntil(lambda: section.minutes.isVisible())
    next(b for b in section.code.findChildren(QPushButton) if b.text() == "I have it").click()
    assert not section.code.isVisible()
    assert section.code.code.text() == ""
    section.minutes.setCurrentIndex(section.minutes.findData(5))
    assert house.desk.services.settings.values.relock_minutes == 5


def test_retention_lists_holds_and_removes_only_after_a_second_click(qtbot: QtBot, house: House) -> None:
    store = store_of(house)
    section = StoreSection(house.desk)
    qtbot.addWidget(section)
    section.show()
    part = section.retention
    qtbot.waitUntil(lambda: part.found.text() == "Nothing is due." and part.isEnabled())
    assert not part.remove.isVisible()
    choice = part.days[Label.CONFIDENTIAL]
    choice.setCurrentIndex(choice.findData(180))
    choice.activated.emit(choice.currentIndex())
    qtbot.waitUntil(lambda: part.found.text() == "Due: 1. Under legal hold: 1.")
    assert store.keep[Label.CONFIDENTIAL] == 180
    next(b for b in part.findChildren(QPushButton) if b.accessibleName() == "End the hold: Receipts, spring").click()
    qtbot.waitUntil(lambda: part.found.text() == "Due: 2.")
    part.remove.click()
    assert part.remove.text() == "Remove 2 for good"
    assert not any(call.startswith("shred") for call in store.calls)
    part.remove.click()
    qtbot.waitUntil(lambda: part.found.text() == "Nothing is due.")
    assert store.calls[-1] == "shred d7 b4"
    assert "so far: 2" in part.past.text()


# the real thing


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setattr(wrapping, "MEMORY_KIB", 64)
    monkeypatch.setattr(wrapping, "PASSES", 1)
    found = resolve(tmp_path / "data")
    found.make_folders()
    return found


@pytest.fixture
def application(qapp: QApplication, qtbot: QtBot, paths: Paths) -> Iterator[Application]:
    changing.set_passphrase(Vault(paths.database), PASSPHRASE)
    instance = Instance(paths.data)
    assert instance.claim() is Claim.FIRST
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    made = Application(qapp, paths, instance)
    yield made
    made.shut_down()


@pytest.mark.slow
def test_start_asks_first_then_locks_and_ends_while_locked(
    qtbot: QtBot, application: Application, paths: Paths
) -> None:
    window = application.window
    window.show()
    application.build()
    qtbot.waitUntil(lambda: window.covered, timeout=20000)
    assert application.services is None
    assert not paths.database.exists()
    page = unlock_page(window)
    page.field.setText("not the passphrase")
    page.open_button.click()
    qtbot.waitUntil(lambda: "not the passphrase" in page.fault.text(), timeout=20000)
    page.field.setText(PASSPHRASE)
    page.open_button.click()
    qtbot.waitUntil(lambda: window.page(window.current) is not None, timeout=30000)
    assert not window.covered
    services = application.services
    assert services is not None
    assert application.bridge is not None
    created = application.bridge.call(services.chat.create)
    qtbot.waitUntil(created.done, timeout=10000)
    window.lock_requested.emit()
    qtbot.waitUntil(lambda: window.covered, timeout=10000)
    lane = application._product._lane  # type: ignore[union-attr]
    qtbot.waitUntil(lambda: lane.suspended, timeout=20000)  # and the fixture ends it while it is locked
    assert b"SQLite format" not in paths.database.read_bytes()[:16]
