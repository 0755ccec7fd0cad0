"""The documents of a conversation, as chips above what one writes: how far each is, its label, its password.

Shows and asks; attaching, reading and taking off are carried out by ``ui.pages.chat.papers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QMenu, QWidget

from app.documents.review_records import AttachedDocument, AttachmentState
from app.gate.label import Label
from ui import display
from ui.icons import Icons
from ui.theme import ThemeStore, grown
from ui.widgets.flow import Flow
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import button, label, row, set_kind, set_tone

_MOST_SHOWN: Final = 6
_NAME_PX: Final = 220
_SENTENCE_PX: Final = 360
_OF_STATE: Final[dict[AttachmentState, tuple[str, str, str]]] = {
    AttachmentState.READING: ("scan-text", "accent", "card"),
    AttachmentState.READY: ("file-text", "muted", "card"),
    AttachmentState.NEEDS_PASSWORD: ("lock", "warning", "warning"),
    AttachmentState.FAILED: ("triangle-alert", "danger", "danger"),
}
"""Icon, its tone, the chip's dress."""


class AttachmentBar(QWidget):
    """Chips in lines; many are folded behind a button. Takes no room while there is none."""

    removed = Signal(str)
    unlocked = Signal(str, str)
    """(the attachment's id, a password)"""
    opened = Signal(str)
    """The attachment's id: show the document."""
    label_chosen = Signal(str, object)
    """(the attachment's id, a ``Label``)"""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self._unfolded = False
        self.chips: dict[str, AttachmentChip] = {}
        self.more = button("", self._unfold, "quiet")
        self._flow = Flow()
        self._flow.addWidget(self.more)
        self.setLayout(self._flow)
        self.setAccessibleName(self.tr("Attached documents"))
        self.show_all(())

    def show_all(self, items: Sequence[AttachedDocument]) -> None:
        """Every document of the open conversation, in order."""
        for gone in self.chips.keys() - {item.id for item in items}:
            self._drop(gone)
        for item in items:
            self.put(item)
        self._fold()

    def put(self, item: AttachedDocument) -> None:
        """A new document, or a known one that came further."""
        chip = self.chips.get(item.id)
        if chip is None:
            chip = self.chips[item.id] = AttachmentChip(self._themes, self._icons)
            chip.removed.connect(self.removed)
            chip.unlocked.connect(self.unlocked)
            chip.opened.connect(self.opened)
            chip.label_chosen.connect(self.label_chosen)
            self._flow.removeWidget(self.more)
            self._flow.addWidget(chip)
            self._flow.addWidget(self.more)
        chip.show_item(item)
        self._fold()

    def take(self, key: str) -> None:
        """A document was taken off."""
        if key in self.chips:
            self._drop(key)
            self._fold()

    @property
    def items(self) -> list[AttachedDocument]:
        return [chip.item for chip in self.chips.values() if chip.item is not None]

    def _drop(self, key: str) -> None:
        chip = self.chips.pop(key)
        self._flow.removeWidget(chip)
        chip.hide()
        chip.deleteLater()

    def _unfold(self) -> None:
        self._unfolded = not self._unfolded
        self._fold()

    def _fold(self) -> None:
        """What failed or asks for a password is never folded away."""
        self.setVisible(bool(self.chips))
        folded = 0
        for place, chip in enumerate(self.chips.values()):
            hidden = place >= _MOST_SHOWN and not self._unfolded and not chip.wants_person
            chip.setVisible(not hidden)
            folded += hidden
        self.more.setVisible(bool(folded) or (self._unfolded and len(self.chips) > _MOST_SHOWN))
        words = self.tr("%1 more").replace("%1", display.integer(folded)) if folded else self.tr("Fewer")
        self.more.setText(words)
        self.updateGeometry()


