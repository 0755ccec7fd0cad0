"""What stands in place of a table or a page: why there is nothing to see, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from ui.icons import Icons
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.parts import button, column, label, row


class NothingView(QWidget):
    """A picture, a sentence, a hint, a button."""

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._icons = icons
        self._icon = "box"
        self._tone = "faint"
        self._picture = QLabel()
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._words = label("", wrap=True)
        self._hint = label("", themes.fonts.caption, "muted", wrap=True)
        for words in (self._words, self._hint):
            words.setAlignment(Qt.AlignmentFlag.AlignCenter)
            words.setMaximumWidth(grown(52 * GRID))
        self._act = button("", self._run)
        self._work: Callable[[], object] | None = None
        centred = [row(None, words, None) for words in (self._words, self._hint)]
        for line in centred:
            line.setStretch(1, 1000)
        inner = column(None, self._picture, *centred, row(None, self._act, None))
        inner.addStretch(2)
        self._inner = inner
        self.setLayout(inner)
        themes.changed.connect(self._draw)
        self.hide()

    @property
    def sentence(self) -> str:
        return self._words.text() if not self.isHidden() else ""

    def tell(
        self,
        icon: str,
        sentence: str,
        hint: str = "",
        action: tuple[str, Callable[[], object]] | None = None,
        tone: str = "faint",
    ) -> None:
        self._icon, self._tone = icon, tone
        self._words.setText(sentence)
        self._hint.setText(hint)
        self.setAccessibleName(sentence)
        self.setAccessibleDescription(hint)
        self._hint.setVisible(bool(hint))
        self._act.setVisible(action is not None)
        self._act.setText(action[0] if action else "")
        self._work = action[1] if action else None
        self._draw()
        self.show()

    def take_focus(self) -> None:
        """The keyboard goes to what can be done, or else to the sentence."""
        (self if self._work is None else self._act).setFocus(Qt.FocusReason.OtherFocusReason)

    def add_below(self, field: QWidget) -> None:
        """Something to fill in above the button, e.g. a password."""
        self._inner.insertLayout(self._inner.count() - 2, row(None, field, None))

    def _run(self) -> None:
        if self._work is not None:
            self._work()

    def _draw(self) -> None:
        self._picture.setPixmap(self._icons.pixmap(self._icon, self._tone, 32, self.devicePixelRatioF()))
