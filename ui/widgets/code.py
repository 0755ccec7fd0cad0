"""A code block: language, colours, its own sideways scrolling; a *Copy* button is put on it by the body.

Lines are laid out only when they are painted, so a thousand lines cost no more than the forty in sight.
"""

from __future__ import annotations

from bisect import bisect_right

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QFontMetricsF, QPainter, QPainterPath, QTextCharFormat, QTextLayout, QTextLine, QTextOption

from ui.widgets.highlight import Highlighter, LexerShelf
from ui.widgets.ink import CODE_LINE_HEIGHT, Ink, line_step
from ui.widgets.leaves import Code, Leaf
from ui.widgets.scrolling import BAR_HEIGHT, WideBlock

HEADER = 34.0
PADDING = 14.0
FOOT = 20.0
ROW_CHARS = 1_000
"""A longer line is shown in several rows; copying gives back the line."""
_KEPT_LAYOUTS = 400
_TAB = 4

_NAMES = {
    "py": "Python", "python": "Python", "js": "JavaScript", "javascript": "JavaScript", "ts": "TypeScript",
    "typescript": "TypeScript", "sh": "Shell", "bash": "Shell", "shell": "Shell", "zsh": "Shell", "console": "Terminal",
    "cpp": "C++", "c++": "C++", "c": "C", "cs": "C#", "csharp": "C#", "json": "JSON", "yaml": "YAML", "yml": "YAML",
    "toml": "TOML", "html": "HTML", "css": "CSS", "sql": "SQL", "xml": "XML", "md": "Markdown", "go": "Go",
    "rust": "Rust", "rs": "Rust", "php": "PHP", "ini": "INI", "latex": "LaTeX", "tex": "LaTeX", "jsx": "JSX",
    "tsx": "TSX",
}  # fmt: skip


