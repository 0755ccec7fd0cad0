"""The Chat page on the real house: store, worker, starter model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from pytestqt.qtbot import QtBot

from app.bootstrap import Product, build
from app.chat.records import MessageStatus
from app.paths import resolve
from engine.worker.spec import Ready
from tests.ui.conftest import Told
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.pages.chat import ChatPage
from ui.theme import ThemeStore

STARTER = Path(sys.prefix) / "share" / "gatehouse" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"

pytestmark = [
    pytest.mark.native,
    pytest.mark.slow,
    pytest.mark.skipif(not STARTER.exists(), reason="the starter model comes with the set-up"),
]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    built = build(resolve(tmp_path / "data"), exclusive=True)
    built.begin()
    yield built
    built.close()


@pytest.fixture
def page(product: Product, qtbot: QtBot, themes: ThemeStore, tmp_path: Path) -> Iterator[ChatPage]:
    bridge = Bridge(product.core, product.services.bus)
    desk = Desk(product.services, bridge, themes, Icons(themes), Told(), tmp_path, lambda _page: None)
    made = ChatPage(desk)
    qtbot.addWidget(made)
    made.resize(1100, 760)
    made.show()
    yield made
    bridge.close()


def _worker(product: Product) -> psutil.Process:
    state = product.services.models.loaded().state
    assert isinstance(state, Ready)
    return psutil.Process(state.pid)


def test_a_question_is_answered_and_a_killed_worker_loses_nothing(
    page: ChatPage, product: Product, qtbot: QtBot
) -> None:
    page.send("Name three colours.")
    qtbot.waitUntil(lambda: len(page.transcript.messages) == 2, timeout=20_000)
    qtbot.waitUntil(lambda: page.transcript.messages[-1].status is MessageStatus.COMPLETE, timeout=60_000)
    answer = page.transcript.messages[-1]
    assert answer.text
    assert answer.stats is not None
    assert answer.stats.completion_tokens

    page.send("Write a very long story about a lighthouse, with every detail you can think of.")
    qtbot.waitUntil(lambda: bool(len(page.transcript.messages) == 4 and page.transcript.text_of_last()), timeout=30_000)
    _worker(product).kill()
    qtbot.waitUntil(lambda: page.transcript.messages[-1].status is MessageStatus.INTERRUPTED, timeout=20_000)
    assert page.transcript.messages[-1].text
    assert page.transcript.messages[-1].error

    page.send("Name one colour.")
    qtbot.waitUntil(lambda: len(page.transcript.messages) == 6, timeout=20_000)
    qtbot.waitUntil(lambda: page.transcript.messages[-1].status is MessageStatus.COMPLETE, timeout=60_000)
    assert page.transcript.messages[-1].text
