"""A Markdown table as a block: columns as wide as their content where there is room, wrapped where there is not."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QFont, QPainter

from ui.widgets.ink import Ink
from ui.widgets.leaves import Leaf, Run, Table
from ui.widgets.scrolling import BAR_HEIGHT, WideBlock
from ui.widgets.textbox import TextBox

PAD_X = 12.0
PAD_Y = 6.0
MIN_COLUMN = 72.0
"""A column is not wrapped narrower than this; beyond, the table scrolls."""


class TableBlock(WideBlock):
    """Positions are offsets into the cells' text, joined by tabs and line feeds."""

    leaf: Table

    def __init__(self, leaf: Table, ink: Ink) -> None:
        super().__init__(leaf, ink)
        self._strong = QFont(ink.body)
        self._strong.setWeight(QFont.Weight.DemiBold)
        self._boxes: list[list[TextBox]] = []
        self._natural: list[float] = []
        self._columns: list[float] = []
        self._laid_out = 0
        self._tops: list[float] = []
        self._starts: list[list[int]] = []
        self._text = ""
        self._extend(leaf)

    @property
    def text(self) -> str:
        return self._text

    def accept(self, leaf: Leaf) -> bool:
        if not isinstance(leaf, Table) or leaf.header != self.leaf.header or leaf.nest != self.leaf.nest:
            return False
        same = 0
        for old, new in zip(self.leaf.rows, leaf.rows, strict=False):
            if old != new:
                break
            same += 1
        self.leaf = leaf
        del self._boxes[same + 1 :]
        self._laid_out = min(self._laid_out, same + 1)
        self._extend(leaf)
        self.layout(self.width)
        return True

    def layout(self, width: float) -> None:
        self.width = width
        columns = self._share(self.view_width - 1)
        for row in self._boxes if columns != self._columns else self._boxes[self._laid_out :]:
            for box, column in zip(row, columns, strict=True):
                box.set_width(column - 2 * PAD_X)
        self._columns = columns
        self._laid_out = len(self._boxes)
        self.content_width = sum(columns) + 1
        self._tops = [0.0]
        for row in self._boxes:
            self._tops.append(self._tops[-1] + max((box.height for box in row), default=0.0) + 2 * PAD_Y)
        self.height = self._tops[-1] + 1 + (BAR_HEIGHT if self.scrolls else 0)
        self.scroll_to(self.offset)

    def paint(self, painter: QPainter, clip: QRectF, chosen: tuple[int, int] | None) -> None:
        painter.save()
        frame = QRectF(self.indent, 0, min(self.content_width, self.view_width), self._tops[-1] + 1)
        painter.setClipRect(frame, Qt.ClipOperation.IntersectClip)
        painter.translate(self.indent - self.offset, 0)
        painter.fillRect(QRectF(0, 0, self.content_width, self._tops[1]), self.ink.raised)
        for number, row in enumerate(self._boxes):
            top = self._tops[number]
            if self._tops[number + 1] < clip.top() or top > clip.bottom():
                continue
            self._paint_row(painter, number, row, top, chosen)
            if number + 1 < len(self._boxes):
                painter.fillRect(QRectF(0, self._tops[number + 1], self.content_width, 1), self.ink.border)
        painter.restore()
        painter.setPen(self.ink.border)
        painter.drawRoundedRect(frame.adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
        self.paint_bar(painter)

    def hit(self, x: float, y: float) -> int:
        row, column, left = self._cell(x, y)
        inside = self._boxes[row][column].hit(x - left - PAD_X, y - self._tops[row] - PAD_Y)
        return self._starts[row][column] + inside

    def link_at(self, x: float, y: float) -> str:
        row, column, left = self._cell(x, y)
        return self._boxes[row][column].link_at(x - left - PAD_X, y - self._tops[row] - PAD_Y)

    def line_top(self, position: int) -> float:
        row = next((n for n, starts in enumerate(self._starts) if starts and starts[0] > position), len(self._starts))
        return self._tops[max(row - 1, 0)]

    def _cell(self, x: float, y: float) -> tuple[int, int, float]:
        row = next((n for n in range(len(self._boxes)) if y < self._tops[n + 1]), len(self._boxes) - 1)
        left = self.indent - self.offset
        for column, width in enumerate(self._columns):
            if x < left + width or column == len(self._columns) - 1:
                return row, column, left
            left += width
        return row, 0, left

    def _paint_row(
        self, painter: QPainter, number: int, row: list[TextBox], top: float, chosen: tuple[int, int] | None
    ) -> None:
        left = 0.0
        for column, box in enumerate(row):
            start = self._starts[number][column]
            part = (max(chosen[0] - start, 0), min(chosen[1] - start, len(box.text))) if chosen else None
            marks = [
                (max(a - start, 0), min(b - start, len(box.text)), now)
                for a, b, now in self.marks
                if b > start and a < start + len(box.text)
            ]
            box.paint(painter, left + PAD_X, top + PAD_Y, QRectF(), part, marks)
            left += self._columns[column]

    def _extend(self, leaf: Table) -> None:
        """Boxes for the rows that have none yet; widths and texts of all."""
        rows: list[tuple[Run, ...]] = [leaf.header, *leaf.rows]
        for row in rows[len(self._boxes) :]:
            font = self._strong if not self._boxes else self.ink.body
            boxes = [TextBox(run, font, self.ink, align=leaf.alignments[n]) for n, run in enumerate(row)]
            widths = [box.natural_width() + 2 * PAD_X for box in boxes]
            self._natural = [max(a, b) for a, b in zip(self._natural or widths, widths, strict=True)]
            self._boxes.append(boxes)
        pieces: list[str] = []
        self._starts = []
        position = 0
        for boxes in self._boxes:
            starts = []
            for box in boxes:
                starts.append(position)
                position += len(box.text) + 1
            self._starts.append(starts)
            pieces.append("\t".join(box.text for box in boxes))
        self._text = "\n".join(pieces)

    def _share(self, room: float) -> list[float]:
        """Column widths: natural where all fits, else the wide columns give way first."""
        widths = [float(int(width) + 1) for width in self._natural]
        if sum(widths) <= room:
            return widths
        narrow = [min(width, MIN_COLUMN + 2 * PAD_X) for width in widths]
        spare = room - sum(narrow)
        if spare <= 0:
            return narrow
        wanted = [width - least for width, least in zip(widths, narrow, strict=True)]
        return [least + spare * want / sum(wanted) for least, want in zip(narrow, wanted, strict=True)]
