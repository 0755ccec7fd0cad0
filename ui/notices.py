"""Quiet lines in the window's corner: what happened, what can be done, and a way back. They go by themselves.

Errors stay longer. A notice under the pointer or with the focus stays. What deserves a notice is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QFrame, QLabel, QWidget

from app.events import NoticeRaised
from ui.desk import Action, NoticeLevel
from ui.icons import Icons
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import button, column, label, row

_STAY_MS: dict[NoticeLevel, int] = {"info": 6000, "success": 6000, "warning": 10000, "error": 20000}
_ICON: dict[NoticeLevel, str] = {
    "info": "info",
    "success": "circle-check",
    "warning": "triangle-alert",
    "error": "circle-alert",
}
_TONE: dict[NoticeLevel, str] = {"info": "accent", "success": "success", "warning": "warning", "error": "danger"}
_MOST = 3
_WIDTH = 376


class Notices(QObject):
    """The pile of notices of one window, in the lower right corner of ``area``, ``clearance`` above its foot."""

    def __init__(self, area: QWidget, themes: ThemeStore, icons: Icons, clearance: Callable[[], int]) -> None:
        super().__init__(area)
        self._area, self._themes, self._icons = area, themes, icons
        self._shown: list[Notice] = []
        self._clearance = clearance
        self._held: list[tuple[NoticeLevel, str, str, Action | None]] | None = None
        area.installEventFilter(self)

    def hold(self, held: bool) -> None:
        """While the window is locked nothing is told; the latest follow when it opens."""
        waiting, self._held = self._held, ([] if held else None)
        for notice in self._shown:
            notice.setVisible(not held)
        for level, sentence, hint, action in (waiting or ())[-_MOST:]:
            self.show(level, sentence, hint, action)

    def show(self, level: NoticeLevel, sentence: str, hint: str = "", action: Action | None = None) -> None:
        """Show a notice; the same sentence again only renews it."""
        if self._held is not None:
            self._held.append((level, sentence, hint, action))
            return
        for notice in self._shown:
            if notice.sentence == sentence and action is None:
                notice.renew()
                return
        while len(self._shown) >= _MOST:
            self._shown[0].dismiss()
        notice = Notice(self._area, level, sentence, hint, action, self._themes, self._icons)
        notice.dismissed.connect(self._forget)
        self._shown.append(notice)
        notice.show()
        self.arrange()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self._area, f"{sentence} {hint}".strip()))

    def show_event(self, event: NoticeRaised) -> None:
        self.show(event.level, event.sentence, event.hint)

    def take_back(self) -> bool:
        """Do what the newest notice with an action offers; ``False`` when none does."""
        for notice in reversed(self._shown):
            if notice.action is not None:
                notice.act()
                return True
        return False

    def arrange(self) -> None:
        """Stack them upwards from the corner, newest lowest."""
        bottom = self._area.height() - self._clearance()
        for notice in reversed(self._shown):
            width = min(grown(_WIDTH), self._area.width() - 4 * GRID)
            notice.setFixedWidth(width)
            layout = notice.layout()
            height = layout.totalHeightForWidth(width) if layout and layout.hasHeightForWidth() else -1
            notice.resize(width, max(height, notice.sizeHint().height() if height < 0 else height))
            notice.move(self._area.width() - width - 2 * GRID, bottom - notice.height())
            notice.raise_()
            bottom -= notice.height() + GRID

    def _forget(self, notice: Notice) -> None:
        if notice in self._shown:
            self._shown.remove(notice)
            self.arrange()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() is QEvent.Type.Resize:
            self.arrange()
        return False


class Notice(QFrame):
    """One notice."""

    dismissed = Signal(object)
    """Itself, when it goes."""

    def __init__(
        self,
        area: QWidget,
        level: NoticeLevel,
        sentence: str,
        hint: str,
        action: Action | None,
        themes: ThemeStore,
        icons: Icons,
    ) -> None:
        super().__init__(area)
        self.setProperty("kind", "notice")
        self.setAccessibleName(sentence)
        self.setAccessibleDescription(hint)
        self.sentence = sentence
        self.action = action
        picture = QLabel()
        picture.setPixmap(icons.pixmap(_ICON[level], _TONE[level], density=self.devicePixelRatioF()))
        words = column(label(sentence, wrap=True), spacing=GRID // 2)
        if hint:
            words.addWidget(label(hint, themes.fonts.caption, "muted", wrap=True))
        close = IconButton("x", _tr("Dismiss"), icons, themes, size=28)
        close.clicked.connect(self.dismiss)
        whole = row(picture, words, spacing=12)
        whole.setStretch(1, 1)
        whole.setAlignment(picture, Qt.AlignmentFlag.AlignTop)
        if action is not None:
            whole.addWidget(button(action.label, self.act, "link"))
        whole.addWidget(close)
        whole.setContentsMargins(2 * GRID, 12, GRID, 12)
        self.setLayout(whole)
        self._timer = QTimer(self, singleShot=True, interval=_STAY_MS[level] + (2000 if action else 0))
        self._timer.timeout.connect(self._leave)
        self._timer.start()

    def renew(self) -> None:
        self._timer.start()

    def dismiss(self) -> None:
        """Go now."""
        self._timer.stop()
        self.hide()
        self.dismissed.emit(self)
        self.deleteLater()

    def act(self) -> None:
        """Go, and do what is offered."""
        self.dismiss()
        if self.action is not None:
            self.action.run()

    def _leave(self) -> None:
        if self.underMouse() or any(child.hasFocus() for child in self.findChildren(QWidget)):
            self._timer.start(1000)
        else:
            self.dismiss()


def _tr(text: str) -> str:
    return QCoreApplication.translate("notices", text)
