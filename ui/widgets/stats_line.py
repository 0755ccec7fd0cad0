"""The quiet line under an answer: which model, on what, how fast, and on a click the rest."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QFrame, QGridLayout, QWidget

from app.chat.records import AnswerStats
from ui import display
from ui.icons import Icons
from ui.widgets.ink import Ink
from ui.widgets.parts import label

_HEIGHT = 28
_SIGN = 14


def summary(model: str, stats: AnswerStats) -> str:
    """``SmolLM2-135M · CPU · 0.4 s · 23 tok/s · local``; what was not measured is left out.

    Of an answer from elsewhere: ``gpt-5-mini · OpenAI · 1.1 s · 84 tok/s · $0.0005 · cloud``.
    """
    parts = [model, stats.provider or stats.device]
    if stats.ttft_s is not None:
        parts.append(display.duration(stats.ttft_s))
    if stats.decode_tok_s is not None:
        parts.append(display.speed(stats.decode_tok_s))
    if stats.cost_usd is not None:
        parts.append(display.usd(stats.cost_usd))
    parts.append({"local": _tr("local"), "team": _tr("team server"), "cloud": _tr("cloud")}[stats.route])
    return " · ".join(part for part in parts if part)


def details(model: str, stats: AnswerStats) -> list[tuple[str, str]]:
    """Everything that was measured, as label and value."""
    rows = [(_tr("Model"), model)]
    if stats.route == "local":
        rows.append((_tr("Ran on"), stats.device))
    else:
        where = {"team": _tr("%1, a team server"), "cloud": _tr("%1, a cloud")}[stats.route]
        rows.append((_tr("Answered by"), where.replace("%1", stats.provider)))
    if stats.cost_usd is not None:
        rows.append((_tr("Cost"), display.usd(stats.cost_usd)))
    if stats.prompt_tokens is not None:
        rows.append((_tr("Prompt"), display.tokens(stats.prompt_tokens)))
    if stats.cached_tokens is not None:
        rows.append((_tr("of which cached"), display.tokens(stats.cached_tokens)))
    if stats.completion_tokens is not None:
        rows.append((_tr("Answer"), display.tokens(stats.completion_tokens)))
    if stats.ttft_s is not None:
        rows.append((_tr("First token after"), display.duration(stats.ttft_s)))
    if stats.decode_tok_s is not None:
        rows.append((_tr("Writing speed"), display.speed(stats.decode_tok_s)))
    if stats.total_s is not None:
        rows.append((_tr("Altogether"), display.duration(stats.total_s)))
    if stats.finish_reason:
        reasons = {
            "stop": _tr("the model was done"),
            "length": _tr("the length limit was reached"),
            "cancelled": _tr("stopped by you"),
        }
        rows.append((_tr("Ended because"), reasons.get(stats.finish_reason, stats.finish_reason)))
    return rows


class StatsLine(QAbstractButton):
    """Text that opens its details."""

    def __init__(self, ink: Ink, icons: Icons, parent: QWidget) -> None:
        super().__init__(parent)
        self._ink, self._icons = ink, icons
        self._sign = ""
        self._rows: list[tuple[str, str]] = []
        self.setFont(ink.caption)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setFixedHeight(_HEIGHT)
        self.setAccessibleName(self.tr("Statistics"))
        self.hide()
        self.clicked.connect(self._open)

    def show_stats(self, model: str, stats: AnswerStats | None, otherwise: str = "") -> None:
        """The line of an answer; ``otherwise`` is said while there are no statistics."""
        self._rows = details(model, stats) if stats is not None else []
        self._sign = {"team": "server", "cloud": "cloud"}.get(stats.route, "") if stats is not None else ""
        self.setText(summary(model, stats) if stats is not None else otherwise)
        told = "\n".join(f"{name}: {value}" for name, value in self._rows)
        self.setToolTip(told)
        self.setAccessibleName(self.text() or self.tr("Statistics"))
        self.setAccessibleDescription(told)
        self.setEnabled(bool(self._rows))
        self.setCursor(Qt.CursorShape.PointingHandCursor if self._rows else Qt.CursorShape.ArrowCursor)
        self.setVisible(bool(self.text()))
        self.update()

    def set_ink(self, ink: Ink) -> None:
        self._ink = ink
        self.update()

    def sizeHint(self) -> QSize:
        words = QFontMetricsF(self._ink.caption).horizontalAdvance(self.text())
        return QSize(int(words + 14 + (_SIGN + 6 if self._sign else 0)), _HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.hasFocus():
            painter.setPen(QPen(self._ink.accent, 2))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 6, 6)
        painter.setFont(self.font())
        painter.setPen(self._ink.text if self.isEnabled() and self.underMouse() else self._ink.faint)
        left = 6
        if self._sign:
            sign = self._icons.pixmap(self._sign, "outside", _SIGN, self.devicePixelRatioF())
            painter.drawPixmap(left, (self.height() - _SIGN) // 2, sign)
            left += _SIGN + 6
        room = self.width() - left - 6
        words = QFontMetricsF(self.font()).elidedText(self.text(), Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(self.rect()).adjusted(left, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, words)
        painter.end()

    def _open(self) -> None:
        card = QFrame(self, Qt.WindowType.Popup)
        card.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        card.setProperty("kind", "notice")
        card.setAccessibleName(self.tr("How this answer came about"))
        grid = QGridLayout(card)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(24)
        grid.setVerticalSpacing(4)
        for number, (name, value) in enumerate(self._rows):
            grid.addWidget(label(name, self._ink.caption, "muted"), number, 0)
            grid.addWidget(label(value, self._ink.caption), number, 1)
        card.adjustSize()
        card.move(self.mapToGlobal(QPoint(0, -card.height() - 4)))
        card.show()


def _tr(text: str) -> str:
    return QCoreApplication.translate("stats", text)
