"""The Models page with everything real: a mixture of experts on a hub is planned before it is fetched, arrives, is
loaded split across a stand-in card and main memory, answers, and shows what was measured beside what was predicted.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QLocale
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.bootstrap import Product, build
from app.events import AnswerFinished
from app.paths import resolve
from engine.fit.plan import Plan
from engine.hardware.profile import DeviceKind
from engine.worker.spec import Failed, Ready
from tests.hub_double import HubDouble
from tests.made_models import STARTER, make_moe
from tests.stand_in_card import stand_in_card
from tests.ui.conftest import Told
from ui import plain_imports
from ui.bridge import Bridge
from ui.desk import Desk
from ui.icons import Icons
from ui.pages.models.page import ModelsPage
from ui.pages.models.plan_panel import PlanPanel
from ui.theme import ThemeStore

pytestmark = [pytest.mark.native, pytest.mark.slow, pytest.mark.timeout(900)]

plain_imports.restore()

_PATIENCE_MS = 240_000
_LAYERS_IN_RAM = 12
_LAYERS = 30


@pytest.fixture(scope="module")
def moe(request: pytest.FixtureRequest) -> Path:
    cache = request.config.cache
    assert cache is not None
    return make_moe(Path(cache.mkdir("made-models-5")) / "SmolLM2-4x135M-Q4_1.gguf", starter=STARTER)


@pytest.fixture
def product(tmp_path: Path, moe: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Product]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with HubDouble() as hub, stand_in_card() as endpoint:
        hub.add("maker/SmolLM2-4x135M-GGUF", {moe.name: moe.read_bytes()}, downloads=9)
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        made = build(resolve(tmp_path / "data"), exclusive=True)
        try:
            made.services.settings.update(load_last_model=False, rpc_endpoints=(endpoint,), max_tokens=48, n_ctx=1024)
            yield made
        finally:
            made.close()


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication, product: Product, tmp_path: Path) -> Iterator[ModelsPage]:
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    themes = ThemeStore(qapp, "light", shipped_fonts=True)
    bridge = Bridge(product.core, product.services.bus)
    desk = Desk(product.services, bridge, themes, Icons(themes), Told(), tmp_path, lambda _key: None)
    made = ModelsPage(desk)
    qtbot.addWidget(made)
    made.resize(1208, 768)
    made.show()
    made.enter()
    qtbot.waitUntil(lambda: bridge.idle, timeout=_PATIENCE_MS)
    yield made
    bridge.close()
    themes.deleteLater()


def _experts_on(plan: Plan, kind: DeviceKind) -> int:
    return sum(device.experts_bytes for device in plan.devices if device.kind is kind)


def test_a_remote_model_is_planned_fetched_split_and_measured(
    qtbot: QtBot, product: Product, page: ModelsPage, moe: Path
) -> None:
    before = _plan_ahead(qtbot, page)
    assert list(product.paths.models.rglob("*.gguf")) == []
    assert _experts_on(before, DeviceKind.CPU) * _LAYERS == pytest.approx(
        _LAYERS_IN_RAM * sum(device.experts_bytes for device in before.devices)
    )

    _fetch(qtbot, product, page, moe)
    plan = _plan_here(qtbot, page)
    assert [(d.name, d.weights_bytes, d.kv_bytes) for d in plan.devices] == [
        (d.name, d.weights_bytes, d.kv_bytes) for d in before.devices
    ]

    state = _load(qtbot, product, page)
    names = {name for name, what, size in state.buffers if what == "weights" and size > 0}
    assert any(name.startswith("RPC0") for name in names)
    assert any(not name.startswith("RPC0") for name in names)
    command = product.run(product.services.models.command(plan))
    assert "--rpc" in command
    assert "--override-tensor" in command

    page.detail.experts.watch.click()
    qtbot.waitUntil(lambda: page.detail.experts.watch.isChecked() and _idle(page), timeout=_PATIENCE_MS)
    _ask(qtbot, product, page)
    qtbot.waitUntil(page.detail.experts.map.isVisible, timeout=_PATIENCE_MS)
    assert "experts were never used" in page.detail.experts.map.accessibleDescription()
    shown = page.detail.plan_panel.decode
    qtbot.waitUntil(lambda: bool(shown.measured_words), timeout=_PATIENCE_MS)
    assert shown.isVisible()
    assert shown.predicted_words.startswith("predicted ")
    assert shown.measured_words.endswith("(1 answer)")


def _plan_ahead(qtbot: QtBot, page: ModelsPage) -> Plan:
    """Search, and plan the result with some experts in main memory."""
    page.go("hub")
    page.lists.search.field.setText("4x135M")
    page.lists.search.button.click()
    qtbot.waitUntil(lambda: page.offer.choice is not None, timeout=_PATIENCE_MS)
    qtbot.waitUntil(lambda: page.offer.choice.size_bytes is not None, timeout=_PATIENCE_MS)  # type: ignore[union-attr]
    page.offer.plan_button.click()
    qtbot.waitUntil(lambda: page.offer.plan is not None or bool(page.offer.trouble), timeout=_PATIENCE_MS)
    assert page.offer.trouble == ""
    return _with_experts_in_ram(qtbot, page.offer.plan_panel)


def _with_experts_in_ram(qtbot: QtBot, panel: PlanPanel) -> Plan:
    panel.knobs.experts.set_value(_LAYERS_IN_RAM)
    qtbot.waitUntil(lambda: _layers_in_ram(panel.plan) == _LAYERS_IN_RAM, timeout=_PATIENCE_MS)
    assert panel.plan is not None
    return panel.plan


def _fetch(qtbot: QtBot, product: Product, page: ModelsPage, moe: Path) -> None:
    """Download it, and make it the current row of what is here."""
    page.offer.download_button.click()
    downloads = product.services.downloads
    qtbot.waitUntil(lambda: any(d.state == "done" for d in downloads.downloads()), timeout=_PATIENCE_MS)
    page.go("here")
    page.refresh()
    qtbot.waitUntil(lambda: moe.stem in [row.key for row in page.lists.rows()], timeout=_PATIENCE_MS)
    page.select(moe.stem)


def _plan_here(qtbot: QtBot, page: ModelsPage) -> Plan:
    return _with_experts_in_ram(qtbot, page.detail.plan_panel)


def _load(qtbot: QtBot, product: Product, page: ModelsPage) -> Ready:
    page.detail.load_button.click()
    models = product.services.models
    qtbot.waitUntil(lambda: isinstance(models.loaded().state, Ready | Failed), timeout=_PATIENCE_MS)
    state = models.loaded().state
    assert isinstance(state, Ready), state
    return state


def _ask(qtbot: QtBot, product: Product, page: ModelsPage) -> None:
    heard: list[AnswerFinished] = []
    page.detail._desk.bridge.answer_finished.connect(heard.append)
    product.run(product.services.chat.send(None, "Tell me about the sea, in a few sentences."))
    qtbot.waitUntil(lambda: bool(heard), timeout=_PATIENCE_MS)
    assert heard[0].message.error == ""


def _idle(page: ModelsPage) -> bool:
    return page.detail._desk.bridge.idle


def _layers_in_ram(plan: Plan | None) -> int | None:
    return len(plan.experts_in_ram) if plan is not None else None
