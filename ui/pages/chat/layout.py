"""Where the parts of the Chat page stand: sidebar at the left; header, messages and composer at the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import QStackedWidget, QVBoxLayout, QWidget

from ui.desk import Desk
from ui.pages.chat.sidebar import WIDTH
from ui.theme import GRID, TEXT_WIDTH, grown
from ui.widgets.kept_splitter import KeptSplitter
from ui.widgets.message_list import SIDE
from ui.widgets.parts import row

if TYPE_CHECKING:
    from ui.pages.chat.page import ChatPage


def lay_out(page: ChatPage, desk: Desk) -> QStackedWidget:
    """Lay the page out; returns the pile of its empty state and its transcript."""
    pile = QStackedWidget()
    pile.addWidget(page.empty)
    pile.addWidget(page.transcript)
    right = QWidget()
    right.setAutoFillBackground(True)
    layout = QVBoxLayout(right)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(0)
    layout.addWidget(page.header)
    layout.addWidget(page.find_bar)
    layout.addWidget(pile, 1)
    centred = row(None, _foot(page), None, spacing=0)
    centred.setStretch(1, 1000)
    layout.addLayout(centred)
    split = KeptSplitter(desk, "chat_list_px", grown(WIDTH))
    split.addWidget(page.sidebar)
    split.addWidget(right)
    split.settle()
    whole = QVBoxLayout(page)
    whole.setContentsMargins(0, 0, 0, 0)
    whole.addWidget(split)
    return pile


def _foot(page: ChatPage) -> QWidget:
    """Banner and composer, no wider than the text."""
    foot = QWidget()
    foot.setMaximumWidth(TEXT_WIDTH + 2 * SIDE)
    below = QVBoxLayout(foot)
    below.setContentsMargins(SIDE - 8, GRID, SIDE - 8, 2 * GRID)
    below.setSpacing(GRID)
    below.addWidget(page.banner)
    below.addWidget(page.composer)
    return foot
