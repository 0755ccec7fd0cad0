"""Two texts side by side that scroll together: what was written, and what would leave, with what is hidden marked."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QColor, QFont, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit

from app.gate.records import OutgoingMessage, Preview, Redaction
from ui.theme import ThemeStore

_MOST_MARKS = 2000
_LONGEST_LINE = 16_000
_PIECE = 2_000


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of a pane's text, in UTF-16 units as Qt counts; ``hidden`` is replaced, else it leaves as written."""

    start: int
    end: int
    placeholder: str
    hidden: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A message as a pane shows it."""

    heading: str
    text: str
    faint: bool = False


class TextPane(QPlainTextEdit):
    """Read only. Lays out what is in sight, so that a long history costs nothing."""

    def __init__(self, themes: ThemeStore, name: str) -> None:
        super().__init__()
        self._themes = themes
        self._pieces: tuple[Piece, ...] = ()
        self._starts: list[int] = []
        """Blocks where messages begin."""
        self._offsets: list[int] = []
        """Where messages' texts begin, in UTF-16 units."""
        self._marks: tuple[Mark, ...] = ()
        self._pointed = ""
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setUndoRedoEnabled(False)
        self.setAccessibleName(name)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.document().setDocumentMargin(12)
        themes.changed.connect(self._redraw)

    def show_pieces(self, pieces: Sequence[Piece]) -> None:
        """Other messages; where one was scrolled to is kept."""
        if tuple(pieces) == self._pieces:
            return
        at = self.verticalScrollBar().value()
        self._pieces = tuple(pieces)
        self._write()
        self.verticalScrollBar().setValue(at)

    def show_marks(self, marks: Sequence[Mark]) -> None:
        self._marks = tuple(marks[:_MOST_MARKS])
        self._paint_marks()

    def show_source(self, text: str) -> None:
        """One text as it is, in a monospaced font."""
        self._pieces, self._starts, self._offsets, self._marks = (), [0], [0], ()
        self.setExtraSelections([])
        self.clear()
        self.setFont(self._themes.fonts.mono)
        QTextCursor(self.document()).insertText(
            _broken(text), _format(self._themes.theme.text, self._themes.fonts.mono)
        )

    def point_out(self, placeholder: str) -> None:
        """Show one redaction's places more strongly, and bring the first into sight."""
        self._pointed = placeholder
        self._paint_marks()
        first = next((mark for mark in self._marks if mark.placeholder == placeholder), None)
        if first is not None:
            cursor = self.textCursor()
            cursor.setPosition(first.start)
            self.setTextCursor(cursor)
            self.ensureCursorVisible()

    def offset(self, place: int) -> int:
        """Where a message's text begins, in UTF-16 units."""
        return self._offsets[place]

    def place(self) -> tuple[int, float]:
        """The message at the top of what is seen, and how much of it lies above (ratio)."""
        block = self.firstVisibleBlock().blockNumber()
        message = max(bisect_right(self._starts, block) - 1, 0)
        first, last = self._lines(message)
        return message, (self.verticalScrollBar().value() - first) / max(last - first, 1)

    def go_to(self, message: int, ratio: float) -> None:
        if message < len(self._starts):
            first, last = self._lines(message)
            self.verticalScrollBar().setValue(round(first + ratio * (last - first)))

    # Inside.

    def _lines(self, message: int) -> tuple[int, int]:
        document = self.document()
        first = document.findBlockByNumber(self._starts[message] if self._starts else 0).firstLineNumber()
        later = self._starts[message + 1] if message + 1 < len(self._starts) else document.blockCount() - 1
        return first, max(document.findBlockByNumber(later).firstLineNumber(), first)

    def _write(self) -> None:
        theme, fonts = self._themes.theme, self._themes.fonts
        self.setFont(fonts.body)
        self.setExtraSelections([])  # each would be moved along with every insertion
        self.clear()
        heading, body, faint = (
            _format(theme.muted, fonts.caption),
            _format(theme.text, fonts.body),
            _format(theme.faint, fonts.body),
        )
        cursor = QTextCursor(self.document())
        cursor.beginEditBlock()
        self._starts, self._offsets = [], []
        for number, piece in enumerate(self._pieces):
            if number:
                cursor.insertText("\n\n", body)
            self._starts.append(cursor.blockNumber())
            cursor.insertText(piece.heading + "\n", heading)
            self._offsets.append(cursor.position())
            cursor.insertText(_lines_only(piece.text), faint if piece.faint else body)
        cursor.endEditBlock()

    def _paint_marks(self) -> None:
        theme = self._themes.theme
        made = []
        for mark in self._marks:
            selection = QTextEdit.ExtraSelection()
            selection.cursor = QTextCursor(self.document())
            selection.cursor.setPosition(mark.start)
            selection.cursor.setPosition(mark.end, QTextCursor.MoveMode.KeepAnchor)
            tone = theme.accent if mark.hidden else theme.warning
            soft = theme.accent_soft if mark.hidden else theme.warning_soft
            strong = mark.placeholder == self._pointed
            selection.format.setBackground(QColor(tone if strong else soft))
            selection.format.setForeground(QColor(theme.surface if strong else tone))
            made.append(selection)
        self.setExtraSelections(made)

    def _redraw(self) -> None:
        if self._pieces:
            self._write()
            self._paint_marks()


