"""What a person may set by hand of a plan: context, experts in RAM, cache type, experts per token, profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QLabel, QWidget

from engine.fit.plan import KvType, Plan, Profile, Wish
from ui import display
from ui.pages.models.context import nearest, stops
from ui.theme import GRID, ThemeStore
from ui.widgets.parts import column, label, row
from ui.widgets.stop_slider import StopSlider

_EXPERTS_MOST = 4
"""Up to so many times the model's own number of experts per token can be asked for."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the knobs must know of a model."""

    n_ctx_train: int | None
    n_layer: int
    n_expert: int
    n_expert_used: int


class Knobs(QWidget):
    """``changed`` follows each move of a person."""

    changed = Signal()

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._themes = themes
        self._shape = Shape(None, 0, 0, 0)
        self._quiet = False
        self._with_cards = False
        self.context = StopSlider(themes, self.tr("Context"))
        self.context.moved.connect(self._moved)
        self.experts = StopSlider(themes, self.tr("Experts kept in RAM"))
        self.experts.moved.connect(self._moved)
        self.kv_type = QComboBox()
        self.kv_type.addItem(self.tr("Automatic"), None)
        for kind in get_args(KvType):
            self.kv_type.addItem(kind, kind)
        self.profile = QComboBox()
        self.profile.addItem(self.tr("Chat"), "chat")
        self.profile.addItem(self.tr("Documents"), "documents")
        self.used = QComboBox()
        for box in (self.kv_type, self.profile, self.used):
            box.currentIndexChanged.connect(lambda _place: self._moved())
        self._used_field = self._field(self.tr("Experts per token"), self.used)
        fields = row(
            self._field(self.tr("Made for"), self.profile),
            self._field(self.tr("KV cache"), self.kv_type),
            self._used_field,
            spacing=2 * GRID,
        )
        for place in range(3):
            fields.setStretch(place, 1)
        self._used_note = label(
            self.tr("Fewer experts per token answer faster and worse; more rarely help."),
            themes.fonts.caption,
            "muted",
            wrap=True,
        )
        self.setLayout(column(self.context, self.experts, fields, self._used_note, spacing=12))

    def set_cards(self, there: bool) -> None:
        """Whether there is a card at all: without one all experts are in main memory anyway."""
        self._with_cards = there
        self.experts.setVisible(there and self._shape.n_expert > 0)

    def set_model(self, shape: Shape, wish: Wish) -> None:
        """Another model."""
        self._quiet = True
        self._shape = shape
        found = stops(shape.n_ctx_train)
        self.context.set_stops(found, nearest(found, wish.n_ctx))
        if wish.n_ctx is not None and wish.n_ctx not in found:
            self.context.set_value(wish.n_ctx)
        layers: list[int | None] = [None, *range(shape.n_layer + 1)]
        self.experts.set_stops(layers, layers.index(wish.experts_in_ram) if wish.experts_in_ram in layers else 0)
        self.experts.setVisible(self._with_cards and shape.n_expert > 0)
        self.kv_type.setCurrentIndex(max(0, self.kv_type.findData(wish.kv_type)))
        self.profile.setCurrentIndex(max(0, self.profile.findData(wish.profile)))
        self.used.clear()
        self.used.addItem(self.tr("%1 (its own)").replace("%1", str(shape.n_expert_used)), None)
        for count in range(1, min(shape.n_expert, shape.n_expert_used * _EXPERTS_MOST) + 1):
            self.used.addItem(str(count), count)
        self.used.setCurrentIndex(max(0, self.used.findData(wish.n_expert_used)))
        self._used_field.setVisible(shape.n_expert > 0)
        self._quiet = False
        self.say(None)

    def wish(self) -> Wish:
        kv_type: KvType | None = self.kv_type.currentData()
        profile: Profile = self.profile.currentData()
        return Wish(
            n_ctx=self.context.value,
            kv_type=kv_type,
            profile=profile,
            experts_in_ram=self.experts.value if not self.experts.isHidden() else None,
            n_expert_used=self.used.currentData() if self._shape.n_expert else None,
        )

    def say(self, plan: Plan | None) -> None:
        """Name what was chosen, and what the planner made of *automatic*."""
        chosen = self.context.value
        words = self.tr("Automatic") if chosen is None else display.tokens(chosen)
        if chosen is None and plan is not None:
            words = f"{words} · {display.tokens(plan.n_ctx)}"
        self.context.say(words)
        self.experts.say(self._experts_words(plan))
        self.kv_type.setItemText(
            0,
            self.tr("Automatic (%1)").replace("%1", plan.kv_type)
            if plan is not None and self.kv_type.currentData() is None
            else self.tr("Automatic"),
        )
        self._used_note.setVisible(self._shape.n_expert > 0 and self.used.currentIndex() > 0)

    def _experts_words(self, plan: Plan | None) -> str:
        layers, chosen = self._shape.n_layer, self.experts.value
        if chosen is None and plan is None:
            return self.tr("Automatic")
        count = chosen if chosen is not None else len(plan.experts_in_ram) if plan is not None else 0
        if count >= layers:
            words = self.tr("all %1 layers").replace("%1", str(layers))
        else:
            words = self.tr("%1 of %2 layers").replace("%1", str(count)).replace("%2", str(layers))
        return self.tr("Automatic · %1").replace("%1", words) if chosen is None else words

    def _field(self, name: str, box: QWidget) -> QWidget:
        box.setAccessibleName(name)
        caption: QLabel = label(name, self._themes.fonts.caption, "muted")
        caption.setBuddy(box)
        made = QWidget()
        made.setLayout(column(caption, box, spacing=4))
        return made

    def _moved(self) -> None:
        if not self._quiet:
            self.say(None)
            self.changed.emit()
