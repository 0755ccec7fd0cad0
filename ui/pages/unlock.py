"""The page over everything while the store is locked: a passphrase or the recovery code, and how long to wait after
wrong ones. What opens the store is decided elsewhere; this page only asks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QFrame, QLabel, QLineEdit, QWidget

from engine.errors import GatehouseError, VaultError
from ui.icons import Icons
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.parts import button, column, label, row

_WIDTH = 440
_TICK_MS = 250

Attempt = Callable[[str, Callable[[GatehouseError], None]], None]
"""Try what was typed; a failure comes back through the function, a success takes the page away."""


class UnlockPage(QFrame):
    """Enter tries. Wrong tries keep what was typed out of the field and say what can be done."""

    def __init__(
        self, attempt: Attempt, leave: Callable[[], object], themes: ThemeStore, icons: Icons, *, by_code: bool = False
    ) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setAutoFillBackground(True)
        self.setAccessibleName(self.tr("Gatehouse is locked"))
        self._attempt = attempt
        self._by_code = by_code
        self._left_s = 0.0
        self._trying = False
        fonts = themes.fonts
        picture = QLabel()
        picture.setPixmap(icons.pixmap("lock", "accent", 32, self.devicePixelRatioF()))
        self.field = QLineEdit()
        self.field.setMinimumHeight(5 * GRID)
        self.field.setInputMethodHints(
            Qt.InputMethodHint.ImhSensitiveData
            | Qt.InputMethodHint.ImhNoPredictiveText
            | Qt.InputMethodHint.ImhHiddenText
        )
        self.field.returnPressed.connect(self._try)
        self.field.textChanged.connect(self._arrange)
        self.open_button = button(self.tr("Unlock"), self._try, "primary")
        self.other = button("", self._switch, "link")
        self.fault = label("", fonts.body, "danger", wrap=True)
        self.sentence = label("", tone="muted", wrap=True)
        words = column(picture, label(self.tr("Gatehouse is locked"), fonts.headline), self.sentence, spacing=2 * GRID)
        words.addWidget(self.field)
        words.addWidget(self.fault)
        words.addLayout(row(self.open_button, self.other, None, button(self.tr("Quit"), leave, "quiet")))
        inner = QWidget()
        inner.setFixedWidth(grown(_WIDTH))
        inner.setLayout(words)
        self.setLayout(column(None, row(None, inner, None), None, margin=4 * GRID))
        self.setFocusProxy(self.field)
        self._clock = QTimer(self, interval=_TICK_MS)
        self._clock.timeout.connect(self._tick)
        self._show_kind()

    def failed(self, error: GatehouseError) -> None:
        """It did not open: say why, and until when to wait."""
        self._trying = False
        self._left_s = error.wait_s if isinstance(error, VaultError) else 0.0
        self._said = f"{error.sentence} {error.hint}".strip()
        self.field.clear()
        if self._left_s > 0:
            self._clock.start()
        self._arrange()
        self.fault.setText(self._said)
        self.field.setFocus()
        QAccessible.updateAccessibility(QAccessibleAnnouncementEvent(self, self._said))

    def _try(self) -> None:
        typed = self.field.text()
        if not typed or self._trying or self._left_s > 0:
            return
        self._trying = True
        self.fault.clear()
        self._arrange()
        self._attempt(typed, self.failed)

    def _switch(self) -> None:
        self._by_code = not self._by_code
        self.field.clear()
        self._show_kind()
        self.field.setFocus()

    def _show_kind(self) -> None:
        if self._by_code:
            self.sentence.setText(
                self.tr("Type the recovery code: seven groups of four, as shown when the passphrase was chosen.")
            )
            self.field.setEchoMode(QLineEdit.EchoMode.Normal)
            name = self.tr("Recovery code")
            self.other.setText(self.tr("Use the passphrase"))
        else:
            self.sentence.setText(self.tr("Your conversations are encrypted. They open with your passphrase."))
            self.field.setEchoMode(QLineEdit.EchoMode.Password)
            name = self.tr("Passphrase")
            self.other.setText(self.tr("Use the recovery code"))
        self.field.setPlaceholderText(name)
        self.field.setAccessibleName(name)
        self._arrange()

    def _tick(self) -> None:
        self._left_s = max(0.0, self._left_s - _TICK_MS / 1000)
        if self._left_s <= 0:
            self._clock.stop()
        self._arrange()

    def _arrange(self) -> None:
        waiting = self._left_s > 0
        self.open_button.setEnabled(bool(self.field.text()) and not waiting and not self._trying)
        if waiting:
            seconds = str(ceil(self._left_s))
            self.open_button.setText(self.tr("Wait %1 s").replace("%1", seconds))
        else:
            self.open_button.setText(self.tr("Opening…") if self._trying else self.tr("Unlock"))
