"""The quiet line under an answer that may not be good enough: why, and three things to do about it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QLabel, QPushButton, QWidget

from app.gate.records import Flag, Offers
from ui.icons import Icons
from ui.theme import GRID
from ui.widgets.ink import Ink
from ui.widgets.parts import button, label, row

_SHOWN = 2
"""Reasons in the line; the tooltip has all."""


class FlagLine(QFrame):
    """*Larger local model*, *Ask the cloud…*, *Keep*. What can be chosen is known once the offers are here."""

    larger_wanted = Signal()
    cloud_wanted = Signal()
    kept = Signal()

    def __init__(self, flag: Flag, offers: Offers | None, ink: Ink, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self.flag = flag
        self._icons = icons
        self._sign = QLabel()
        self._sign.setContentsMargins(0, 7, 0, 0)
        self._words = label("", ink.caption, "muted", wrap=True)
        self.larger = self._choice(ink, self.larger_wanted.emit)
        self.cloud = self._choice(ink, self.cloud_wanted.emit)
        self.keep = self._choice(ink, self.kept.emit)
        self.keep.setText(self.tr("Keep"))
        self.keep.setAccessibleName(self.tr("Keep this answer"))
        layout = row(self._sign, self._words, self.larger, self.cloud, self.keep, spacing=4)
        layout.setStretch(1, 1)
        layout.insertSpacing(4, 4)  # from the back, so that the places before stay what they are
        layout.insertSpacing(3, 4)
        layout.insertSpacing(2, GRID)
        layout.setAlignment(self._sign, Qt.AlignmentFlag.AlignTop)
        self.setLayout(layout)
        self.show_flag(flag)
        self.show_offers(offers)
        self.set_ink(ink)

    def show_flag(self, flag: Flag) -> None:
        self.flag = flag
        reasons = "; ".join(flag.reasons[:_SHOWN])
        words = {
            "larger": self.tr("A larger model may do better: %1."),
            "cloud": self.tr("This may be too hard for this model: %1."),
        }.get(flag.tier, self.tr("Look twice: %1."))
        self._words.setText(words.replace("%1", reasons))
        self._words.setToolTip("\n".join(flag.reasons))
        self.setAccessibleName(self._words.text())
        self.setAccessibleDescription("; ".join(flag.reasons))

    def show_offers(self, offers: Offers | None) -> None:
        """What can be chosen; ``None`` while that is not known."""
        name = offers.larger_model_name if offers is not None else ""
        self.larger.setVisible(bool(name))
        self.larger.setText(self.tr("Larger local model"))
        self.larger.setToolTip(self.tr("Load %1 and let it answer, on this machine.").replace("%1", name))
        self.larger.setAccessibleName(self.tr("Let %1 answer, on this machine").replace("%1", name))
        self.cloud.setText(self.tr("Ask the cloud…"))
        self.cloud.setVisible(offers is not None)
        why = "" if offers is None or offers.cloud.allowed else offers.cloud.sentence
        self.cloud.setEnabled(not why)
        told = why or self.tr("See first exactly what would leave.")
        self.cloud.setToolTip(told)
        self.cloud.setAccessibleDescription(told)

    @property
    def words(self) -> str:
        return self._words.text()

    def height_for(self, width: int) -> int:
        layout = self.layout()
        assert layout is not None
        return max(layout.heightForWidth(width) if layout.hasHeightForWidth() else 0, 28)

    def set_ink(self, ink: Ink) -> None:
        self._sign.setPixmap(self._icons.pixmap("circle-alert", "muted", 14, self.devicePixelRatioF()))
        self._words.setFont(ink.caption)

    @staticmethod
    def _choice(ink: Ink, run: object) -> QPushButton:
        made = button("", None, "link")
        made.clicked.connect(run)
        made.setFont(ink.caption)
        made.setCursor(Qt.CursorShape.PointingHandCursor)
        return made
