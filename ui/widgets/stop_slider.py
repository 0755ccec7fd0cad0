"""A slider over a few named stops, with its name and the chosen stop in words above it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSlider, QWidget

from ui.theme import GRID, ThemeStore
from ui.widgets.parts import column, label, row


class StopSlider(QWidget):
    """Stops are numbers; ``None`` is *automatic* and comes first."""

    moved = Signal()

    def __init__(self, themes: ThemeStore, name: str) -> None:
        super().__init__()
        self._stops: list[int | None] = [None]
        self._words = label("", themes.fonts.caption, "muted")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName(name)
        self.slider.setPageStep(1)
        self.slider.valueChanged.connect(lambda _place: self.moved.emit())
        self.setLayout(column(row(label(name, themes.fonts.strong), None, self._words), self.slider, spacing=GRID // 2))

    @property
    def value(self) -> int | None:
        return self._stops[self.slider.value()]

    @property
    def stops(self) -> Sequence[int | None]:
        return tuple(self._stops)

    def set_stops(self, stops: Sequence[int | None], place: int) -> None:
        """Without telling."""
        self._stops = list(stops)
        self.slider.blockSignals(True)
        self.slider.setRange(0, len(self._stops) - 1)
        self.slider.setValue(place)
        self.slider.blockSignals(False)

    def set_value(self, value: int | None) -> None:
        """As a person would move it; a stop is added for a value that is none."""
        if value is not None and value not in self._stops:
            numbers = sorted([*(stop for stop in self._stops if stop is not None), value])
            self.set_stops([None, *numbers], self.slider.value())
        self.slider.setValue(self._stops.index(value))

    def say(self, words: str) -> None:
        """What the chosen stop means."""
        self._words.setText(words)
        self.slider.setAccessibleDescription(words)
