"""The row of small buttons under a message: its versions, copy, edit or write again, ask the cloud."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QWidget

from app.chat.records import Message
from ui.icons import Icons
from ui.widgets.ink import Ink
from ui.widgets.quiet_button import QuietButton


class MessageTools:
    """Children of the message's widget; not a widget itself, since they stand beside other things of that line."""

    def __init__(
        self,
        holder: QWidget,
        ink: Ink,
        icons: Icons,
        *,
        own: bool,
        step: Callable[[int], object],
        copy: Callable[[], object],
        again: Callable[[], object],
        ask_cloud: Callable[[], object],
    ) -> None:
        """``again`` edits one's own message, and has an answer written anew; ``step`` is told how many versions on."""

        def made(name: str, icon: str, run: Callable[[], object]) -> QuietButton:
            button = QuietButton(name, ink, icons, holder, icon=icon)
            button.clicked.connect(lambda _checked=False: run())
            return button

        self._own = own
        self.earlier = made(_tr("Earlier version"), "chevron-left", lambda: step(-1))
        self.place = QuietButton(_tr("Version"), ink, icons, holder, text="1/1")
        self.place.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.later = made(_tr("Later version"), "chevron-right", lambda: step(1))
        self.copy = made(_tr("Copy message"), "copy", copy)
        words = _tr("Edit message") if own else _tr("Write this answer again")
        self.again = made(words, "pencil" if own else "refresh-cw", again)
        self.cloud = made(_tr("Ask the cloud…"), "cloud-upload", ask_cloud)
        if own:
            self.copy.set_ghost(True)
            self.again.set_ghost(True)

    @property
    def all(self) -> tuple[QuietButton, ...]:
        return (self.earlier, self.place, self.later, self.copy, self.again, self.cloud)

    @property
    def shown(self) -> list[QuietButton]:
        return [button for button in self.all if not button.isHidden()]

    @property
    def width(self) -> int:
        """Of what is shown."""
        return sum(button.width() for button in self.shown)

    def show_for(self, message: Message, *, finished: bool, can_retry: bool, can_ask: bool) -> None:
        """The buttons that make sense for a message in its state."""
        branches = message.branch_count > 1
        self.place.set_text(f"{message.branch_index + 1}/{message.branch_count}")
        self.earlier.setEnabled(message.branch_index > 0)
        self.later.setEnabled(message.branch_index < message.branch_count - 1)
        for button in (self.earlier, self.place, self.later):
            button.setVisible(branches)
        self.copy.setVisible(bool(message.text) and finished)
        self.again.setVisible(can_retry)
        self.cloud.setVisible(not self._own and finished and can_ask)

    def hide(self) -> None:
        for button in self.all:
            button.hide()

    def line_up(self, x: int, y: int) -> int:
        """Put what is shown side by side; returns where the last one ends."""
        for button in self.shown:
            button.move(x, y)
            x += button.width()
        return x

    def reveal(self, revealed: bool) -> None:
        """The pointer is over the message, or left it."""
        self.copy.reveal(revealed)
        self.again.reveal(revealed)

    def set_ink(self, ink: Ink) -> None:
        for button in self.all:
            button.set_ink(ink)


def _tr(text: str) -> str:
    return QCoreApplication.translate("MessageView", text)
