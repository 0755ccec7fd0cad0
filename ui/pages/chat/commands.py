"""What the Chat page offers to the command palette."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication

from app.gate.label import GateMode, Label
from ui import gate_words
from ui.desk import Command
from ui.shortcuts import ASK_CLOUD, COPY_ANSWER, EDIT_LAST, FIND, FIND_EVERYWHERE, GATE, NEW_CHAT, REGENERATE

if TYPE_CHECKING:
    from ui.pages.chat.page import ChatPage


def commands_of(page: ChatPage) -> Sequence[Command]:
    """What can be done now; more while a conversation is open, or an answer is being written."""
    section = _tr("Chat")
    commands = [
        Command("chat.new", _tr("New chat"), section, page.new_conversation, NEW_CHAT, "plus"),
        Command("chat.search", _tr("Search all chats"), section, page.find_everywhere, FIND_EVERYWHERE, "search"),
    ]
    if page.composer.draft.strip() or page.answers.last is not None:
        commands.append(Command("gate.ask", _tr("Ask the cloud…"), section, page.ask_cloud, ASK_CLOUD, "cloud-upload"))
    card = Command("gate.card", _tr("Gate of this conversation…"), section, page.open_gate, GATE, "lock")
    commands += [card, *_modes(page)]
    if page.answers.writing:
        commands.insert(0, Command("chat.stop", _tr("Stop writing"), section, page.answers.stop, "Esc", "circle-stop"))
    current = page.current
    if current is None:
        return commands
    pin = _tr("Unpin this conversation") if current.pinned else _tr("Pin this conversation")
    side, key = page.sidebar, current.id
    rename, delete = _tr("Rename this conversation"), _tr("Delete this conversation")
    if page.answers.last is not None:
        again, copy = _tr("Write the last answer again"), _tr("Copy the last answer")
        commands.append(
            Command("chat.regenerate", again, section, page.answers.regenerate_last, REGENERATE, "refresh-cw")
        )
        commands.append(Command("chat.copy", copy, section, page.answers.copy_last, COPY_ANSWER, "copy"))
    if page.answers.can_edit_last:
        edit = _tr("Edit my last message")
        commands.append(Command("chat.edit", edit, section, page.answers.edit_last, EDIT_LAST, "pencil"))
    return [
        *commands,
        Command("chat.find", _tr("Find in this conversation"), section, page.open_find, FIND, "search"),
        Command("chat.rename", rename, section, side.begin_rename, "F2", "pencil"),
        Command("chat.pin", pin, section, partial(side.pin_wanted.emit, key, not current.pinned), "", "pin"),
        Command("chat.prompt", _tr("System prompt…"), section, page.edit_prompt, "", "sliders-horizontal"),
        Command("chat.delete", delete, section, partial(side.delete_wanted.emit, key), "", "trash-2"),
    ]


def _modes(page: ChatPage) -> list[Command]:
    """The other modes and labels that this conversation could have."""
    section, setting = _tr("Gate of this conversation"), page.gate.setting
    modes = [
        Command(
            f"gate.mode.{mode}",
            _tr("Set to %1").replace("%1", gate_words.mode_words(mode)),
            section,
            partial(page.gate.set_mode, mode),
            "",
            gate_words.mode_icon(mode),
        )
        for mode in GateMode
        if mode is not setting.mode
    ]
    labels = [
        Command(
            f"gate.label.{tag}",
            _tr("Label as %1").replace("%1", gate_words.label_words(tag).lower()),
            section,
            partial(page.gate.set_label, tag),
            "",
            "tag",
        )
        for tag in Label
        if tag is not setting.own_label
    ]
    return modes + labels


def _tr(text: str) -> str:
    return QCoreApplication.translate("chat", text)
