"""A reading as one compact blob for the store, and back: columns instead of records, then deflated.

A word costs about 12 bytes so. What comes from a reader child is checked by ``pool``; here the store is trusted as far
as its own seal goes, and a blob that cannot be unpacked is a damaged store.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from typing import Any, Final, cast

from app.documents.records import Attachment, Box, DocumentKind, Page, PageSource, Reading, Table, Word
from engine.errors import StoreError

_VERSION: Final = 1
_LENGTH_BYTES: Final = 8
_STEPS: Final = 100
"""Boxes are kept to a hundredth of a point."""
_SCORE_STEPS: Final = 10_000
_PER_WORD: Final = 7
"""Four edges, score, start, end."""


def pack(reading: Reading) -> bytes:
    """``reading`` as bytes; boxes are rounded to a hundredth of a point."""
    numbers = array("i")
    for page in reading.pages:
        for word in page.words:
            box = word.box
            numbers.extend(round(edge * _STEPS) for edge in (box.x0, box.y0, box.x1, box.y1))
            numbers.extend((round(word.score * _SCORE_STEPS), word.start, word.end))
    head = json.dumps(_head(reading), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    body = bytes([_VERSION]) + len(head).to_bytes(_LENGTH_BYTES, "little") + head + _little(numbers).tobytes()
    return zlib.compress(body, 6)


def unpack(blob: bytes) -> Reading:
    """Raises ``StoreError`` for a blob that no :func:`pack` made."""
    try:
        body = zlib.decompress(blob)
        if body[0] != _VERSION:
            raise ValueError(f"version {body[0]}")
        start = 1 + _LENGTH_BYTES
        end = start + int.from_bytes(body[1:start], "little")
        numbers = array("i")
        numbers.frombytes(body[end:])
        return _reading(json.loads(body[start:end].decode("utf-8", "surrogatepass")), _little(numbers))
    except (zlib.error, ValueError, KeyError, IndexError, TypeError) as error:
        raise StoreError("damaged_reading", f"The text of a document in the store cannot be read: {error}.") from error


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _head(reading: Reading) -> dict[str, Any]:
    text = reading.text
    return {
        "kind": reading.kind.value,
        "sha256": reading.sha256,
        "text": text,
        "notes": reading.notes,
        "size_bytes": reading.size_bytes,
        "password": reading.password,
        "pages": [
            {
                "number": page.number,
                "size": (page.width, page.height),
                "source": page.source,
                "span": (page.start, page.end),
                "rotation": page.rotation,
                "title": page.title,
                "words": len(page.words),
                # Nearly always a word is its part of the text; only the others are written out.
                "odd": {
                    index: word.text
                    for index, word in enumerate(page.words)
                    if text[word.start : word.end] != word.text
                },
                "tables": [
                    {"box": (table.box.x0, table.box.y0, table.box.x1, table.box.y1), "rows": table.rows}
                    for table in page.tables
                ],
            }
            for page in reading.pages
        ],
        "attachments": [
            (item.name, item.kind, item.sha256, item.size_bytes, item.first_page, item.page_count, item.fault)
            for item in reading.attachments
        ],
    }


def _reading(head: dict[str, Any], numbers: array[int]) -> Reading:
    pages, at = [], 0
    for page in head["pages"]:
        end = at + page["words"] * _PER_WORD
        pages.append(_page(page, head["text"], numbers[at:end]))
        at = end
    return Reading(
        kind=DocumentKind(head["kind"]),
        sha256=head["sha256"],
        text=head["text"],
        pages=tuple(pages),
        notes=tuple(head["notes"]),
        attachments=tuple(Attachment(*item) for item in head["attachments"]),
        size_bytes=head["size_bytes"],
        password=head["password"],
    )


def _page(page: dict[str, Any], text: str, numbers: array[int]) -> Page:
    odd = {int(index): word for index, word in page["odd"].items()}
    words = []
    for index in range(page["words"]):
        x0, y0, x1, y1, score, start, end = numbers[index * _PER_WORD : (index + 1) * _PER_WORD]
        box = Box(x0 / _STEPS, y0 / _STEPS, x1 / _STEPS, y1 / _STEPS)
        words.append(Word(odd.get(index) or text[start:end], box, score / _SCORE_STEPS, start, end))
    return Page(
        number=page["number"],
        width=page["size"][0],
        height=page["size"][1],
        source=cast("PageSource", page["source"]),
        words=tuple(words),
        start=page["span"][0],
        end=page["span"][1],
        rotation=page["rotation"],
        title=page["title"],
        tables=tuple(Table(Box(*table["box"]), tuple(tuple(row) for row in table["rows"])) for table in page["tables"]),
    )
