"""The whole way in the window: the real house here, a provider's double in a process of its own there."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QWidget
from pytestqt.qtbot import QtBot

from app.bootstrap import Product, build
from app.chat.records import Message, MessageStatus
from app.gate.label import GateMode
from app.gate.records import Provider
from app.paths import resolve
from tests.cloud_double import CloudDouble
from tests.ui.conftest import Told
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.models.ledger_table import Column
from ui.pages.chat import ChatPage
from ui.pages.gate.ledger import LedgerView
from ui.pages.gate.overview import OverviewView
from ui.pages.gate.page import GatePage
from ui.theme import ThemeStore

STARTER = Path(sys.prefix) / "share" / "gatehouse" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"
MAIL = "anna.novak@post.example"
LONG = 90_000
BOTH = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier

pytestmark = [
    pytest.mark.native,
    pytest.mark.slow,
    pytest.mark.skipif(not STARTER.exists(), reason="the starter model comes with the set-up"),
]


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    built = build(resolve(tmp_path / "data"), exclusive=True)
    built.services.settings.update(max_tokens=16, n_ctx=2048)
    built.begin()
    yield built
    built.close()


@pytest.fixture
def desk(product: Product, themes: ThemeStore, tmp_path: Path) -> Iterator[Desk]:
    bridge = Bridge(product.core, product.services.bus)
    yield Desk(product.services, bridge, themes, Icons(themes), Told(), tmp_path, lambda _page: None)
    bridge.close()


def test_an_answer_is_asked_of_the_cloud_and_comes_back_with_the_names(
    qtbot: QtBot, product: Product, desk: Desk
) -> None:
    page = _shown(qtbot, ChatPage(desk))
    assert isinstance(page, ChatPage)
    gate = product.services.gate
    with CloudDouble() as cloud:
        cloud.misbehave(reply="Dear [EMAIL_1], thank you.")
        priced = Provider("", "Nimbus", cloud.base_url, "big", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)
        product.run(gate.save_provider(priced))
        page.send(f"Write to {MAIL}, please.")
        local = _answered(qtbot, page, "")
        page.gate.set_mode(GateMode.ASK)
        qtbot.waitUntil(lambda: not page.gate.setting.shut)
        QTest.keyClick(page.composer.text, Qt.Key.Key_Return, BOTH)
        shown = _seen(qtbot, page)
        assert not cloud.answers_asked(), "looking sends nothing"

        page.gate.sheet.send.click()
        answer = _answered(qtbot, page, local.id)
        assert answer.text.strip() == f"Dear {MAIL}, thank you."
        assert answer.stats is not None
        assert (answer.stats.route, answer.stats.provider) == ("cloud", "Nimbus")
        assert answer.branch_count == 2
        assert cloud.answers_asked() == [json.loads(shown)]
    _look_at_the_ledger(qtbot, desk)


def _shown(qtbot: QtBot, widget: QWidget) -> QWidget:
    qtbot.addWidget(widget)
    widget.resize(1200, 760)
    widget.show()
    return widget


def _answered(qtbot: QtBot, page: ChatPage, before: str) -> Message:
    """The last answer, once it is whole and not the one before."""

    def whole() -> bool:
        last = page.transcript.messages[-1:]
        return bool(last) and last[0].id != before and last[0].status is MessageStatus.COMPLETE

    qtbot.waitUntil(whole, timeout=LONG)
    return page.transcript.messages[-1]


def _seen(qtbot: QtBot, page: ChatPage) -> bytes:
    """What the sheet shows is checked, and the bytes that would leave."""
    sheet = page.gate.sheet
    qtbot.waitUntil(lambda: sheet.preview is not None or bool(sheet.trouble.sentence), timeout=LONG)
    assert not sheet.trouble.sentence, sheet.trouble.sentence
    assert sheet.preview is not None
    assert MAIL in sheet.left.toPlainText()
    assert "[EMAIL_1]" in sheet.right.toPlainText()
    assert MAIL not in sheet.right.toPlainText()
    assert MAIL.encode() not in sheet.preview.body
    return sheet.preview.body


def _look_at_the_ledger(qtbot: QtBot, desk: Desk) -> None:
    page = _shown(qtbot, GatePage(desk))
    assert isinstance(page, GatePage)
    overview = page.sections["map"]
    assert isinstance(overview, OverviewView)
    qtbot.waitUntil(lambda: overview.count.text().endswith("left this machine"), timeout=LONG)
    assert not overview.count.text().startswith("0 ")
    page.show_section("ledger")
    ledger = page.sections["ledger"]
    assert isinstance(ledger, LedgerView)
    qtbot.waitUntil(lambda: ledger.view.model().rowCount() == 1, timeout=LONG)
    model = ledger.view.model()
    assert model.index(0, Column.WHOM).data() == "Nimbus · big"
    assert model.index(0, Column.OUTCOME).data() == "Complete"
    ledger.verify_button.click()
    qtbot.waitUntil(lambda: ledger.verify_button.isEnabled(), timeout=LONG)
    assert ledger.verdict is not None
    assert ledger.verdict.intact
