"""The model that answers, as a button with a menu of what is on disk."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QActionGroup, QGuiApplication
from PySide6.QtWidgets import QMenu, QToolButton

from app.models.records import LoadedModel, ModelCard
from engine.worker.spec import Failed, Loading, Ready, Starting
from ui import display
from ui.icons import Icons
from ui.theme import ThemeStore


class ModelPicker(QToolButton):
    """Shows the loaded model and its progress; another choice leaves by ``chosen``."""

    chosen = Signal(str)
    manage_wanted = Signal()

    def __init__(self, themes: ThemeStore, icons: Icons) -> None:
        super().__init__()
        self._icons = icons
        self._cards: tuple[ModelCard, ...] = ()
        self._loaded = LoadedModel(None, None, None, None)
        self.setFont(themes.fonts.caption)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(16, 16))
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._menu = QMenu(self)
        self._menu.setToolTipsVisible(True)
        self._menu.setLayoutDirection(QGuiApplication.layoutDirection())
        self._menu.aboutToShow.connect(self._fill)
        self.setMenu(self._menu)
        themes.changed.connect(self._draw)
        self._draw()

    def show_models(self, cards: Sequence[ModelCard]) -> None:
        self._cards = tuple(cards)
        self._draw()

    def show_loaded(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._draw()

    def name_of(self, model_id: str | None) -> str:
        """As its card has it; until the cards are here, as its plan has it."""
        plan = self._loaded.plan
        named = plan.model_name if plan is not None and self._loaded.model_id == model_id else model_id or ""
        return next((card.name for card in self._cards if card.id == model_id), named)

    def _draw(self) -> None:
        name = self.name_of(self._loaded.model_id)
        state = self._loaded.state
        words, icon = name or self.tr("Choose a model"), "chevron-down"
        if isinstance(state, Loading):
            words = f"{name} · {display.percent(state.progress_ratio)}"
        elif isinstance(state, Starting):
            words = self.tr("%1 · starting").replace("%1", name)
        elif isinstance(state, Failed) or self._loaded.misfit is not None:
            words = self.tr("%1 · not loaded").replace("%1", name)
            icon = "triangle-alert"
        elif name and not isinstance(state, Ready):
            words = self.tr("%1 · not loaded").replace("%1", name)
        self.setIcon(self._icons.icon(icon, "warning" if icon == "triangle-alert" else "muted"))
        # Text first, the arrow after it: the button is laid out from the right.
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        self.setText(words)
        self.setAccessibleName(self.tr("Model: %1").replace("%1", words))
        self.setToolTip(self.tr("The model that answers"))

    def _fill(self) -> None:
        self._menu.clear()
        group = QActionGroup(self._menu)
        for card in self._cards:
            if card.output != "text":
                continue
            size = display.byte_size(card.size_bytes)
            action = self._menu.addAction(f"{card.name.replace('&', '&&')}\t{size}")
            action.setCheckable(True)
            action.setChecked(card.id == self._loaded.model_id and isinstance(self._loaded.state, Ready))
            action.setEnabled(not card.fault)
            action.setToolTip(card.fault or " · ".join(filter(None, (card.architecture, card.quantization, size))))
            action.triggered.connect(lambda _checked=False, model_id=card.id: self.chosen.emit(model_id))
            group.addAction(action)
        if not self._cards:
            self._menu.addAction(self.tr("No model on disk yet")).setEnabled(False)
        self._menu.addSeparator()
        self._menu.addAction(self._icons.icon("boxes"), self.tr("Manage models…"), self.manage_wanted.emit)
