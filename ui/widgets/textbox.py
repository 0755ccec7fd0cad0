"""One run of rich text laid out to a width: the body of a paragraph, or a table's cell.

Wraps ``QTextLayout``: breaks lines, paints with selection and marks, tells which character and which link is where.
Positions are offsets into ``text``, in Python characters; Qt counts UTF-16 units, the difference stays in here.
"""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QTextCharFormat, QTextLayout, QTextLine, QTextOption

from ui.widgets.ink import LINE_HEIGHT, Ink, line_step
from ui.widgets.leaves import Run, Span, Style

Align = Qt.AlignmentFlag
_ALIGNMENTS = {"left": Align.AlignLeft, "center": Align.AlignHCenter, "right": Align.AlignRight}
_CHIP_PAD = 3.0
Cite = tuple[int, int, int]
"""A number in brackets that points to a source: start, end, and the number."""
Mark = tuple[int, int, bool]
"""A found place: start, end, and whether it is the current one."""


class TextBox:
    """Laid-out text. ``set_width`` before anything else."""

    def __init__(
        self, run: Run, font: QFont, ink: Ink, *, align: str = "left", ratio: float = LINE_HEIGHT, wrap: bool = True
    ) -> None:
        self.text = run.text
        self.spans = run.spans
        self.height = 0.0
        self._ink = ink
        self._step = line_step(font, ratio)
        shown = run.text.replace("\n", "\N{LINE SEPARATOR}")
        self._wide = None if shown.isascii() or max(map(ord, shown), default=0) < 0x10000 else _unit_offsets(shown)
        self._layout = QTextLayout(shown, font)
        self._layout.setCacheEnabled(True)
        option = QTextOption(_ALIGNMENTS[align])
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere if wrap else QTextOption.WrapMode.NoWrap)
        self._layout.setTextOption(option)
        if run.spans:
            self._layout.setFormats([*(self._format(span, font) for span in run.spans), *self._paddings()])

    def set_width(self, width: float) -> float:
        """Break lines; returns the height."""
        layout = self._layout
        layout.beginLayout()
        y = 0.0
        while (line := layout.createLine()).isValid():
            line.setLineWidth(width)
            line.setPosition(QPointF(0, y + max(0.0, (self._step - line.height()) / 2)))
            y += max(self._step, line.height())
        layout.endLayout()
        self.height = y or self._step
        return self.height

    def natural_width(self) -> float:
        """The width at which nothing wraps; lays the text out anew."""
        self.set_width(100_000.0)
        return max((self._layout.lineAt(i).naturalTextWidth() for i in range(self._layout.lineCount())), default=0.0)

    def baseline(self) -> float:
        """Of the first line, from the top."""
        if not self._layout.lineCount():
            return self._step * 0.75
        line = self._layout.lineAt(0)
        return float(line.y() + line.ascent())

    def paint(
        self,
        painter: QPainter,
        x: float,
        y: float,
        clip: QRectF,
        chosen: tuple[int, int] | None,
        marks: Sequence[Mark],
        cites: Sequence[Cite] = (),
    ) -> None:
        for span in self.spans:
            if span.style & Style.CODE:
                self._paint_chip(painter, x, y, span)
        ranges = []
        for start, end, _number in cites:
            shape = QTextCharFormat()
            shape.setForeground(self._ink.accent)
            ranges.append(_format_range(self._to_layout(start), self._to_layout(end), shape))
        for start, end, now in marks:
            ranges.append(self._range(start, end, self._ink.found_now if now else self._ink.found, now))
        if chosen is not None and chosen[1] > chosen[0]:
            ranges.append(self._range(chosen[0], chosen[1], self._ink.selection, False))
        painter.setPen(self._ink.text)
        self._layout.draw(painter, QPointF(x, y), ranges, clip)

    def hit(self, x: float, y: float) -> int:
        """The position nearest to a point."""
        count = self._layout.lineCount()
        for index in range(count):
            line = self._layout.lineAt(index)
            bottom = self._layout.lineAt(index + 1).y() if index + 1 < count else self.height
            if y < bottom or index == count - 1:
                return self._to_text(int(line.xToCursor(x)))
        return 0

    def link_at(self, x: float, y: float) -> str:
        """The address of the link under a point, or nothing."""
        if not any(span.address for span in self.spans):
            return ""
        at = self.character_at(x, y)
        return next((span.address for span in self.spans if span.start <= at < span.end), "")

    def character_at(self, x: float, y: float) -> int:
        """The position of the character under a point; -1 beside the text."""
        for index in range(self._layout.lineCount()):
            line = self._layout.lineAt(index)
            if line.y() <= y < line.y() + line.height() and line.naturalTextRect().contains(QPointF(x, line.y() + 1)):
                return self._to_text(int(line.xToCursor(x, QTextLine.CursorPosition.CursorOnCharacter)))
        return -1

    def line_top(self, position: int) -> float:
        """Where the line of a position begins, from the top."""
        line = self._layout.lineForTextPosition(self._to_layout(position))
        return float(line.y()) if line.isValid() else 0.0

    def _paint_chip(self, painter: QPainter, x: float, y: float, span: Span) -> None:
        begin, end = self._to_layout(span.start), self._to_layout(span.end)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._ink.code_background)
        for index in range(self._layout.lineCount()):
            line = self._layout.lineAt(index)
            first, last = line.textStart(), line.textStart() + line.textLength()
            if last <= begin or first >= end:
                continue
            left = _cursor_x(line, max(begin, first))
            right = _cursor_x(line, min(end, last))
            # At the left edge of the text there is no room beside it.
            begins = x + max(left - _CHIP_PAD, 0.5)
            chip = QRectF(begins, y + line.y() + 0.5, x + right - begins, line.height() - 1)
            painter.setPen(self._ink.border)
            painter.drawRoundedRect(chip, 4, 4)
        painter.setBrush(Qt.BrushStyle.NoBrush)

    def _paddings(self) -> list[QTextLayout.FormatRange]:
        """Room for the chips of inline code; Qt widens after a letter: the one before the code, and its last."""
        spaced = QTextCharFormat()
        spaced.setFontLetterSpacingType(QFont.SpacingType.AbsoluteSpacing)
        spaced.setFontLetterSpacing(_CHIP_PAD)
        ends = [at for span in self.spans if span.style & Style.CODE for at in (span.start, span.end) if at]
        return [_format_range(self._to_layout(at - 1), self._to_layout(at), spaced) for at in ends]

    def _format(self, span: Span, font: QFont) -> QTextLayout.FormatRange:
        shape = QTextCharFormat()
        if span.style & (Style.CODE | Style.MATHS):
            shape.setFont(self._ink.mono)
        if span.style & Style.BOLD:
            shape.setFontWeight(QFont.Weight.DemiBold)
        if span.style & Style.ITALIC:
            shape.setFontItalic(True)
        if span.style & Style.STRIKE:
            shape.setFontStrikeOut(True)
        if span.style & Style.LINK:
            shape.setForeground(self._ink.accent)
            shape.setFontUnderline(True)
        return _format_range(self._to_layout(span.start), self._to_layout(span.end), shape)

    def _range(self, start: int, end: int, colour: QColor, inverted: bool) -> QTextLayout.FormatRange:
        shape = QTextCharFormat()
        shape.setBackground(colour)
        if inverted:
            shape.setForeground(self._ink.surface)
        return _format_range(self._to_layout(start), self._to_layout(end), shape)

    def _to_layout(self, position: int) -> int:
        if self._wide is None:
            return position
        return self._wide[min(position, len(self._wide) - 1)]

    def _to_text(self, units: int) -> int:
        if self._wide is None:
            return units
        return next((i for i, at in enumerate(self._wide) if at >= units), len(self.text))


def _unit_offsets(text: str) -> list[int]:
    """UTF-16 offset of each character, and of the end."""
    offsets = [0]
    for sign in text:
        offsets.append(offsets[-1] + (2 if ord(sign) > 0xFFFF else 1))
    return offsets


def _cursor_x(line: QTextLine, position: int) -> float:
    at = line.cursorToX(position)  # the binding returns the place and the position it was rounded to
    return float(at[0]) if isinstance(at, tuple) else float(at)  # type: ignore[arg-type]


def _format_range(start: int, end: int, shape: QTextCharFormat) -> QTextLayout.FormatRange:
    piece = QTextLayout.FormatRange()
    piece.start = start
    piece.length = end - start
    piece.format = shape
    return piece
