"""What a leaf of Markdown looks like: paragraphs, headings, rules, and the base of all blocks.

A block is no widget. ``ui.widgets.body`` places blocks under each other, paints the ones in sight and turns the mouse
into positions. Positions are offsets into ``Block.text``, which is also what gets copied.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPen

from ui.widgets.ink import Ink
from ui.widgets.leaves import Leaf, Nest, Prose, Rule
from ui.widgets.textbox import Cite, Mark, TextBox

LIST_STEP = 26.0
QUOTE_STEP = 18.0
QUOTE_BAR = 3.0


class Block(ABC):
    """One leaf on screen. The body sets ``y``; ``layout`` sets ``height``."""

    def __init__(self, leaf: Leaf, ink: Ink) -> None:
        self.leaf = leaf
        self.ink = ink
        self.y = 0.0
        self.height = 0.0
        self.width = 0.0
        self.marks: Sequence[Mark] = ()
        self.cites: Sequence[Cite] = ()
        self.indent = sum(LIST_STEP if step == "list" else QUOTE_STEP for step in leaf.nest)

    @property
    @abstractmethod
    def text(self) -> str:
        """What selecting it all would copy."""

    @abstractmethod
    def layout(self, width: float) -> None:
        """Lay out to the whole width, indentation included."""

    @abstractmethod
    def paint(self, painter: QPainter, clip: QRectF, chosen: tuple[int, int] | None) -> None:
        """Paint with the origin at the block's top left; ``clip`` is in the same coordinates."""

    @abstractmethod
    def hit(self, x: float, y: float) -> int:
        """The position nearest to a point."""

    def link_at(self, x: float, y: float) -> str:
        return ""

    def cite_at(self, x: float, y: float) -> int:
        """The number of the source that is pointed to under a point; -1 when none is."""
        return -1

    def line_top(self, position: int) -> float:
        """Where the line with a position begins, from the block's top."""
        return 0.0

    def accept(self, leaf: Leaf) -> bool:
        """Take the leaf's next form in place, when that is cheaper than a new block; else false."""
        return False

    def paint_nest(self, painter: QPainter, gap: float) -> None:
        """Bars of quotes, up through the ``gap`` to the block above when that is quoted too."""
        x = 0.0
        for step in self.leaf.nest:
            if step == "quote":
                painter.fillRect(QRectF(x, -gap, QUOTE_BAR, self.height + gap), self.ink.border)
            x += LIST_STEP if step == "list" else QUOTE_STEP


class ProseBlock(Block):
    """A paragraph or a heading, with its bullet or number."""

    leaf: Prose

    def __init__(self, leaf: Prose, ink: Ink) -> None:
        super().__init__(leaf, ink)
        ratio = 1.3 if 1 <= leaf.level <= 3 else 1.5
        self._box = TextBox(leaf.run, ink.headings[leaf.level], ink, ratio=ratio)

    @property
    def text(self) -> str:
        return self._box.text

    def layout(self, width: float) -> None:
        self.width = width
        self.height = self._box.set_width(max(width - self.indent, 40.0))

    def paint(self, painter: QPainter, clip: QRectF, chosen: tuple[int, int] | None) -> None:
        if self.leaf.marker:
            _paint_marker(painter, self.leaf, self.indent, self._box.baseline(), self.ink)
        self._box.paint(painter, self.indent, 0.0, clip, chosen, self.marks, self.cites)

    def hit(self, x: float, y: float) -> int:
        return self._box.hit(x - self.indent, y)

    def link_at(self, x: float, y: float) -> str:
        return self._box.link_at(x - self.indent, y)

    def cite_at(self, x: float, y: float) -> int:
        if not self.cites:
            return -1
        at = self._box.character_at(x - self.indent, y)
        return next((number for start, end, number in self.cites if start <= at < end), -1)

    def line_top(self, position: int) -> float:
        return self._box.line_top(position)


class RuleBlock(Block):
    """A horizontal line."""

    @property
    def text(self) -> str:
        return ""

    def layout(self, width: float) -> None:
        self.width = width
        self.height = 9.0

    def paint(self, painter: QPainter, clip: QRectF, chosen: tuple[int, int] | None) -> None:
        painter.fillRect(QRectF(self.indent, 4.0, self.width - self.indent, 1.0), self.ink.border)

    def hit(self, x: float, y: float) -> int:
        return 0


def _paint_marker(painter: QPainter, leaf: Prose, indent: float, baseline: float, ink: Ink) -> None:
    marker = leaf.marker
    painter.setPen(ink.muted)
    if marker in "•◦▪":
        centre = QPointF(indent - 14.0, baseline - QFontMetricsF(ink.body).xHeight() / 2 - 0.5)
        painter.setBrush(ink.muted if marker != "◦" else Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(ink.muted, 1.2) if marker == "◦" else Qt.PenStyle.NoPen)
        painter.drawEllipse(centre, 2.5, 2.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)
    elif marker in "☐☑":
        _paint_box(painter, indent, baseline, marker == "☑", ink)
    else:
        painter.setFont(ink.body)
        width = QFontMetricsF(ink.body).horizontalAdvance(marker)
        painter.drawText(QPointF(indent - 7.0 - width, baseline), marker)


def _paint_box(painter: QPainter, indent: float, baseline: float, ticked: bool, ink: Ink) -> None:
    frame = QRectF(indent - 21.5, baseline - 11.5, 13.0, 13.0)
    painter.setPen(QPen(ink.accent if ticked else ink.border_strong, 1.2))
    painter.setBrush(ink.accent if ticked else Qt.BrushStyle.NoBrush)
    painter.drawRoundedRect(frame, 3, 3)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if ticked:
        painter.setPen(QPen(ink.surface, 1.8))
        left, top = frame.x(), frame.y()
        painter.drawPolyline(
            [QPointF(left + 3.2, top + 6.8), QPointF(left + 5.6, top + 9.2), QPointF(left + 10, top + 4.2)]
        )


def gap_between(above: Block, below: Block) -> float:
    """Empty space between two blocks."""
    first, second = above.leaf, below.leaf
    if isinstance(second, Prose) and second.continues:
        return 0.0
    if isinstance(second, Prose) and second.level:
        return {1: 24.0, 2: 22.0}.get(second.level, 18.0)
    if isinstance(first, Prose) and first.level:
        return 8.0
    if isinstance(first, Rule) or isinstance(second, Rule):
        return 12.0
    tight = second.marker and _listed(first.nest) and isinstance(first, Prose)
    return 4.0 if tight else 12.0


def _listed(nest: Nest) -> bool:
    return "list" in nest
