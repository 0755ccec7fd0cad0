"""The reader: a sandboxed process that opens one document after the other. ``python -m app.documents.child SETTINGS``.

Everything in it may meet hostile input; what it answers is bounded and checked by ``wire`` on the other side.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Final

from app.documents.draft import MAX_TEXT, Findings, Mark
from app.documents.faults import DocumentError
from app.documents.layout import lay_out
from app.documents.opening import open_document
from app.documents.recognisers import chosen
from app.documents.records import Box
from app.documents.source import load
from app.documents.wire import Question, pack_page, pack_summary
from engine.records import from_plain, read_object
from engine.sandbox.serve import Part, serve

_QUESTION_BYTES: Final = 8 << 20
_MAX_PICTURE_PX: Final = 8000


def answer(body: bytes, part: Part) -> bytes:
    """Answer one question of the pool. Raises ``DocumentError`` (and, on hostile input, anything)."""
    question = from_plain(Question, read_object(body, _QUESTION_BYTES), "question")
    chosen.set(question.recogniser)
    match question.do:
        case "read":
            return _read(question, part)
        case "render":
            return _render(question, part)
        case _:
            return _mark(question, part)


def _read(question: Question, part: Part) -> bytes:
    source = load(Path(question.path), question.sha256)
    findings = Findings()
    length = 0
    with closing(open_document(source, question.password, as_words=question.as_words)) as document:
        for number, page in enumerate(document.pages(findings), start=1):
            laid = lay_out(page)
            part(pack_page(number, page, laid))
            length += len(laid.text)
            if length > MAX_TEXT:
                findings.note(
                    f"The text is longer than {MAX_TEXT:,} characters; what follows page {number} was left out."
                )
                break
        return pack_summary(document.kind, source.sha256, len(source.data), document.encrypted, findings)


def _render(question: Question, part: Part) -> bytes:
    source = load(Path(question.path), question.sha256)
    if not 1 <= question.width_px <= _MAX_PICTURE_PX:
        raise DocumentError("too_many_pixels", f"Pictures are 1 to {_MAX_PICTURE_PX:,} pixels wide.")
    with closing(open_document(source, question.password, as_words=question.as_words)) as document:
        picture = document.picture(question.page, question.width_px)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    data = buffer.getbuffer()
    step = 8 << 20
    for start in range(0, len(data), step):
        part(bytes(data[start : start + step]))
    return b""


def _mark(question: Question, part: Part) -> bytes:
    source = load(Path(question.path), question.sha256)
    marks = [Mark(page, Box(x0, y0, x1, y1), label, colour) for page, x0, y0, x1, y1, label, colour in question.marks]
    with closing(open_document(source, question.password, as_words=question.as_words)) as document:
        for piece in document.marked(marks):
            part(piece)
    return b""


if __name__ == "__main__":
    if sys.platform != "win32":
        os.nice(5)  # answers of the chat and the window go before reading
    serve(answer, sys.argv[1])
