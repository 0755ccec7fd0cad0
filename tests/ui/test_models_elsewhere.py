"""The Models page on what is not here yet: catalogue, search, plans ahead, the queue; and plans made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QPushButton, QSlider, QSpinBox, QWidget
from pytestqt.qtbot import QtBot

from app.models.fitness import Fitness
from engine.errors import HubError
from engine.fit.plan import Band, Plan, Wish
from engine.worker.spec import Failed
from tests.ui.conftest import House
from ui.models.model_table import Column
from ui.models.rows import Filters, matches, row_of_offer
from ui.pages.models.page import ModelsPage
from ui.pages.welcome import WelcomePage
from ui.screenshots import sample, sample_hub
from ui.widgets.heat_map import summary
from ui.widgets.speed_view import SpeedView

OFFLINE = HubError("unreachable", "huggingface.co cannot be reached.", "Check the network.")
REPO = "unsloth/Qwen3-30B-A3B-Instruct-2507-GGUF"

Settle = Callable[[], None]


@pytest.fixture
def page(qtbot: QtBot, house: House) -> ModelsPage:
    made = ModelsPage(house.desk)
    qtbot.addWidget(made)
    made.resize(1208, 768)
    made.show()
    made.enter()
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    return made


@pytest.fixture
def settle(qtbot: QtBot, house: House, page: ModelsPage) -> Settle:
    def wait() -> None:
        panels = (page.detail.plan_panel, page.offer.plan_panel)
        quiet = lambda: house.desk.bridge.idle and not any(panel.planning for panel in panels)  # noqa: E731
        qtbot.waitUntil(quiet, timeout=30_000)  # the catalogue is planned for, on a machine that does much else

    return wait


def names(page: ModelsPage) -> list[str]:
    model = page.lists.view.model()
    return [model.index(row, Column.NAME).data() for row in range(model.rowCount())]


def click(inside: QWidget, words: str) -> None:
    (found,) = [b for b in inside.findChildren(QPushButton) if b.text() == words and b.isVisible()]
    found.click()


def search(page: ModelsPage, words: str) -> None:
    page.go("hub")
    page.lists.search.field.setText(words)
    page.lists.search.button.click()


# lists and filters


@pytest.mark.slow
def test_the_catalogue_is_judged_for_this_machine_without_asking_anybody(
    house: House, page: ModelsPage, settle: Settle
) -> None:
    page.go("catalogue")
    settle()
    assert len(names(page)) == len(sample_hub.catalogue())
    page.select("deepseek-r1")
    assert page.lists.view.currentIndex().siblingAtColumn(Column.FIT).data() == "Too large"
    assert house.hub.asked == []


@pytest.mark.parametrize(
    ("filters", "seen", "unseen"),
    [
        (Filters(task="code"), "qwen3-coder-30b-a3b", "gemma-3-1b"),
        (Filters(kind="moe"), "qwen3-30b-a3b-2507", "qwen3-8b"),
        (Filters(size=0), "qwen3-4b-instruct-2507", "qwen3-30b-a3b-2507"),
        (Filters(size=3), "llama-3.3-70b", "qwen3-8b"),
        (Filters(licence="free"), "qwen3-8b", "llama-3.3-70b"),
        (Filters(fit="runs"), "qwen3-8b", "deepseek-r1"),
        (Filters(fit="not"), "deepseek-r1", "qwen3-8b"),
        (Filters(words=("alibaba", "30b")), "qwen3-30b-a3b-2507", "gemma-3-1b"),
    ],
)
def test_filters(filters: Filters, seen: str, unseen: str) -> None:
    rows = {offer.id: row_of_offer(offer) for offer in sample_hub.catalogue()}
    assert matches(rows[seen], filters)
    assert not matches(rows[unseen], filters)


def test_unknown_fit_passes_no_filter_of_fit() -> None:
    row = replace(row_of_offer(sample_hub.catalogue()[0]), fitness=Fitness("unknown", ""))
    assert not matches(row, Filters(fit="runs"))
    assert not matches(row, Filters(fit="not"))


def test_filters_that_leave_nothing_can_be_taken_back(qtbot: QtBot, page: ModelsPage, settle: Settle) -> None:
    page.lists.filters.size_box.setCurrentIndex(4)
    assert names(page) == []
    assert page.lists.nothing.sentence == "No model passes these filters."
    click(page.lists.nothing, "Show all")
    assert len(names(page)) == len(sample.MODELS)


# the hub


def test_nothing_is_asked_before_search_is_pressed(house: House, page: ModelsPage, settle: Settle) -> None:
    page.go("hub")
    page.lists.search.field.setText("qwen3")
    settle()
    assert house.hub.asked == []
    assert page.lists.nothing.sentence == "Nothing has been asked yet."


def test_results_keep_the_hubs_order_and_get_their_sizes_when_chosen(
    house: House, page: ModelsPage, settle: Settle
) -> None:
    search(page, "qwen3")
    settle()
    assert names(page) == [offer.name for offer in sample_hub.found()]
    choice = page.offer.choice
    assert choice is not None
    assert choice.size_bytes is not None
    assert "17.3" in page.lists.view.currentIndex().siblingAtColumn(Column.SIZE).data()


def test_a_hub_out_of_reach_is_said_with_a_way_on(house: House, page: ModelsPage, settle: Settle) -> None:
    house.hub.trouble = OFFLINE
    search(page, "qwen3")
    settle()
    assert page.lists.nothing.sentence == OFFLINE.sentence
    house.hub.trouble = None
    click(page.lists.nothing, "Try again")
    settle()
    assert len(names(page)) == len(sample_hub.found())


def test_no_result_names_the_words(page: ModelsPage, settle: Settle) -> None:
    search(page, "zzz")
    settle()
    assert "“zzz”" in page.lists.nothing.sentence


def test_size_and_task_are_asked_of_the_hub(house: House, page: ModelsPage, settle: Settle) -> None:
    page.go("hub")
    page.lists.filters.parameters.setCurrentIndex(2)
    page.lists.filters.hub_task.setCurrentIndex(1)
    search(page, "qwen3")
    settle()
    (query,) = house.hub.asked
    assert (query.least_parameters, query.most_parameters) == (4_000_000_000, 10_000_000_000)
    assert query.task == "text-generation"


# the plan before the download


def test_a_plan_is_shown_before_the_download_and_follows_the_knobs(
    house: House, page: ModelsPage, settle: Settle
) -> None:
    search(page, "2507")
    settle()
    page.offer.plan_button.click()
    settle()
    panel = page.offer.plan_panel
    assert panel.isVisible()
    first = panel.plan
    assert first is not None
    panel.knobs.experts.set_value(48)
    settle()
    assert panel.plan is not None
    assert len(panel.plan.experts_in_ram) == 48
    assert panel.plan.devices[0].weights_bytes < first.devices[0].weights_bytes
    assert house.downloads.items == {}


def test_a_plan_that_cannot_be_had_says_why(house: House, page: ModelsPage, settle: Settle) -> None:
    search(page, "2507")
    settle()
    house.hub.plan_trouble = HubError("header_too_long", "The header does not end within 64 MB.")
    page.offer.plan_button.click()
    settle()
    assert page.offer.trouble == "The header does not end within 64 MB."
    house.hub.plan_trouble = None
    click(page.offer, "Try again")
    settle()
    assert page.offer.plan is not None
    assert page.offer.trouble == ""


def test_another_quantization_is_another_plan(house: House, page: ModelsPage, settle: Settle) -> None:
    search(page, "2507")
    settle()
    page.offer.plan_button.click()
    settle()
    page.offer.choices.setCurrentIndex(0)
    settle()
    assert page.offer.plan is None
    assert not page.offer.plan_panel.isVisible()
    assert page.offer.plan_button.isVisible()


def test_a_gated_model_asks_for_a_token(house: House, page: ModelsPage, settle: Settle) -> None:
    search(page, "Medical")
    settle()
    house.hub.trouble = HubError("gated", "It is given out only to those who agreed to its terms.")
    page.offer.download_button.click()
    settle()
    assert page.offer.token.isVisible()
    house.hub.trouble = None
    page.offer.token.setText("hf_abc")
    click(page.offer, "Save and try again")
    settle()
    assert house.hub.token == "hf_abc"
    assert page.offer.token.text() == ""
    assert len(house.downloads.items) == 1


# the queue


def test_a_download_is_listed_paused_cancelled_and_taken_back(house: House, page: ModelsPage, settle: Settle) -> None:
    search(page, "2507")
    settle()
    page.offer.download_button.click()
    settle()
    (download,) = house.downloads.items.values()
    assert page.downloads.isVisible()
    assert page.offer.download_button.text() == "On its way"
    row = page.downloads.rows[0]
    row.go.click()
    settle()
    assert house.downloads.items[download.id].state == "paused"
    assert page.offer.download_button.text() == "Go on with the download"
    row.go.click()
    settle()
    row.cancel.click()
    settle()
    assert not page.downloads.isVisible()
    undo = house.told.notices[-1][3]
    assert undo is not None
    undo.run()
    settle()
    assert download.id in house.downloads.items
    assert page.downloads.isVisible()


def test_the_order_is_changed_by_buttons(house: House, page: ModelsPage, settle: Settle) -> None:
    for download in sample_hub.downloads():
        house.desk.bridge.call(_become(house, download))
    settle()
    shown = [row.download.name for row in page.downloads.rows if row.download is not None]
    page.downloads.rows[1].down.click()
    settle()
    moved = [row.download.name for row in page.downloads.rows if row.download is not None]
    assert moved == [shown[0], shown[2], shown[1], shown[3]]


def _become(house: House, download: object):  # type: ignore[no-untyped-def]
    async def become() -> None:
        house.downloads.become(download)  # type: ignore[arg-type]

    return become


def test_an_arrived_model_can_be_loaded_at_once(house: House, page: ModelsPage, settle: Settle) -> None:
    card = sample.MODELS[1]
    house.models.state = sample.UNLOADED
    arrived = replace(sample_hub.downloads()[0], state="done", path=card.path)
    house.desk.bridge.call(_become(house, arrived))
    settle()
    level, sentence, _, load = house.told.notices[-1]
    assert (level, "whole and verified" in sentence) == ("success", True)
    assert load is not None
    load.run()
    settle()
    assert house.models.loaded().model_id == card.id


# plans by hand


def test_a_pinned_plan_is_what_the_model_is_shown_with_again(house: House, page: ModelsPage, settle: Settle) -> None:
    house.models.become(sample.UNLOADED)
    page.select(sample.MOE.id)
    page.detail.plan_panel.knobs.experts.set_value(44)
    settle()
    page.detail.pin_button.click()
    settle()
    kept = house.models.pinned(sample.MOE.id)
    assert kept is not None
    assert (kept.experts_in_ram, kept.n_ctx) == (44, 16384)
    page.select(sample.SMALL.id)
    page.select(sample.MOE.id)
    settle()
    assert page.detail.plan_panel.knobs.experts.value == 44
    assert page.detail.pin_button.isChecked()
    page.detail.pin_button.click()
    settle()
    assert house.models.pinned(sample.MOE.id) is None


def test_the_plan_is_copied_as_a_command(house: House, page: ModelsPage, settle: Settle) -> None:
    page.select(sample.MOE.id)
    settle()
    page.detail.copy_button.click()
    settle()
    assert QGuiApplication.clipboard().text().startswith("llama-server --model ")


def test_predicted_stands_beside_measured(page: ModelsPage, settle: Settle) -> None:
    page.select(sample.MOE.id)
    settle()
    shown = page.detail.plan_panel.decode
    assert shown.isVisible()
    assert (shown.predicted_words, shown.measured_words) == (
        "predicted 20–27\u00a0tok/s",
        "measured 23\u00a0tok/s (12 answers)",
    )


def test_out_of_memory_offers_ways_and_takes_the_chosen_one(house: House, page: ModelsPage, settle: Settle) -> None:
    page.select(sample.MOE.id)
    house.models.become(sample.FAILED)
    settle()
    assert isinstance(sample.FAILED.state, Failed)
    ways = [b for b in page.detail.findChildren(QPushButton) if b.text() == "Load this way" and b.isVisible()]
    assert len(ways) == len(sample.FAILED.state.concessions) >= 2
    ways[1].click()
    settle()
    plan = house.models.loaded().plan
    assert isinstance(plan, Plan)
    assert sample.FAILED.state.concessions[1].wish(Wish()) != Wish()


def test_experts_seen_are_drawn_and_told(house: House, page: ModelsPage, settle: Settle) -> None:
    ready = replace(sample.READY, model_id=sample.MOE.id, plan=sample.plan(sample.MOE))
    house.models.become(ready)
    page.select(sample.MOE.id)
    settle()
    assert not page.detail.experts.map.isVisible()
    page.detail.experts.watch.click()
    settle()
    assert page.detail.experts.map.isVisible()
    words = summary(sample.routed())
    assert page.detail.experts.map.accessibleDescription() == words
    assert "192 of 6,144 experts were never used" in words


def test_a_model_without_experts_has_no_knobs_for_them(page: ModelsPage, settle: Settle) -> None:
    page.select(sample.FOUR_B.id)
    settle()
    knobs = page.detail.plan_panel.knobs
    assert not knobs.experts.isVisible()
    assert not knobs.used.isVisible()
    assert not page.detail.experts.isVisible()


def test_what_belongs_to_another_program_is_not_deleted_here(page: ModelsPage, settle: Settle) -> None:
    page.select(sample.MODELS[3].id)
    settle()
    assert sample.MODELS[3].holder == "LM Studio"
    assert not page.detail.remove_button.isVisible()


def test_everything_has_a_name(house: House, page: ModelsPage, settle: Settle) -> None:
    house.desk.bridge.call(_become(house, sample_hub.downloads()[1]))
    search(page, "2507")
    settle()
    page.offer.plan_button.click()
    settle()
    controls = [
        child
        for kind in (QAbstractButton, QComboBox, QLineEdit, QSlider, QSpinBox)
        for child in page.findChildren(kind)
        if not isinstance(child.parent(), QLineEdit)  # its own little button
    ]
    assert len(controls) > 40
    unnamed = [c for c in controls if not (c.accessibleName() or getattr(c, "text", str)()) and c.isVisibleTo(page)]
    assert unnamed == []


def test_a_speed_of_few_tokens_keeps_its_decimal(qtbot: QtBot, house: House) -> None:
    view = SpeedView(house.desk.themes, "Answers")
    qtbot.addWidget(view)
    view.show_speed(Band(6.4, 9.0, 14.1), 7.24, "1 answer")
    assert view.accessibleDescription() == "predicted 6.4–14 tok/s · measured 7.2 tok/s (1 answer)".replace(
        " tok", "\u00a0tok"
    )


# Welcome


def test_welcome_names_what_to_fetch_and_shows_how_far_it_is(qtbot: QtBot, house: House) -> None:
    house.models.state = sample.UNLOADED
    done: list[bool] = []
    welcome = WelcomePage(house.desk, lambda: done.append(True))
    qtbot.addWidget(welcome)
    welcome.resize(1100, 760)
    welcome.show()
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    shown = [card for card in welcome.suggested if card.isVisible()]
    assert len(shown) == 3
    first = shown[0].suggestion
    assert first is not None
    assert first.tier == "strong"
    assert "tok/s" in shown[0].facts.text()
    shown[0].button.click()
    qtbot.waitUntil(lambda: house.desk.bridge.idle)
    (download,) = house.downloads.items.values()
    assert shown[0].button.text() == "On its way"
    assert welcome.start.isEnabled()
    half = replace(download, done_bytes=download.total_bytes // 2)
    house.desk.bridge.call(_become(house, half))
    qtbot.waitUntil(lambda: shown[0].bar.value() in range(499, 502))
    house.desk.bridge.call(_become(house, replace(half, state="done", path=sample.FOUR_B.path)))
    qtbot.waitUntil(lambda: shown[0].button.text() == "Start with it")
    shown[0].button.click()
    qtbot.waitUntil(lambda: bool(done))
    qtbot.waitUntil(lambda: house.models.loaded().model_id == sample.FOUR_B.id)
