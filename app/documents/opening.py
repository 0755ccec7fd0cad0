"""Opens a file's content with the reader of its kind. The readers are imported when first needed: a child that reads
mails only never loads a recogniser."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from app.documents.draft import Document
from app.documents.faults import DocumentError
from app.documents.identify import identify
from app.documents.records import DocumentKind
from app.documents.source import Source, load
from app.documents.unlocking import is_locked_office, unlocked
from app.documents.words import WordsDocument, words_beside

_MAX_DEPTH: Final = 3


def open_document(source: Source, password: str | None = None, *, as_words: bool = False, depth: int = 0) -> Document:
    """The document in ``source``, which the caller closes. Raises ``DocumentError``."""
    if depth > _MAX_DEPTH:
        raise DocumentError("unsupported_kind", f"Files are read {_MAX_DEPTH} deep in one another, not deeper.")
    if as_words:
        path = words_beside(source.path) if source.path else None
        return WordsDocument(source if path is None or path == source.path else load(path))
    if is_locked_office(source.data):
        data = unlocked(source.data, password)
        document = _open(replace(source, data=data), identify(data, source.name), password, depth)
        document.encrypted = True
        return document
    return _open(source, identify(source.data, source.name), password, depth)


def _open(source: Source, kind: DocumentKind, password: str | None, depth: int) -> Document:
    match kind:
        case DocumentKind.PDF:
            from app.documents.pdf import PdfDocument

            return PdfDocument(source.data, password)
        case DocumentKind.IMAGE:
            from app.documents.image import ImageDocument

            return ImageDocument(source.data)
        case DocumentKind.DOCX | DocumentKind.XLSX | DocumentKind.PPTX:
            from app.documents.office import open_office

            return open_office(source.data, kind)
        case DocumentKind.HTML:
            from app.documents.html import open_html

            return open_html(source.data)
        case DocumentKind.MAIL:
            from app.documents.mail import MailDocument

            return MailDocument(source.data, partial(open_document, password=password, depth=depth + 1))
        case _:
            from app.documents.text import open_text

            return open_text(source.data, kind)
