"""The context menu of a message: its selection, the message as a whole, and the addresses in it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, Qt, QUrl
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QMenu

from app.chat.records import MessageStatus

if TYPE_CHECKING:
    from ui.widgets.message import MessageView

OPENABLE = ("http", "https", "mailto")
"""Kinds of addresses that the system may open."""
UNFINISHED = (MessageStatus.PENDING, MessageStatus.STREAMING)
_MOST_LINKS = 12
_MOST_LETTERS = 60


def menu_of(view: MessageView, *, can_ask: bool) -> QMenu:
    """To be popped up; it goes when it closes."""
    menu = QMenu(view)
    menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    if view.body.selected_text():
        copy = menu.addAction(_tr("Copy"), view.body.copy)
        copy.setShortcut(QKeySequence(QKeySequence.StandardKey.Copy))
    menu.addAction(_tr("Copy message"), view.copy)
    every = menu.addAction(_tr("Select all"), view.body.select_all)
    every.setShortcut(QKeySequence(QKeySequence.StandardKey.SelectAll))
    menu.addSeparator()
    if view.own:
        menu.addAction(_tr("Edit message"), view.begin_edit)
    elif view.message.status not in UNFINISHED:
        menu.addAction(_tr("Write this answer again"), lambda: view.retried.emit(view.message.id))
        if can_ask:
            menu.addAction(_tr("Ask the cloud…"), lambda: view.cloud_wanted.emit(view.message.id))
    links = [address for address in view.body.links() if QUrl(address).scheme() in OPENABLE]
    if links:
        menu.addSeparator()
    for address in links[:_MOST_LINKS]:
        shown = address if len(address) <= _MOST_LETTERS else address[: _MOST_LETTERS - 3] + "…"
        words = _tr("Open %1").replace("%1", shown.replace("&", "&&"))
        menu.addAction(words, partial(view.open_link, address))
    return menu


def _tr(text: str) -> str:
    return QCoreApplication.translate("MessageView", text)
