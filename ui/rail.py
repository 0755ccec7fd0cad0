"""The rail at the window's left: a button for each page, Set-up at its foot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QButtonGroup, QFrame, QSizePolicy, QToolButton, QVBoxLayout

from ui import shortcuts
from ui.icons import Icons
from ui.page_spec import PageSpec
from ui.shortcuts import in_words
from ui.theme import GRID, ThemeStore, grown

_WIDTH = 9 * GRID
_FOOT = "settings"


class Rail(QFrame):
    """``chosen`` carries the page's key."""

    chosen = Signal(str)

    def __init__(self, specs: Sequence[PageSpec], themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._icons = icons
        self._specs = {spec.key: spec for spec in specs}
        self._group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        self.setProperty("kind", "rail")
        self.setFixedWidth(grown(_WIDTH))
        self.setAccessibleName(self.tr("Pages"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(GRID, 12, GRID, 12)
        layout.setSpacing(GRID // 2)
        for spec, keys in zip(specs, shortcuts.PAGES, strict=False):
            button = self._button(spec, keys, themes)
            self._group.addButton(button)
            self.buttons[spec.key] = button
            if spec.key == _FOOT:
                layout.addStretch(1)
            layout.addWidget(button)
        themes.changed.connect(self._colour)
        self._colour()

    def show_current(self, key: str) -> None:
        """Mark a page's button; none for a page that is not in the rail."""
        button = self.buttons.get(key)
        if button is not None:
            button.setChecked(True)
            return
        self._group.setExclusive(False)
        for other in self.buttons.values():
            other.setChecked(False)
        self._group.setExclusive(True)

    def _button(self, spec: PageSpec, keys: str, themes: ThemeStore) -> QToolButton:
        made = QToolButton()
        made.setText(spec.title)
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        made.setIconSize(QSize(20, 20))
        made.setFont(themes.fonts.caption)
        made.setCheckable(True)
        made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        made.setFixedHeight(grown(7 * GRID))
        made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        made.setAccessibleName(spec.title)
        made.setToolTip(f"{spec.title} ({in_words(keys)})")
        made.clicked.connect(partial(self._clicked, spec.key))
        return made

    def _colour(self) -> None:
        for key, button in self.buttons.items():
            button.setIcon(self._icons.icon(self._specs[key].icon))

    def _clicked(self, key: str, _checked: bool = False) -> None:
        self.chosen.emit(key)
