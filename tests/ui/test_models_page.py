"""The Models page with doubles: the table, the plan, misfits, faults, loading and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.models.records import LoadedModel
from engine.worker.spec import Loading, Ready
from tests.ui.conftest import House
from ui.models.model_table import Column
from ui.models.rows import Filters, matches, row_of_card
from ui.pages.models.context import nearest, stops
from ui.pages.models.page import ModelsPage
from ui.screenshots import sample


@pytest.fixture
def page(qtbot: QtBot, house: House) -> ModelsPage:
    made = ModelsPage(house.desk)
    qtbot.addWidget(made)
    made.resize(1208, 768)
    made.show()
    made.enter()
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return made


def names(page: ModelsPage) -> list[str]:
    model = page.lists.view.model()
    return [model.index(row, Column.NAME).data() for row in range(model.rowCount())]


def settle(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    """Until the plan of the chosen context arrived."""
    qtbot.waitUntil(lambda: not page.detail.planning and house.desk.bridge.idle)


def shown(page: ModelsPage) -> list[str]:
    return [b.text() for b in page.detail.findChildren(QPushButton) if not b.isHidden() and b.isVisibleTo(page.detail)]


def test_all_models_are_listed_with_their_facts(page: ModelsPage) -> None:
    assert set(names(page)) == {card.name for card in sample.MODELS}
    row = names(page).index(sample.MOE.name)
    texts = [page.lists.view.model().index(row, column).data() for column in Column]
    assert texts[Column.KIND] == "MoE 8 of 128"
    assert texts[Column.CONTEXT] == "256k"
    assert texts[Column.QUANTIZATION] == "Q4_K_M"


def test_sizes_sort_by_number(page: ModelsPage) -> None:
    page.lists.view.sortByColumn(Column.SIZE, Qt.SortOrder.DescendingOrder)
    by_size = sorted(sample.MODELS, key=lambda card: -card.size_bytes)
    assert names(page) == [card.name for card in by_size]


def test_the_filter_takes_every_word(qtbot: QtBot, page: ModelsPage) -> None:
    qtbot.keyClicks(page.lists.filters.field, "qwen moe")
    assert names(page) == [sample.MOE.name]
    page.lists.filters.field.clear()
    qtbot.keyClicks(page.lists.filters.field, "nothing like it")
    assert names(page) == []
    assert page.lists.view.isHidden()


@pytest.mark.parametrize(("words", "found"), [("q4_k_m", True), ("apache", True), ("dense", False), ("", True)])
def test_matches(words: str, found: bool) -> None:
    assert matches(row_of_card(sample.MOE), Filters(words=tuple(words.split()))) is found


def test_a_context_that_does_not_fit_offers_one_that_does(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    house.models.become(sample.UNLOADED)
    page.select(sample.MOE.id)
    page.detail.set_context(131072)
    settle(qtbot, house, page)
    assert not page.detail.load_button.isEnabled()
    (offer,) = [b for b in page.detail.findChildren(QPushButton) if b.text().startswith("Use ")]
    words = offer.text()
    offer.click()
    settle(qtbot, house, page)
    assert page.detail.load_button.isEnabled()
    page.detail.load_button.click()
    qtbot.waitUntil(lambda: house.models.loaded().model_id == sample.MOE.id)
    plan = house.models.loaded().plan
    assert plan is not None
    assert f"{plan.n_ctx:,}" in words


def test_a_damaged_file_says_so_and_cannot_be_loaded(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    page.select(sample.BROKEN.id)
    settle(qtbot, house, page)
    assert not page.detail.load_button.isEnabled()
    assert sample.BROKEN.fault in page.detail.trouble


def test_loading_shows_progress_and_can_be_cancelled(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    page.select(sample.MOE.id)
    house.models.become(LoadedModel(sample.MOE.id, Loading(0.42), sample.plan(sample.MOE), None))
    qtbot.waitUntil(lambda: "Cancel" in shown(page))
    assert page.detail.progress_ratio == pytest.approx(0.42)
    page.detail.unload_button.click()
    qtbot.waitUntil(lambda: house.models.loaded().state is None)
    qtbot.waitUntil(lambda: "Load" in shown(page))


@pytest.mark.parametrize(("width", "given_up"), [(728, 8), (1108, 5), (1700, 1)])
def test_columns_give_way_to_the_name(page: ModelsPage, width: int, given_up: int) -> None:
    page.resize(width, 560)
    kept = [column for column in Column if not page.lists.view.isColumnHidden(column)]
    assert len(Column) - len(kept) == given_up
    assert sum(page.lists.view.columnWidth(column) for column in kept) <= page.lists.view.viewport().width()
    assert page.lists.view.columnWidth(Column.NAME) > 12 * page.lists.view.fontMetrics().averageCharWidth()


def test_a_second_enter_on_load_does_not_reach_remove(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    house.models.become(sample.UNLOADED)
    page.select(sample.MOE.id)
    settle(qtbot, house, page)
    page.detail.load_button.setFocus()
    page.detail.wait_for(sample.MOE.id)
    assert not page.detail.load_button.isEnabled()
    assert page.focusWidget() is page.detail


def test_a_failure_is_told_with_its_evidence(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    page.select(sample.MOE.id)
    house.models.become(sample.FAILED)
    qtbot.waitUntil(lambda: "ran out of memory" in page.detail.trouble)
    assert "Details" in shown(page)


def test_removing_can_be_undone(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    card = sample.MODELS[5]
    page.select(card.id)
    page.detail.remove_button.click()
    qtbot.waitUntil(lambda: card.name not in names(page))
    _, sentence, _, undo = house.told.notices[-1]
    assert card.name in sentence
    assert undo is not None
    undo.run()
    qtbot.waitUntil(lambda: card.name in names(page))


def test_the_built_in_model_cannot_be_removed(page: ModelsPage) -> None:
    page.select(sample.SMALL.id)
    assert "Remove" not in shown(page)


def test_a_file_that_is_no_model_is_refused_in_a_sentence(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    page.add(Path("/tmp/letter.gguf"))
    qtbot.waitUntil(lambda: bool(house.told.notices))
    assert "letter.gguf is not a GGUF model" in house.told.sentences[0]


def test_a_dropped_model_is_added(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    card = sample.MODELS[5]
    house.models.cards.remove(card)
    page.refresh()
    qtbot.waitUntil(lambda: card.name not in names(page))
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(card.path)), QUrl.fromLocalFile("/tmp/notes.txt")])
    no_button, no_key = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    page.dropEvent(QDropEvent(QPointF(9, 9), Qt.DropAction.CopyAction, data, no_button, no_key))
    qtbot.waitUntil(lambda: card.name in names(page))
    assert house.told.sentences == [f"Added {card.name}."]


def test_commands_load_what_can_be_loaded(qtbot: QtBot, house: House, page: ModelsPage) -> None:
    commands = {command.title: command for command in page.commands()}
    assert f"Load {sample.BROKEN.name}" not in commands
    commands[f"Load {sample.SMALL.name}"].run()
    qtbot.waitUntil(lambda: house.models.loaded().model_id == sample.SMALL.id)
    assert isinstance(house.models.loaded().state, Ready)


@pytest.mark.parametrize("trained", [512, 2048, 8192, 40960, 131072, None])
def test_stops_grow_and_end_at_what_was_trained(trained: int | None) -> None:
    found = stops(trained)
    sizes = [stop for stop in found if stop is not None]
    assert found[0] is None
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == (trained or 8192)


def test_nearest_is_not_above_the_wish() -> None:
    found = stops(32768)
    assert found[nearest(found, 20000)] == 16384
    assert found[nearest(found, None)] is None
    assert found[nearest(found, 100)] == 1024