def written(preview: Preview) -> list[Piece]:
    """What was written, message by message."""
    return [Piece(_heading(message), message.before) for message in preview.messages]


def leaving(preview: Preview) -> list[Piece]:
    """What would leave, message by message."""
    pieces = []
    for place, message in enumerate(preview.messages):
        if place in preview.left_out:
            pieces.append(Piece(_heading(message), _tr("Left out."), faint=True))
        else:
            edited = _tr(" · edited by you") if message.edited else ""
            pieces.append(Piece(_heading(message) + edited, message.after))
    return pieces


def marks_written(preview: Preview, pane: TextPane) -> list[Mark]:
    """Every redaction's places in what was written."""
    by_text = {redaction.text.casefold(): redaction for redaction in preview.redactions}
    search = _search({redaction.text: redaction for redaction in preview.redactions})
    found: list[Mark] = []
    for place, message in enumerate(preview.messages):
        spans = {(start, end): of for start, end, of in search(message.before)}
        for finding in preview.findings[place] if place < len(preview.findings) else ():
            known = by_text.get(finding.text.casefold())
            if known is not None:
                spans[(finding.start, finding.end)] = known
        found += [_mark(message.before, *span, pane.offset(place), of) for span, of in spans.items()]
        if len(found) >= _MOST_MARKS:
            break
    return found


def marks_leaving(preview: Preview, pane: TextPane) -> list[Mark]:
    """Every placeholder in what would leave, and every string that leaves although it was found."""
    search = _search({(r.placeholder if r.on else r.text): r for r in preview.redactions})
    found: list[Mark] = []
    for place, message in enumerate(preview.messages):
        if place not in preview.left_out:
            for start, end, of in search(message.after):
                found.append(_mark(message.after, start, end, pane.offset(place), of))
        if len(found) >= _MOST_MARKS:
            break
    return found


def _mark(text: str, start: int, end: int, offset: int, of: Redaction) -> Mark:
    begin = offset + _units(text[:start])
    return Mark(begin, begin + _units(text[start:end]), of.placeholder, of.on)


def _search(wanted: Mapping[str, Redaction]) -> Callable[[str], list[tuple[int, int, Redaction]]]:
    """Finds all of ``wanted`` in one pass over a text; where two begin, the longer is meant."""
    words = sorted((word for word in wanted if word), key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, words))) if words else None

    def places(text: str) -> list[tuple[int, int, Redaction]]:
        if pattern is None:
            return []
        return [(hit.start(), hit.end(), wanted[hit.group()]) for hit in pattern.finditer(text)]

    return places


def _units(text: str) -> int:
    """Length as Qt counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _broken(text: str) -> str:
    """A body is one line, and Qt takes seconds for lines of hundreds of thousands of characters: long ones are broken
    where they are shown."""
    if len(text) <= _LONGEST_LINE:
        return text
    return "\n".join(text[place : place + _PIECE] for place in range(0, len(text), _PIECE))


def _lines_only(text: str) -> str:
    """Line ends that Qt would turn into one character stay one character."""
    return text.replace("\r\n", " \n").replace("\r", "\n")


def _heading(message: OutgoingMessage) -> str:
    words = message.source or message.role
    return words[:1].upper() + words[1:]


def _format(colour: str, font: QFont) -> QTextCharFormat:
    made = QTextCharFormat()
    made.setForeground(QColor(colour))
    made.setFont(font)
    return made


def _tr(text: str) -> str:
    return QCoreApplication.translate("gate", text)
