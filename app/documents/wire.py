"""What reader and pool tell each other: questions as JSON, pages as columns of numbers, every value bounded.

A page travels as its text and, for each word, where it starts, how long it is, its box and its score.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Final, Literal

from app.documents.draft import MAX_PAGES, DraftPage, Findings
from app.documents.layout import Laid
from app.documents.recognisers import Recogniser
from app.documents.records import Attachment, Box, DocumentKind, Page, Reading, Table, Word
from engine.records import RecordFault, from_plain, read_object, to_plain

_LIMIT_BYTES: Final = 32 << 20
_MAX_COORDINATE: Final = 1e6
_MAX_NOTES: Final = 60


@dataclass(frozen=True, slots=True)
class Question:
    """What a reader is asked."""

    do: Literal["read", "render", "mark"]
    path: str
    password: str | None = None
    as_words: bool = False
    page: int = 1
    width_px: int = 1000
    sha256: str = ""
    """The content that the answer must be of; empty: any."""
    marks: tuple[tuple[int, float, float, float, float, str, str], ...] = ()
    recogniser: Recogniser = "built_in"


@dataclass(frozen=True, slots=True)
class Summary:
    """What ends a reading."""

    kind: DocumentKind
    sha256: str
    size_bytes: int
    password: bool
    notes: tuple[str, ...]
    attachments: tuple[Attachment, ...]


def pack_page(number: int, page: DraftPage, laid: Laid) -> bytes:
    """A page on the wire."""
    boxes: list[float] = []
    for token in laid.tokens:
        box = token.box
        boxes += (round(box.x0, 2), round(box.y0, 2), round(box.x1, 2), round(box.y1, 2))
    sure = all(token.score >= 1.0 for token in laid.tokens)
    fields = {
        "number": number,
        "width": round(page.width, 2),
        "height": round(page.height, 2),
        "source": page.source,
        "rotation": page.rotation,
        "title": page.title[:500],
        "text": laid.text,
        "starts": laid.starts,
        "lengths": [len(token.text) for token in laid.tokens],
        "boxes": boxes,
        "scores": [] if sure else [round(token.score, 4) for token in laid.tokens],
        "tables": [to_plain(table) for table in page.tables],
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def pack_summary(kind: DocumentKind, sha256: str, size_bytes: int, encrypted: bool, findings: Findings) -> bytes:
    """The end of a reading on the wire."""
    notes, attachments = tuple(findings.notes), tuple(findings.attachments)
    return json.dumps(to_plain(Summary(kind, sha256, size_bytes, encrypted, notes, attachments))).encode()


class Gathering:
    """Pages as they arrive, to a reading. Raises ``RecordFault`` for anything but a page."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._length = 0
        self._pages: list[Page] = []

    def add(self, body: bytes) -> None:
        """One more page."""
        fields = read_object(body, _LIMIT_BYTES)
        number = fields.get("number")
        if number != len(self._pages) + 1 or number > MAX_PAGES * 2:
            raise RecordFault(f"Page {number!r} came after page {len(self._pages)}.")
        text = _text(fields.get("text"), _LIMIT_BYTES)
        start = self._length + (1 if self._pages else 0)
        if self._pages:
            self._texts.append("\n")
        self._texts.append(text + "\n")
        self._length = start + len(text) + 1
        source = fields.get("source")
        rotation = fields.get("rotation")
        if source not in ("text", "ocr", "words") or rotation not in (0, 90, 180, 270):
            raise RecordFault("A page has an unknown source or rotation.")
        self._pages.append(
            Page(
                number,
                _number(fields.get("width")),
                _number(fields.get("height")),
                source,
                _words(fields, text, start),
                start,
                start + len(text),
                rotation,
                _text(fields.get("title"), 500),
                _tables(fields.get("tables")),
            )
        )

    def finish(self, body: bytes) -> Reading:
        """The reading, with what came last."""
        end = from_plain(Summary, read_object(body, _LIMIT_BYTES), "summary")
        text = "".join(self._texts).removesuffix("\n")
        notes = end.notes[:_MAX_NOTES]
        pages = tuple(self._pages)
        return Reading(end.kind, end.sha256, text, pages, notes, end.attachments, end.size_bytes, end.password)


def _words(fields: dict[str, Any], text: str, offset: int) -> tuple[Word, ...]:
    starts, lengths, boxes, scores = (_list(fields.get(name)) for name in ("starts", "lengths", "boxes", "scores"))
    if not (len(starts) == len(lengths) == len(boxes) / 4 and len(scores) in (0, len(starts))):
        raise RecordFault("The columns of a page's words are not equally long.")
    words = []
    previous = 0
    for index, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        if type(start) is not int or type(length) is not int or not previous <= start < start + length <= len(text):
            raise RecordFault("A word lies outside its page's text.")
        previous = start + length
        x0, y0, x1, y1 = map(_number, boxes[index * 4 : index * 4 + 4])
        score = min(1.0, max(0.0, _number(scores[index]))) if scores else 1.0
        word = text[start:previous]
        words.append(Word(word, Box(x0, y0, x1, y1), score, offset + start, offset + previous))
    return tuple(words)


def _tables(value: Any) -> tuple[Table, ...]:
    return tuple(from_plain(Table, item, "table") for item in _list(value)[:200])


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RecordFault("A page's column is not a list.")
    return value


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > _MAX_COORDINATE:
        raise RecordFault("A page has a number out of bounds.")
    return float(value)


def _text(value: Any, limit: int) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise RecordFault("A page's text is none, or too long.")
    return value
