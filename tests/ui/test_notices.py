"""Notices: an action runs once, the same sentence is not piled up, and they keep clear of the foot."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from ui.desk import Action
from ui.icons import Icons
from ui.notices import Notice, Notices
from ui.theme import ThemeStore

FOOT = 90


@pytest.fixture
def area(qtbot: QtBot) -> QWidget:
    made = QWidget()
    qtbot.addWidget(made)
    made.resize(900, 600)
    made.show()
    return made


@pytest.fixture
def notices(area: QWidget, themes: ThemeStore) -> Notices:
    return Notices(area, themes, Icons(themes), lambda: FOOT)


def shown(area: QWidget) -> list[Notice]:
    """From the top down, which is from the oldest to the newest."""
    return sorted((n for n in area.findChildren(Notice) if n.isVisible()), key=lambda n: n.y())


def test_an_action_runs_and_the_notice_goes(qtbot: QtBot, area: QWidget, notices: Notices) -> None:
    ran: list[str] = []
    notices.show("info", "Deleted.", action=Action("Undo", lambda: ran.append("undo")))
    (undo,) = area.findChildren(QPushButton)
    undo.click()
    assert ran == ["undo"]
    qtbot.waitUntil(lambda: not shown(area))


def test_the_same_sentence_is_shown_once(area: QWidget, notices: Notices) -> None:
    notices.show("warning", "The disk is full.")
    notices.show("warning", "The disk is full.")
    notices.show("info", "Something else.")
    assert [notice.sentence for notice in shown(area)] == ["The disk is full.", "Something else."]


def test_only_the_newest_few_are_kept(area: QWidget, notices: Notices) -> None:
    for place in range(6):
        notices.show("info", f"Number {place}.")
    assert [notice.sentence for notice in shown(area)] == ["Number 3.", "Number 4.", "Number 5."]


def test_they_are_stacked_inside_the_area_above_its_foot(area: QWidget, notices: Notices) -> None:
    notices.show("error", "The worker ended. " * 8, "Details are in the log. " * 6)
    notices.show("info", "Short.")
    boxes = [notice.geometry() for notice in shown(area)]
    assert all(area.rect().contains(box) for box in boxes)
    assert all(box.bottom() <= area.height() - FOOT for box in boxes)
    assert not boxes[0].intersects(boxes[1])


def test_they_follow_a_resize(area: QWidget, notices: Notices) -> None:
    notices.show("info", "Short.")
    area.resize(500, 400)
    (notice,) = shown(area)
    assert area.rect().contains(notice.geometry())


def test_taking_back_runs_the_newest_offer(area: QWidget, notices: Notices) -> None:
    done: list[str] = []
    notices.show("info", "One was deleted.", action=Action("Undo", lambda: done.append("one")))
    notices.show("info", "Two was deleted.", action=Action("Undo", lambda: done.append("two")))
    notices.show("success", "Copied.")
    assert notices.take_back()
    assert notices.take_back()
    assert not notices.take_back()
    assert done == ["two", "one"]
