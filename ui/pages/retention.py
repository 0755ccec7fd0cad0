"""Set-up's part about retention: days for each label, what would go, legal hold, and removing it for good.

What is due comes from ``StoreApi.retention``; looking removes nothing. Removing wants a second click, with the number.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from pathlib import PurePath
from typing import Any, Final, TypeVar

from PySide6.QtCore import QCoreApplication, Qt, QTimer
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QScrollArea, QWidget

from app.gate.label import Label
from app.vault.records import Due, Retention, Shredded
from engine.errors import GatehouseError
from ui import display
from ui.desk import Desk
from ui.gate_words import label_tone, label_words
from ui.theme import GRID, grown
from ui.widgets.parts import button, column, label, row, set_kind

_DAYS: Final = (None, 30, 90, 180, 365, 1_095, 2_190, 3_650)
_SHOWN: Final = 50
_LIST_HEIGHT: Final = 26 * GRID
_SURE_MS: Final = 8_000

T = TypeVar("T")


class RetentionPart(QWidget):
    """``refresh`` looks; rules and holds are asked for at once, removing after a second click."""

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk, self._store = desk, desk.services.store
        self._due: tuple[Due, ...] = ()
        self.days = {one: self._choice(one) for one in Label}
        self.found = label("", wrap=True)
        self.past = label("", desk.themes.fonts.caption, "muted")
        self.list = QScrollArea()
        self.list.setWidgetResizable(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setAccessibleName(self.tr("What would be removed"))
        self.list.setProperty("kind", "boxed")
        self.remove = button("", self._remove, "quiet")
        self._sure = QTimer(self, singleShot=True, interval=_SURE_MS)
        self._sure.timeout.connect(self._show_button)
        caption = desk.themes.fonts.caption
        hint = self.tr(
            "How long conversations, documents and batches are kept after their last use. Nothing is removed by "
            "itself: what is due is listed here, and goes for good when you say so."
        )
        self.setLayout(
            column(
                column(label(self.tr("Retention")), label(hint, caption, "muted", wrap=True), spacing=2),
                self._rules(),
                self.found,
                self.list,
                row(self.past, None, self.remove),
                spacing=GRID,
            )
        )
        self._show(Retention(dict.fromkeys(Label), (), 0))

    def refresh(self) -> None:
        """Look again at what is due."""
        self._desk.bridge.call(self._store.retention, self._show, owner=self)

    # shown

    def _show(self, found: Retention) -> None:
        self._due = found.due
        for one, choice in self.days.items():
            _choose(choice, found.keep_days[one])
        going, held = len(self._going), sum(item.held for item in found.due)
        words = self.tr("Nothing is due.")
        if found.due:
            words = self.tr("Due: %1.").replace("%1", display.integer(going))
            if held:
                words += " " + self.tr("Under legal hold: %1.").replace("%1", display.integer(held))
        self.found.setText(words)
        removed = self.tr("Removed by these rules so far: %1.").replace("%1", display.integer(found.tombstones))
        self.past.setText(removed if found.tombstones else "")
        self.past.setVisible(bool(found.tombstones))
        self._show_list(found.due)
        self._show_button()

    def _show_list(self, due: Sequence[Due]) -> None:
        body = QWidget()
        lines: list[QWidget | QHBoxLayout | None] = [self._line(item) for item in due[:_SHOWN]]
        if len(due) > _SHOWN:
            more = self.tr("… and %1 more.").replace("%1", display.integer(len(due) - _SHOWN))
            lines.append(label(more, self._desk.themes.fonts.caption, "muted"))
        body.setLayout(column(*lines, None, spacing=GRID, margin=12))
        self.list.setWidget(body)
        self.list.setFixedHeight(min(_LIST_HEIGHT, body.sizeHint().height() + 2))
        self.list.setVisible(bool(due))

    def _line(self, item: Due) -> QWidget:
        caption = self._desk.themes.fonts.caption
        title = PurePath(item.title).name if item.kind == "document" else item.title
        name = label(title[:80])
        name.setToolTip(item.title)
        kinds = {
            "conversation": self.tr("Conversation"),
            "document": self.tr("Document"),
            "batch": self.tr("Batch"),
        }
        age = self.tr("last used %1 days ago").replace("%1", display.integer(item.age_days))
        about = label(f"{kinds[item.kind]} · {age}", caption, "muted")
        how = label(label_words(item.label), caption, label_tone(item.label))
        words = self.tr("End the hold") if item.held else self.tr("Hold")
        hold = button(words, lambda: self._hold(item), "quiet", name=f"{words}: {title}")
        hold.setFixedWidth(grown(14 * GRID))
        hold.setToolTip(self.tr("Legal hold: it stays, whatever its label says."))
        line = row(column(name, about, spacing=0), how, hold, spacing=2 * GRID)
        line.setStretch(0, 1)
        whole = QWidget()
        whole.setLayout(line)
        return whole

    def _show_button(self) -> None:
        self._sure.stop()
        count = len(self._going)
        self.remove.setText(self.tr("Remove what is due…"))
        set_kind(self.remove, "quiet")
        self.remove.setVisible(count > 0)

    @property
    def _going(self) -> tuple[Due, ...]:
        return tuple(item for item in self._due if not item.held)

    # asked for

    def _keep(self, one: Label, days: int | None) -> None:
        self._do(lambda: self._store.keep_days(one, days), lambda _: None)

    def _hold(self, item: Due) -> None:
        self._do(lambda: self._store.hold(item.id, not item.held), lambda _: None)

    def _remove(self) -> None:
        going = self._going
        if not self._sure.isActive():
            words = self.tr("Remove %1 for good").replace("%1", display.integer(len(going)))
            self.remove.setText(words)
            set_kind(self.remove, "danger")
            self._sure.start()
            return
        self._sure.stop()
        self._do(lambda: self._store.shred([item.id for item in going]), self._removed)

    def _removed(self, done: Shredded) -> None:
        words = self.tr("Removed %1.").replace("%1", display.integer(done.removed))
        how = (
            self.tr("The store has a new key; what the disk still holds of them opens with none.")
            if done.sealed
            else self.tr("They were overwritten in the store, which is not encrypted.")
        )
        elsewhere = self.tr("Copies that you made elsewhere still hold them.")
        self._desk.notices.show("success", words, f"{how} {elsewhere}")

    def _do(self, work: Callable[[], Coroutine[Any, Any, T]], done: Callable[[T], object]) -> None:
        def finished(result: T) -> None:
            self.setEnabled(True)
            done(result)
            self.refresh()

        def failed(error: GatehouseError) -> None:
            self.setEnabled(True)
            self._desk.notices.show("error", error.sentence, error.hint)
            self.refresh()

        self.setEnabled(False)
        self._desk.bridge.call(work, finished, failed, owner=self)

    # built

    def _rules(self) -> QHBoxLayout:
        caption = self._desk.themes.fonts.caption
        parts = [
            column(label(label_words(one), caption, label_tone(one)), choice, spacing=2)
            for one, choice in self.days.items()
        ]
        return row(*parts, None, spacing=2 * GRID)

    def _choice(self, one: Label) -> QComboBox:
        made = QComboBox()
        for days in _DAYS:
            made.addItem(_words(days), days)
        made.setAccessibleName(self.tr("Keep what is %1").replace("%1", label_words(one).lower()))
        made.setFixedWidth(grown(16 * GRID))
        made.activated.connect(lambda place: self._keep(one, made.itemData(place)))
        return made


def _choose(choice: QComboBox, days: int | None) -> None:
    """Also what a command has set to a number that is not offered."""
    if choice.findData(days) < 0:
        choice.addItem(_words(days), days)
    choice.setCurrentIndex(choice.findData(days))


def _words(days: int | None) -> str:
    if days is None:
        return _tr("For ever")
    if days % 365 == 0:
        years = days // 365
        return _tr("1 year") if years == 1 else _tr("%1 years").replace("%1", str(years))
    return _tr("%1 days").replace("%1", display.integer(days))


def _tr(text: str) -> str:
    return QCoreApplication.translate("RetentionPart", text)