class CodeBlock(WideBlock):
    """Positions are offsets into the code."""

    leaf: Code

    def __init__(self, leaf: Code, ink: Ink, shelf: LexerShelf) -> None:
        super().__init__(leaf, ink)
        self._rows: list[tuple[int, int]] = []
        self._lines_of_rows: list[tuple[int, int]] = []
        self._line_count = 0
        self._end = 0
        self._longest = 0.0
        self._step = line_step(ink.mono, CODE_LINE_HEIGHT)
        self._advance = ink.code_advance()
        self._metrics = QFontMetricsF(ink.mono)
        self._layouts: dict[int, QTextLayout] = {}
        self._shelf = shelf
        self._colourless = not leaf.language
        self.highlighter: Highlighter | None = None
        self._split(0)

    @property
    def text(self) -> str:
        return self.leaf.text

    @property
    def language(self) -> str:
        """As people write it."""
        return _NAMES.get(self.leaf.language, self.leaf.language.capitalize())

    def accept(self, leaf: Leaf) -> bool:
        before = self.leaf
        if not isinstance(leaf, Code) or (leaf.language, leaf.nest) != (before.language, before.nest):
            return False
        if not leaf.text.startswith(before.text):
            return False
        self.leaf = leaf
        # The last row may have been in the middle of its line: it is split again with what follows.
        start = self._lines_of_rows[-1][1] if self._lines_of_rows else 0
        while self._rows and self._rows[-1][0] >= start:
            self._rows.pop()
            self._lines_of_rows.pop()
        self._line_count = self._lines_of_rows[-1][0] + 1 if self._lines_of_rows else 0
        self._layouts = {row: layout for row, layout in self._layouts.items() if row < len(self._rows)}
        self._split(start)
        self._feed()
        self.layout(self.width)
        return True

    def layout(self, width: float) -> None:
        self.width = width
        self.content_width = self._longest + 2 * PADDING
        self.height = HEADER + len(self._rows) * self._step + FOOT + (BAR_HEIGHT - 4 if self.scrolls else 0)
        self.scroll_to(self.offset)

    def paint(self, painter: QPainter, clip: QRectF, chosen: tuple[int, int] | None) -> None:
        frame = QRectF(self.indent + 0.5, 0.5, self.view_width - 1, self.height - 1)
        painter.setPen(self.ink.border)
        painter.setBrush(self.ink.code_background)
        painter.drawRoundedRect(frame, 8, 8)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setFont(self.ink.caption)
        painter.setPen(self.ink.faint)
        label = QRectF(self.indent + PADDING, 1, self.view_width - 120, HEADER - 2)
        painter.drawText(label, Qt.AlignmentFlag.AlignVCenter, self.language)
        painter.fillRect(QRectF(self.indent + 1, HEADER - 1, self.view_width - 2, 1), self.ink.border)
        painter.save()
        inside = QPainterPath()
        inside.addRect(QRectF(self.indent + 1, HEADER, self.view_width - 2, self.height - HEADER - 1))
        painter.setClipPath(inside, Qt.ClipOperation.IntersectClip)
        first = max(0, int((clip.top() - self._top) // self._step))
        last = min(len(self._rows), int((clip.bottom() - self._top) // self._step) + 1)
        for row in range(first, last):
            self._paint_row(painter, row, chosen)
        painter.restore()
        self.paint_bar(painter)

    def hit(self, x: float, y: float) -> int:
        if not self._rows:
            return 0
        row = min(max(int((y - self._top) // self._step), 0), len(self._rows) - 1)
        line = self._layout(row).lineAt(0)
        units = int(line.xToCursor(x - self.indent - PADDING + self.offset))
        start, length = self._rows[row]
        return start + min(_to_text(self.leaf.text[start : start + length], units), length)

    def line_top(self, position: int) -> float:
        row = bisect_right(self._rows, position, key=lambda r: r[0]) - 1
        return self._top + max(row, 0) * self._step

    @property
    def _top(self) -> float:
        return HEADER + 8.0

    @property
    def idle(self) -> bool:
        return self._colourless if self.highlighter is None else self.highlighter.idle

    def work(self, deadline: float) -> QRectF | None:
        """Colour for a while; returns what is to be painted again."""
        if self.highlighter is None:
            self._fetch_colours()
        if self.highlighter is None:
            return None
        changed = self.highlighter.work(deadline)
        if changed is None:
            return None
        first = bisect_right(self._lines_of_rows, (changed[0], -1))
        last = bisect_right(self._lines_of_rows, (changed[1], -1))
        for row in range(first, last):
            self._layouts.pop(row, None)
        return QRectF(0, self._top + first * self._step, self.width, (last - first) * self._step)

    def _fetch_colours(self) -> None:
        if self._colourless or not self._shelf.ready(self.leaf.language):
            return
        lexer = self._shelf.lexer(self.leaf.language)
        self._colourless = lexer is None
        if lexer is not None:
            self.highlighter = Highlighter(lexer)
            self._feed()

    def _feed(self) -> None:
        if self.highlighter is not None:
            text = self.leaf.text
            self.highlighter.set_text(text if self.leaf.closed else text[: text.rfind("\n") + 1])

    def _split(self, start: int) -> None:
        """Rows of the text from the beginning of a line on."""
        text = self.leaf.text
        while start <= len(text):
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            for at in range(start, max(end, start + 1), ROW_CHARS):
                self._rows.append((at, min(ROW_CHARS, end - at)))
                self._lines_of_rows.append((self._line_count, start))
            piece = text[start : min(end, start + ROW_CHARS)]
            self._longest = max(self._longest, self._width_of(piece))
            self._line_count += 1
            start = end + 1

    def _width_of(self, piece: str) -> float:
        if "\t" in piece:
            piece = piece.expandtabs(_TAB)
        return len(piece) * self._advance if piece.isascii() else self._metrics.horizontalAdvance(piece)

    def _paint_row(self, painter: QPainter, row: int, chosen: tuple[int, int] | None) -> None:
        start, length = self._rows[row]
        layout = self._layout(row)
        ranges = []
        marks = [(a, b, self.ink.found_now if now else self.ink.found) for a, b, now in self.marks]
        if chosen is not None:
            marks.append((chosen[0], chosen[1], self.ink.selection))
        text = self.leaf.text[start : start + length]
        for begin, end, colour in marks:
            begin, end = max(begin - start, 0), min(end - start, length)
            if begin < end:
                piece = QTextLayout.FormatRange()
                piece.start = _to_units(text, begin)
                piece.length = _to_units(text, end) - piece.start
                shape = QTextCharFormat()
                shape.setBackground(colour)
                piece.format = shape
                ranges.append(piece)
        painter.setPen(self.ink.code["text"])
        layout.draw(painter, QPointF(self.indent + PADDING - self.offset, self._top + row * self._step), ranges)

    def _layout(self, row: int) -> QTextLayout:
        layout = self._layouts.get(row)
        if layout is None:
            if len(self._layouts) > _KEPT_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[row] = self._lay_out(row)
        return layout

    def _lay_out(self, row: int) -> QTextLayout:
        start, length = self._rows[row]
        text = self.leaf.text[start : start + length]
        layout = QTextLayout(text, self.ink.mono)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.NoWrap)
        option.setTabStopDistance(self._advance * _TAB)
        layout.setTextOption(option)
        layout.setFormats(self._formats(row, text))
        layout.beginLayout()
        line: QTextLine = layout.createLine()
        line.setLineWidth(1_000_000.0)
        line.setPosition(QPointF(0, max(0.0, (self._step - line.height()) / 2)))
        layout.endLayout()
        return layout

    def _formats(self, row: int, text: str) -> list[QTextLayout.FormatRange]:
        line, line_start = self._lines_of_rows[row]
        if self.highlighter is None or line >= len(self.highlighter.lines):
            return []
        shift = self._rows[row][0] - line_start
        formats = []
        for start, length, kind in self.highlighter.lines[line]:
            begin, end = max(start - shift, 0), min(start + length - shift, len(text))
            if begin >= end:
                continue
            piece = QTextLayout.FormatRange()
            piece.start = _to_units(text, begin)
            piece.length = _to_units(text, end) - piece.start
            shape = QTextCharFormat()
            shape.setForeground(self.ink.code[kind])
            piece.format = shape
            formats.append(piece)
        return formats


def _to_units(text: str, position: int) -> int:
    """Python characters to Qt's UTF-16 units."""
    return position if text.isascii() else len(text[:position].encode("utf-16-le", "surrogatepass")) // 2


def _to_text(text: str, units: int) -> int:
    if text.isascii():
        return units
    return len(text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "ignore"))
