"""The line over the transcript: the title, the system prompt, and what else can be done."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame

from ui.icons import Icons
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.icon_button import IconButton
from ui.widgets.parts import row

_HEIGHT = 48


class Header(QFrame):
    """Empty but for the system prompt while the conversation is new."""

    prompt_wanted = Signal()
    menu_wanted = Signal(QPoint)

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._themes = themes
        self._title = ""
        self.setFixedHeight(grown(_HEIGHT))
        self.prompt = IconButton("sliders-horizontal", self.tr("System prompt"), icons, themes)
        self.more = IconButton("ellipsis", self.tr("More"), icons, themes)
        self.prompt.clicked.connect(self.prompt_wanted)
        self.more.clicked.connect(self._ask_for_menu)
        layout = row(None, self.prompt, self.more, spacing=4)
        layout.setContentsMargins(3 * GRID, 0, 12, 0)
        self.setLayout(layout)
        themes.changed.connect(self.update)

    def show_title(self, title: str, has_prompt: bool = False) -> None:
        self._title = title
        self.setAccessibleName(title or self.tr("New chat"))
        self.more.setVisible(bool(title))
        self.prompt.set_icon("sliders-horizontal", "accent" if has_prompt else "muted")
        name = self.tr("System prompt (set)") if has_prompt else self.tr("System prompt")
        self.prompt.rename(name)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, font = self._themes.theme, self._themes.fonts.strong
        painter = QPainter(self)
        painter.setFont(font)
        painter.setPen(QColor(theme.text if self._title else theme.faint))
        box = self.rect().adjusted(3 * GRID, 0, -100, 0)
        words = self._title or self.tr("New chat")
        elided = QFontMetrics(font).elidedText(words, Qt.TextElideMode.ElideRight, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, elided)
        painter.fillRect(0, self.height() - 1, self.width(), 1, QColor(theme.border))
        painter.end()

    def _ask_for_menu(self) -> None:
        self.menu_wanted.emit(self.more.mapToGlobal(QPoint(0, self.more.height())))
