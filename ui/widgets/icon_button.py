"""A button that is only an icon, with a name for screen readers and a colour that follows the theme."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QToolButton, QWidget

from ui.icons import SIZE, Icons
from ui.theme import CONTROL_HEIGHT, ThemeStore


class IconButton(QToolButton):
    """``name`` is the tooltip and what a screen reader says."""

    def __init__(
        self,
        icon: str,
        name: str,
        icons: Icons,
        themes: ThemeStore,
        parent: QWidget | None = None,
        *,
        tone: str = "muted",
        size: int = CONTROL_HEIGHT,
    ) -> None:
        super().__init__(parent)
        self._icon, self._tone, self._icons = icon, tone, icons
        self.setIconSize(QSize(SIZE, SIZE))
        self.setFixedSize(size, size)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.rename(name)
        self._draw()
        themes.changed.connect(self._draw)

    def rename(self, name: str, shortcut: str = "") -> None:
        """Another name, e.g. when the button means something else now; a shortcut is shown with it."""
        self.setAccessibleName(name)
        self.setToolTip(f"{name} ({shortcut})" if shortcut else name)

    def set_icon(self, icon: str, tone: str | None = None) -> None:
        self._icon = icon
        self._tone = tone or self._tone
        self._draw()

    def _draw(self) -> None:
        self.setIcon(self._icons.icon(self._icon, self._tone))
