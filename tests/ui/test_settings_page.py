"""Choices on the Set-up page are stored the moment they are made."""

from __future__ import annotations

from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox
from pytestqt.qtbot import QtBot

from app.settings import Settings
from tests.ui.conftest import House
from ui.pages.settings import SettingsPage
from ui.widgets.growing_edit import GrowingEdit


def test_the_system_prompt_of_new_chats_is_kept_when_typing_pauses(qtbot: QtBot, house: House) -> None:
    page = SettingsPage(house.desk)
    qtbot.addWidget(page)
    page.show()
    field = page.findChild(GrowingEdit)
    assert isinstance(field, GrowingEdit)
    assert field.toPlainText() == house.desk.services.settings.values.system_prompt

    field.selectAll()
    QTest.keyClicks(field, "Answer in rhymes. ")

    qtbot.waitUntil(lambda: house.desk.services.settings.values.system_prompt == "Answer in rhymes.")
    path = house.desk.data_folder / "settings.json"
    qtbot.waitUntil(path.exists)
    assert Settings(path).values.system_prompt == "Answer in rhymes."


def test_how_much_is_kept_of_chats_is_stored_when_chosen(qtbot: QtBot, house: House) -> None:
    page = SettingsPage(house.desk)
    qtbot.addWidget(page)
    budget = next(box for box in page.findChildren(QComboBox) if box.accessibleName() == "Memory of chats")
    settings = house.desk.services.settings
    assert budget.currentData() == settings.values.kept_states_budget_bytes
    budget.setCurrentIndex(budget.findText("Nothing"))
    assert settings.values.kept_states_budget_bytes == 0
