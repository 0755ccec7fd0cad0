"""The page for what stops everything: a start that failed, or a bug of ours. A sentence, what can be done, details."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QLabel, QPlainTextEdit, QWidget

from ui.desk import Action
from ui.icons import Icons
from ui.theme import GRID, ThemeStore, grown
from ui.widgets.parts import button, column, label, row

_WIDTH = 640


class FaultPage(QFrame):
    """``details`` can be copied; the first action is the one that Enter takes."""

    def __init__(
        self,
        title: str,
        sentence: str,
        hint: str,
        details: str,
        actions: Sequence[Action],
        themes: ThemeStore,
        icons: Icons,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setObjectName("page")
        self.setAutoFillBackground(True)
        self.setAccessibleName(title)
        self.details = details
        fonts = themes.fonts
        picture = QLabel()
        picture.setPixmap(icons.pixmap("circle-alert", "danger", 32, self.devicePixelRatioF()))
        words = column(picture, label(title, fonts.headline), label(sentence, wrap=True), spacing=2 * GRID, margin=0)
        if hint:
            words.addWidget(label(hint, tone="muted", wrap=True))
        self.buttons = [
            button(action.label, action.run, "primary" if place == 0 else "") for place, action in enumerate(actions)
        ]
        if details:
            self.copy = button(self.tr("Copy details"), self._copy)
            words.addWidget(_details(details, self.tr("Details"), themes))
            words.addLayout(row(*self.buttons, self.copy, None))
        else:
            words.addLayout(row(*self.buttons, None))
        inner = QWidget()
        inner.setMaximumWidth(grown(_WIDTH))
        inner.setLayout(words)
        centred = row(None, inner, None)
        centred.setStretch(1, 1000)
        self.setLayout(column(None, centred, None, margin=4 * GRID))
        if self.buttons:
            self.setFocusProxy(self.buttons[0])

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.details)
        self.copy.setText(self.tr("Copied"))


def _details(text: str, name: str, themes: ThemeStore) -> QPlainTextEdit:
    box = QPlainTextEdit(text)
    box.setReadOnly(True)
    box.setAccessibleName(name)
    box.setFont(themes.fonts.mono)
    box.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
    box.setTabChangesFocus(True)
    box.setTextInteractionFlags(
        Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
    )
    box.setFixedHeight(22 * GRID)
    box.document().setDocumentMargin(GRID)
    return box
