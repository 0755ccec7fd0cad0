"""The application in processes of its own, with real services: one window a folder, faults at start, a clean end."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QApplication, QLabel, QPushButton
from pytestqt.qtbot import QtBot

from app.paths import Paths, resolve
from app.settings import Settings
from engine.worker.spec import Ready
from tests.ui import running
from ui.instance import Claim, Instance, claim
from ui.pages.chat import ChatPage
from ui.pages.fault import FaultPage
from ui.shell import Application


@pytest.mark.slow
def test_a_second_start_raises_the_first_and_says_so(tmp_path: Path) -> None:
    with running.window(tmp_path) as first:
        second = running.start(tmp_path)
        out, err = second.communicate(timeout=60)
        assert second.returncode == 0, err
        assert "already open" in out
        assert str(tmp_path) in out
        assert first.poll() is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_window_does_not_lock_the_next_one_out(tmp_path: Path) -> None:
    with running.window(tmp_path) as first:
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10)
    (tmp_path / "logs" / "gatehouse.log").unlink()
    with running.window(tmp_path) as second:
        assert second.poll() is None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", None)])
def test_a_signal_closes_the_window_and_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with running.window(tmp_path) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        assert process.wait(30) == 0
        _, alive = psutil.wait_procs(children, timeout=10)
        assert alive == []
    values = Settings(tmp_path / "settings.json").values
    assert values.window_geometry


def test_without_a_display_it_says_what_else_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ui.application import NO_DISPLAY, run

    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert run(resolve(tmp_path)) == NO_DISPLAY
    assert "gatehouse chat" in capsys.readouterr().err


# in this process


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = resolve(tmp_path / "data")
    found.make_folders()
    return found


@pytest.fixture
def application(qapp: QApplication, qtbot: QtBot, paths: Paths) -> Iterator[Application]:
    made = _application(qapp, paths)
    yield made
    made.shut_down()


def _application(qapp: QApplication, paths: Paths) -> Application:
    instance = Instance(paths.data)
    assert instance.claim() is Claim.FIRST
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    return Application(qapp, paths, instance)


def _fault(application: Application) -> FaultPage:
    (page,) = application.window.findChildren(FaultPage)
    return page


def _words(page: FaultPage) -> str:
    return " ".join(label.text() for label in page.findChildren(QLabel))


@pytest.mark.slow
def test_a_newer_database_is_refused_in_a_sentence(qtbot: QtBot, paths: Paths, application: Application) -> None:
    with sqlite3.connect(paths.database) as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    application.window.show()
    application.build()
    qtbot.waitUntil(lambda: bool(application.window.findChildren(FaultPage)), timeout=20000)
    page = _fault(application)
    assert "999" in _words(page) or "newer" in _words(page)
    assert page.details == ""
    assert [b.text() for b in page.buttons] == ["Try again", "Open the data folder", "Quit"]
    paths.database.unlink()
    page.buttons[0].click()
    qtbot.waitUntil(lambda: application.window.page(application.window.current) is not None, timeout=20000)
    assert not application.window.findChildren(FaultPage) or not page.isVisible()


def test_a_bug_at_start_is_a_page_with_details(
    qtbot: QtBot, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    import app.bootstrap

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("what was typed")

    monkeypatch.setattr(app.bootstrap, "build", fail)
    application.window.show()
    application.build()
    qtbot.waitUntil(lambda: bool(application.window.findChildren(FaultPage)), timeout=20000)
    details = _fault(application).details
    assert "ZeroDivisionError" in details
    assert "what was typed" not in details


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="needs a user who can be refused")
def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(PermissionError):
        claim(resolve(closed), Instance(closed))


@pytest.mark.native
@pytest.mark.slow
def test_from_the_first_start_to_an_answer(qtbot: QtBot, application: Application, paths: Paths) -> None:
    Settings(paths.settings).update(temperature=0.0, max_tokens=48)  # the same answer every time, and a short one
    window = application.window
    window.show()
    application.build()
    qtbot.waitUntil(lambda: window.page("welcome") is not None, timeout=30000)
    welcome = window.page("welcome")
    assert welcome is not None
    start = next(b for b in welcome.findChildren(QPushButton) if b.text() == "Start now")
    qtbot.waitUntil(start.isEnabled, timeout=30000)
    start.click()
    assert window.current == "chat"
    page = window.page("chat")
    assert isinstance(page, ChatPage)
    services = application.services
    assert services is not None
    qtbot.waitUntil(lambda: isinstance(services.models.loaded().state, Ready), timeout=120000)
    page.composer.set_draft("Say hello.")
    assert application.bridge is not None
    with qtbot.waitSignal(application.bridge.answer_finished, timeout=120000) as caught:
        page.composer.send()
    (event,) = caught.args or []
    assert event.message.status == "complete"
    assert event.message.text.strip()


@pytest.mark.slow
def test_time_is_what_the_log_line_says(tmp_path: Path) -> None:
    """The bench reads the line that the window writes; both must agree on its form."""
    before = time.time()
    with running.window(tmp_path) as process:
        moment = running.usable_at(tmp_path, process)
    assert before < moment < time.time()
