"""The bridge with a real core thread: order, merging, dropped callbacks, errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.bus import Bus
from app.events import AnswerFinished, AnswerGrew, Event, ModelsChanged, NoticeRaised
from app.lanes import CoreThread
from engine.errors import GatehouseError
from ui.bridge import Bridge
from ui.screenshots import sample_chat


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def bridge(qapp: QApplication, core: CoreThread, bus: Bus) -> Iterator[Bridge]:
    made = Bridge(core, bus)
    yield made
    made.close()


def publish(core: CoreThread, bus: Bus, *events: Event) -> None:
    async def announce() -> None:
        for event in events:
            bus.publish(event)

    core.submit(announce()).result(5)


def test_events_arrive_in_qts_thread(qtbot: QtBot, core: CoreThread, bus: Bus, bridge: Bridge) -> None:
    threads: list[threading.Thread] = []
    bridge.models_changed.connect(lambda _: threads.append(threading.current_thread()))
    with qtbot.waitSignal(bridge.models_changed):
        publish(core, bus, ModelsChanged())
    assert threads == [threading.main_thread()]


def test_growth_is_one_signal_and_keeps_its_start(qtbot: QtBot, core: CoreThread, bus: Bus, bridge: Bridge) -> None:
    seen: list[AnswerGrew] = []
    bridge.answer_grew.connect(seen.append)
    pieces = [AnswerGrew("c", "m", str(place % 10), "r", 7 + place, place) for place in range(200)]
    publish(core, bus, *pieces)
    qtbot.waitUntil(lambda: sum(len(event.text) for event in seen) == 200)
    assert len(seen) == 1
    assert seen[0].text == "0123456789" * 20
    assert (seen[0].text_start, seen[0].reasoning_start) == (7, 0)


def test_growth_comes_before_what_follows_it(qtbot: QtBot, core: CoreThread, bus: Bus, bridge: Bridge) -> None:
    order: list[str] = []
    bridge.answer_grew.connect(lambda event: order.append(event.text))
    bridge.answer_finished.connect(lambda event: order.append(event.message.id))
    with qtbot.waitSignal(bridge.answer_finished):
        publish(core, bus, AnswerGrew("c", "m4", "tail", ""), AnswerFinished(sample_chat.MESSAGES[3]))
    assert order == ["tail", "m4"]


def test_a_result_comes_back(qtbot: QtBot, bridge: Bridge) -> None:
    got: list[str] = []

    async def work() -> str:
        await asyncio.sleep(0)
        return threading.current_thread().name

    bridge.call(work, got.append)
    qtbot.waitUntil(lambda: bool(got))
    assert got == ["core"]
    assert bridge.idle


def test_an_error_of_the_environment_comes_back(qtbot: QtBot, bridge: Bridge) -> None:
    errors: list[GatehouseError] = []

    async def work() -> None:
        raise GatehouseError("disk_full", "The disk is full.")

    bridge.call(work, None, errors.append)
    qtbot.waitUntil(lambda: bool(errors))
    assert errors[0].code == "disk_full"


def test_an_error_nobody_wants_is_a_notice(qtbot: QtBot, bridge: Bridge) -> None:
    async def work() -> None:
        raise GatehouseError("disk_full", "The disk is full.", "Free some space.")

    with qtbot.waitSignal(bridge.notice_raised) as caught:
        bridge.call(work)
    assert caught.args == [NoticeRaised("error", "disk_full", "The disk is full.", "Free some space.")]


def test_a_bug_goes_to_the_crash_page(qtbot: QtBot, bridge: Bridge) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with qtbot.waitSignal(bridge.crashed) as caught:
        bridge.call(work, None, lambda _error: pytest.fail("not for the caller"))
    assert isinstance((caught.args or [None])[0], ZeroDivisionError)


def test_a_callback_whose_owner_is_gone_is_dropped(qtbot: QtBot, qapp: QApplication, bridge: Bridge) -> None:
    begun, release = threading.Event(), threading.Event()
    owner, got, later = QObject(), [], []

    async def work() -> int:
        begun.set()
        await asyncio.get_running_loop().run_in_executor(None, release.wait, 5)
        return 1

    bridge.call(work, got.append, owner=owner)
    assert begun.wait(5)
    owner.deleteLater()
    qapp.sendPostedEvents(owner)
    qapp.processEvents()
    release.set()
    qtbot.waitUntil(lambda: bridge.idle)
    bridge.call(work, later.append)
    qtbot.waitUntil(lambda: later == [1])
    assert got == []


def test_a_cancelled_call_is_silent(qtbot: QtBot, bridge: Bridge) -> None:
    got: list[object] = []

    async def work() -> None:
        await asyncio.Event().wait()

    future = bridge.call(work, got.append, got.append)
    future.cancel()
    qtbot.waitUntil(lambda: bridge.idle)
    assert got == []


def test_nothing_arrives_after_closing(
    qtbot: QtBot, qapp: QApplication, core: CoreThread, bus: Bus, bridge: Bridge
) -> None:
    with qtbot.assertNotEmitted(bridge.models_changed):
        publish(core, bus, ModelsChanged())
        bridge.close()
        publish(core, bus, ModelsChanged())
        qapp.processEvents()
