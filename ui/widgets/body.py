"""The text of one message: Markdown blocks under each other, with selection, links and *Copy* on code.

Text may come in pieces and is worked off in slices: ``work`` is called by the transcript's frame clock with a deadline
and never does much more than it allows. The body tells its height, it does not scroll.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import pairwise

from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QGuiApplication,
    QHelpEvent,
    QKeyEvent,
    QKeySequence,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from ui.widgets.block_of import block_of
from ui.widgets.blocks import Block, gap_between
from ui.widgets.code import HEADER, CodeBlock
from ui.widgets.copy_button import CopyButton
from ui.widgets.highlight import LexerShelf
from ui.widgets.ink import Ink
from ui.widgets.leaves import Leaf
from ui.widgets.markdown import MarkdownStream
from ui.widgets.scrolling import WideBlock
from ui.widgets.selection import Place, Selection, word_at
from ui.widgets.text_finds import CITED, Found, addresses_in, find_words, numbers_in

SLICE_CHARS = 1_500
"""Text is parsed in pieces of this size between two looks at the clock."""


class MessageBody(QWidget):
    """``set_width`` before it is shown; ``height_changed`` whenever the text needs another height."""

    height_changed = Signal()
    link_clicked = Signal(str)
    dragged = Signal(QPoint)
    """The mouse is selecting, at this global position: the transcript scrolls when that is near its edge."""
    menu_wanted = Signal(QPoint)
    focus_changed = Signal()

    def __init__(self, ink: Ink, shelf: LexerShelf, *, plain: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._ink = ink
        self._shelf = shelf
        self._plain = plain
        self._stream = MarkdownStream(plain=plain)
        self._source = ""
        self._unread = ""
        self._ended = False
        self._blocks: list[Block] = []
        self._buttons: dict[CodeBlock, CopyButton] = {}
        self._selection = Selection()
        self._found: list[Found] = []
        self._held: WideBlock | None = None
        self._pressed_link = ""
        self._cited: Mapping[int, str] = {}
        self.ringed = False
        """Whether the focus came by keyboard and a ring is due; whoever holds the body paints it."""
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.IBeamCursor)

    # Text.

    @property
    def source(self) -> str:
        """The Markdown so far, read or not."""
        return self._source

    def append(self, text: str) -> None:
        """More text; it shows after the next ``work``."""
        self._source += text
        self._unread += text

    def end(self) -> None:
        """No more text will come."""
        self._ended = True

    def replace(self, text: str) -> None:
        """Another text altogether."""
        self._stream = MarkdownStream(plain=self._plain)
        self._source, self._unread, self._ended = text, text, False
        self._selection.clear()
        self._apply(0)

    @property
    def idle(self) -> bool:
        """Whether ``work`` would have nothing to do."""
        return not self.reading and all(block.idle for block in self._buttons)

    @property
    def reading(self) -> bool:
        """Whether text waits to be laid out."""
        return bool(self._unread) or self._ended

    def work(self, deadline: float) -> None:
        """Lay out waiting text, then colour code, until the deadline; at least one slice."""
        while self._unread:
            piece, self._unread = self._unread[:SLICE_CHARS], self._unread[SLICE_CHARS:]
            self._apply(self._stream.append(piece))
            if time.perf_counter() > deadline:
                return
        if self._ended:
            self._ended = False
            self._apply(self._stream.finish())
        for block in self._buttons:
            if not block.idle:
                if time.perf_counter() > deadline:
                    return
                changed = block.work(deadline)
                if changed is not None:
                    self.update(changed.translated(0, block.y).toAlignedRect())

    # Layout.

    def set_width(self, width: int) -> None:
        """Lay out all blocks to a width."""
        if width == self.width() and self._blocks:
            return
        self.resize(width, self.height())
        for block in self._blocks:
            block.layout(width)
        self._stack(0)

    def set_ink(self, ink: Ink) -> None:
        """Another theme: the same text in other colours."""
        self._ink = ink
        self._blocks, waiting = [], self._source
        for button in self._buttons.values():
            button.deleteLater()
        self._buttons = {}
        for leaf in self._stream.leaves:
            self._blocks.append(self._make(leaf))
        self._source = waiting
        self._cite(0)
        self._mark()
        self._stack(0)
        self.update()

    def _apply(self, first: int) -> None:
        """Make the blocks from ``first`` on those of the stream's leaves."""
        leaves = self._stream.leaves
        for index in range(first, len(leaves)):
            leaf = leaves[index]
            if index >= len(self._blocks):
                self._blocks.append(self._make(leaf))
            elif self._blocks[index].leaf != leaf and not self._blocks[index].accept(leaf):
                self._drop(self._blocks[index])
                self._blocks[index] = self._make(leaf)
        for block in self._blocks[len(leaves) :]:
            self._drop(block)
        del self._blocks[len(leaves) :]
        self._cite(first)
        self._stack(first)

    def _make(self, leaf: Leaf) -> Block:
        block = block_of(leaf, self._ink, self._shelf)
        if isinstance(block, CodeBlock):
            button = CopyButton(self.tr("Copy code"), lambda: block.text, self._ink, self)
            self._buttons[block] = button
            button.show()
        block.layout(self.width())
        return block

    def _drop(self, block: Block) -> None:
        if isinstance(block, CodeBlock):
            self._buttons.pop(block).deleteLater()

    def _stack(self, first: int) -> None:
        """Put the blocks from ``first`` on under each other."""
        y = 0.0
        if first:
            above = self._blocks[first - 1]
            y = above.y + above.height
        for index in range(first, len(self._blocks)):
            block = self._blocks[index]
            if index:
                y += gap_between(self._blocks[index - 1], block)
            block.y = float(round(y))
            y = block.y + block.height
            if isinstance(block, CodeBlock):
                button = self._buttons[block]
                button.move(int(self.width() - button.width() - 6), int(block.y + (HEADER - button.height()) / 2))
        top = int(self._blocks[first].y) if first < len(self._blocks) else 0
        self.update(QRect(0, max(top - 4, 0), self.width(), 1 << 20))
        height = max(int(y + 0.999), 1)
        if height != self.height():
            self.resize(self.width(), height)
            self.height_changed.emit()

    # Find.

    def mark_words(self, words: str) -> list[Found]:
        """Where the words occur, upper and lower case alike; they are marked until asked for ""."""
        self._found = find_words([block.text for block in self._blocks], words)
        self._mark()
        return list(self._found)

    def point_out(self, found: Found | None) -> int:
        """Make one of them the current one; returns the top of its line."""
        self._mark(found)
        if found is None or found.block >= len(self._blocks):
            return 0
        block = self._blocks[found.block]
        if isinstance(block, WideBlock):
            block.scroll_to(block.offset)
        return int(block.y + block.line_top(found.start))

    def _mark(self, now: Found | None = None) -> None:
        for index, block in enumerate(self._blocks):
            block.marks = [(f.start, f.end, f == now) for f in self._found if f.block == index]
        self.update()

    # Sources.

    def set_cited(self, cited: Mapping[int, str]) -> None:
        """Numbers in brackets that point to sources, and what a pointer over them is told."""
        if cited != self._cited:
            self._cited = cited
            self._cite(0)
            self.update()

    def _cite(self, first: int) -> None:
        for block in self._blocks[first:]:
            block.cites = numbers_in(block.text, self._cited)

    # Selection.

    def selected_text(self) -> str:
        return self._selection.text(self._blocks)

    def select_all(self) -> None:
        self._selection.choose_all(self._blocks)
        self.update()

    def clear_selection(self) -> None:
        if self._selection:
            self._selection.clear()
            self.update()

    def copy(self) -> None:
        """The selection, or else the whole message as Markdown."""
        data = QMimeData()
        data.setText(self.selected_text() or self._source)
        QGuiApplication.clipboard().setMimeData(data)

    # Events.

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        exposed = QRectF(event.rect())
        first = max(bisect_right(self._blocks, exposed.top(), key=lambda block: block.y) - 1, 0)
        above = self._blocks[first - 1] if first else None
        for index in range(first, len(self._blocks)):
            block = self._blocks[index]
            if block.y - 24 > exposed.bottom():
                break
            gap = block.y - (above.y + above.height) if above is not None and above.leaf.nest else 0.0
            if block.y + block.height >= exposed.top() - 4 and block.y - gap <= exposed.bottom() + 4:
                painter.save()
                painter.translate(0, block.y)
                block.paint_nest(painter, gap if above is not None and "quote" in above.leaf.nest else 0.0)
                block.paint(painter, exposed.translated(0, -block.y), self._selection.part(index, len(block.text)))
                painter.restore()
            above = block
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        x, y = event.position().x(), event.position().y()
        block = self._block_at(y)
        if isinstance(block, WideBlock) and block.press_bar(x, y - block.y):
            self._held = block
            return
        self._pressed_link = self._link_at(event.position())
        place = self._place(event.position())
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._selection.stretch(place)
        else:
            self._selection.begin(place)
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._held is not None:
            if self._held.drag_bar(event.position().x()):
                self.update()
            return
        if event.buttons() & Qt.MouseButton.LeftButton:
            self._selection.stretch(self._place(event.position()))
            self.dragged.emit(event.globalPosition().toPoint())
            self.update()
            return
        over_link = bool(self._link_at(event.position()))
        self.setCursor(Qt.CursorShape.PointingHandCursor if over_link else Qt.CursorShape.IBeamCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if self._held is not None:
            self._held.release_bar()
            self._held = None
        elif self._pressed_link and not self._selection and self._link_at(event.position()) == self._pressed_link:
            self.link_clicked.emit(self._pressed_link)
        self._pressed_link = ""

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        place = self._place(event.position())
        if place.block < len(self._blocks):
            start, end = word_at(self._blocks[place.block].text, place.position)
            self._selection.choose(Place(place.block, start), Place(place.block, end))
            self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        delta = event.angleDelta()
        sideways = delta.x() or (delta.y() if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 0)
        block = self._block_at(event.position().y())
        if sideways and abs(sideways) >= abs(delta.y()) and isinstance(block, WideBlock) and block.scrolls:
            if block.scroll_to(block.offset - sideways * 0.5):
                self.update()
            event.accept()
        else:
            event.ignore()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy()
        elif event.matches(QKeySequence.StandardKey.SelectAll):
            self.select_all()
        elif event.key() == Qt.Key.Key_Escape and self._selection:
            self.clear_selection()
        else:
            event.ignore()

    def focusInEvent(self, event: QFocusEvent) -> None:
        by_keyboard = (Qt.FocusReason.TabFocusReason, Qt.FocusReason.BacktabFocusReason)
        self.ringed = event.reason() in by_keyboard
        self.focus_changed.emit()
        super().focusInEvent(event)

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.ringed = False
        self.focus_changed.emit()
        super().focusOutEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        self.menu_wanted.emit(event.globalPos())

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QHelpEvent) and event.type() is QEvent.Type.ToolTip:
            address = self._link_at(QPointF(event.pos()))
            if address.startswith(CITED):
                address = self._cited.get(int(address.removeprefix(CITED)), "")
            if address:
                QToolTip.showText(event.globalPos(), address, self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def code_blocks(self) -> Sequence[CodeBlock]:
        """The code in the text, in order."""
        return tuple(sorted(self._buttons, key=lambda block: block.y))

    def links(self) -> Sequence[str]:
        """The addresses in the text, each once, in order: for the menu and the keyboard."""
        return addresses_in(self._stream.leaves)

    def _block_at(self, y: float) -> Block | None:
        return next((block for block in self._blocks if block.y <= y < block.y + block.height), None)

    def _place(self, at: QPointF) -> Place:
        """The nearest position; in a gap the end of the block above."""
        for index, (block, below) in enumerate(pairwise([*self._blocks, None])):
            assert block is not None
            if at.y() < block.y + block.height or below is None or at.y() < (block.y + block.height + below.y) / 2:
                return Place(index, block.hit(at.x(), at.y() - block.y))
        return Place(0, 0)

    def _link_at(self, at: QPointF) -> str:
        block = self._block_at(at.y())
        if block is None:
            return ""
        number = block.cite_at(at.x(), at.y() - block.y)
        return f"{CITED}{number}" if number >= 0 else block.link_at(at.x(), at.y() - block.y)
