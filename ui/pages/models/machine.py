"""The machine on top of the page: one memory bar a device, and the processor in a line."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from app.models.records import LoadedModel
from engine.hardware.profile import Machine
from ui import display
from ui.memory import DeviceBar, machine_segments
from ui.theme import GRID, ThemeStore
from ui.widgets.memory_bar import MemoryBar
from ui.widgets.parts import ElidedLabel, column, label, row


class DeviceView(QWidget):
    """A device's name, its amount and its bar."""

    def __init__(self, themes: ThemeStore) -> None:
        super().__init__()
        self._name = ElidedLabel(themes.fonts.strong)
        self._amount = label("", themes.fonts.caption, "muted")
        self._bar = MemoryBar(themes)
        head = row(self._name, self._amount)
        head.setStretch(0, 1)
        self.setLayout(column(head, self._bar, spacing=GRID // 2))

    def show_device(self, bar: DeviceBar) -> None:
        self._name.setText(bar.name)
        free = self.tr("%1 free").replace("%1", display.byte_pair(bar.free_bytes, bar.total_bytes))
        self._amount.setText(free)
        self._bar.show_segments(bar.segments, bar.total_bytes, bar.name)


class DeviceList(QWidget):
    """Device views one below the other, or two in a row; reused as devices come and go."""

    def __init__(self, themes: ThemeStore, *, columns: int = 1) -> None:
        super().__init__()
        self._themes, self._columns = themes, columns
        self._views: list[DeviceView] = []
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(2 * GRID)
        self._grid.setHorizontalSpacing(4 * GRID)
        self.setLayout(self._grid)

    def show_devices(self, bars: list[DeviceBar]) -> None:
        while len(self._views) < len(bars):
            view = DeviceView(self._themes)
            place = len(self._views)
            self._grid.addWidget(view, place // self._columns, place % self._columns, Qt.AlignmentFlag.AlignTop)
            self._grid.setColumnStretch(place % self._columns, 1)
            self._views.append(view)
        for place, view in enumerate(self._views):
            view.setVisible(place < len(bars))
            if place < len(bars):
                view.show_device(bars[place])


class MachineView(QFrame):
    """The card that says what this machine has."""

    def __init__(self, themes: ThemeStore, *, side_by_side: bool = False) -> None:
        super().__init__()
        self.setProperty("kind", "card")
        self._processor = label(self.tr("Measuring this machine…"), themes.fonts.caption, "muted")
        self._devices = DeviceList(themes, columns=2 if side_by_side else 1)
        self.setLayout(column(self._devices, self._processor, spacing=GRID, margin=2 * GRID))
        self._devices.hide()

    def show_machine(self, machine: Machine, loaded: LoadedModel) -> None:
        self._devices.show_devices(machine_segments(machine, loaded))
        self._devices.show()
        self._processor.setText(processor_words(machine))

    def show_error(self, sentence: str) -> None:
        self._processor.setText(sentence)


def processor_words(machine: Machine) -> str:
    """``AMD Ryzen 7 7840U · 8 cores · 71.2 GB/s``."""
    processor = machine.processor
    parts = [processor.name]
    cores = _tr("1 core") if processor.physical_cores == 1 else _tr("%1 cores")
    parts.append(cores.replace("%1", display.integer(processor.physical_cores)))
    if processor.quota_cores is not None and processor.quota_cores < processor.physical_cores:
        parts.append(_tr("limited to %1").replace("%1", f"{processor.quota_cores:g}"))
    if machine.bandwidth is not None:
        parts.append(_tr("memory reads %1").replace("%1", display.rate(machine.bandwidth.read_bytes_s)))
    return " · ".join(parts)


def _tr(text: str) -> str:
    return QCoreApplication.translate("machine", text)