class AttachmentChip(QFrame):
    """One document."""

    removed = Signal(str)
    unlocked = Signal(str, str)
    opened = Signal(str)
    label_chosen = Signal(str, object)

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes, self._icons = themes, icons
        self.item: AttachedDocument | None = None
        self._sign = QLabel()
        self.name = button("", self._open, "status")
        self.told = label("", themes.fonts.caption, "muted")
        self.password = QLineEdit()
        self.password.setEchoMode(QLineEdit.EchoMode.Password)
        self.password.setPlaceholderText(self.tr("Password"))
        self.password.setFixedWidth(grown(120))
        self.password.setProperty("kind", "compact")
        self.password.returnPressed.connect(self._unlock)
        self.tag = button("", self._choose_label, "status")
        self.tag.setFont(themes.fonts.caption)
        self.remove = IconButton("x", self.tr("Take off"), icons, themes, size=24)
        self.remove.clicked.connect(self._remove)
        layout = row(self._sign, self.name, self.told, self.password, self.tag, self.remove, spacing=6)
        layout.setContentsMargins(8, 2, 4, 2)
        self.setLayout(layout)
        themes.changed.connect(self._draw)

    @property
    def wants_person(self) -> bool:
        item = self.item
        return item is not None and item.state in (AttachmentState.FAILED, AttachmentState.NEEDS_PASSWORD)

    def show_item(self, item: AttachedDocument) -> None:
        """The document as it is now."""
        self.item = item
        locked = item.state is AttachmentState.NEEDS_PASSWORD
        self.name.setText(_elided(self.name, item.name, _NAME_PX))
        self.name.setEnabled(item.document_id is not None)
        opens = self.tr("Open %1").replace("%1", item.name)
        self.name.setAccessibleName(opens if item.document_id is not None else item.name)
        self.name.setToolTip(f"{opens}\n{item.path}" if item.document_id is not None else str(item.path))
        words, why = self._words(item)
        self.told.setText(_elided(self.told, words, _SENTENCE_PX))
        self.told.setToolTip(why or (words if self.told.text() != words else ""))
        set_tone(self.told, "text" if self.wants_person else "muted")
        if not locked:
            self.password.clear()
        self.password.setVisible(locked)
        self.password.setAccessibleName(self.tr("Password of %1").replace("%1", item.name))
        self.tag.setText(item.label.value)
        self.tag.setVisible(item.document_id is not None)
        self.tag.setAccessibleName(self.tr("Label of %1: %2").replace("%1", item.name).replace("%2", item.label.value))
        self.tag.setToolTip(self.tr("Label of this document. Restricted ones never leave this machine."))
        self.remove.rename(self.tr("Take %1 off").replace("%1", item.name))
        self.setAccessibleName(f"{item.name}, {words}")
        set_kind(self, _OF_STATE[item.state][2])
        self._draw()
        self.adjustSize()

    def _words(self, item: AttachedDocument) -> tuple[str, str]:
        """What is told beside the name, and the tooltip that explains it."""
        if item.state is AttachmentState.READING:
            return self.tr("reading…"), ""
        if item.state is AttachmentState.NEEDS_PASSWORD:
            return self.tr("asks for its password"), item.sentence
        if item.state is AttachmentState.FAILED:
            return item.sentence or self.tr("could not be read"), item.sentence
        pages = self.tr("1 page") if item.pages == 1 else self.tr("%1 pages").replace("%1", display.integer(item.pages))
        size = f" ({display.tokens(item.tokens)})" if item.tokens is not None else ""
        if item.whole is None:
            return pages, ""
        if item.whole:
            return f"{pages} · {self.tr('whole')}", self.tr("Its whole text goes with each question%1.").replace(
                "%1", size
            )
        why = self.tr("Too long for the model's context%1: the passages that fit a question go with it.")
        how = self.tr("passages")
        if item.outlook is not None:
            why += f"\n{item.outlook.sentence}"
            by_words = self.tr("passages, by words only")
            how = self.tr("passages, by words and meaning") if item.outlook.by_meaning else by_words
        return f"{pages} · {how}", why.replace("%1", size)

    def _draw(self) -> None:
        if self.item is not None:
            icon, tone, _kind = _OF_STATE[self.item.state]
            self._sign.setPixmap(self._icons.pixmap(icon, tone, 16, self.devicePixelRatioF()))

    def _open(self) -> None:
        if self.item is not None and self.item.document_id is not None:
            self.opened.emit(self.item.id)

    def _remove(self) -> None:
        if self.item is not None:
            self.removed.emit(self.item.id)

    def _unlock(self) -> None:
        if self.item is not None and self.password.text():
            self.unlocked.emit(self.item.id, self.password.text())
            self.password.clear()

    def _choose_label(self) -> None:
        item = self.item
        if item is None:
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for tag in Label:
            act = menu.addAction(tag.value.capitalize(), partial(self.label_chosen.emit, item.id, tag))
            act.setCheckable(True)
            act.setChecked(tag is item.label)
        menu.popup(self.tag.mapToGlobal(QPoint(0, self.tag.height())))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and not self.password.hasFocus():
            self._remove()
        else:
            super().keyPressEvent(event)


def _elided(widget: QWidget, text: str, width: int) -> str:
    return widget.fontMetrics().elidedText(text, Qt.TextElideMode.ElideMiddle, width)
