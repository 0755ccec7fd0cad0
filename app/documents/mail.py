"""Mails (EML): headers, body and attachments. What can be read of an attachment follows as pages of its own.

The pages of all parts are numbered through, so that evidence in an attachment has a page like any other.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
from collections.abc import Callable, Iterator
from email.message import EmailMessage, MIMEPart
from typing import TYPE_CHECKING, Final

from app.documents.draft import Document, DraftPage, Findings, Mark
from app.documents.encoding import decode
from app.documents.faults import DocumentError, damaged
from app.documents.flow import FlowDocument, Item, NewPage, Paragraph
from app.documents.records import Attachment, DocumentKind
from app.documents.source import Source
from engine.errors import GatehouseError

if TYPE_CHECKING:
    from PIL.Image import Image

_HEADERS: Final = ("From", "To", "Cc", "Date", "Subject")
_MAX_PARTS: Final = 200
_MAX_HEADER: Final = 4000


class MailDocument:
    """An open mail. ``open_part`` opens an attachment, which may be a mail again, by its own reader."""

    kind = DocumentKind.MAIL
    encrypted = False

    def __init__(self, data: bytes, open_part: Callable[[Source], Document]) -> None:
        self._open = open_part
        try:
            message = email.message_from_bytes(data, policy=email.policy.default)
            self._letter = FlowDocument(DocumentKind.MAIL, _letter(message))
            self._parts = list(_attachments(message))
        except (ValueError, LookupError, TypeError, AttributeError, IndexError, AssertionError) as error:
            raise damaged("a mail", error) from error

    def pages(self, findings: Findings) -> Iterator[DraftPage]:
        number = 0
        for page in self._letter.pages(findings):
            number += 1
            yield page
        for part in self._parts[:_MAX_PARTS]:
            first = number + 1
            kind = fault = ""
            inner = Findings()
            try:
                document = self._open(part)
                try:
                    kind = document.kind
                    for page in document.pages(inner):
                        number += 1
                        yield _titled(page, part.name)
                finally:
                    document.close()
            except GatehouseError as error:
                fault = str(error)
                findings.note(f"The attachment {part.name} was not read: {error.sentence}")
            count = number - first + 1
            known = Attachment(part.name, kind, part.sha256, len(part.data), first if count else 0, count, fault)
            findings.attachments.append(known)
            for note in inner.notes:
                findings.note(f"{part.name}: {note}")
        if len(self._parts) > _MAX_PARTS:
            findings.note(f"The mail has {len(self._parts)} attachments; the first {_MAX_PARTS} were read.")

    def picture(self, number: int, width_px: int) -> Image:
        letters = sum(1 for _ in self._letter.pages(Findings()))
        if number <= letters:
            return self._letter.picture(number, width_px)
        before = letters
        for part in self._parts[:_MAX_PARTS]:
            try:
                document = self._open(part)
            except GatehouseError:
                continue  # it has no pages; the reading said why
            try:
                count = _count(document)
                if number <= before + count:
                    return document.picture(number - before, width_px)
                before += count
            finally:
                document.close()
        raise DocumentError("no_such_page", f"The mail has {before} pages; {number} is none of them.")

    def marked(self, marks: list[Mark]) -> Iterator[bytes]:
        from app.documents.markup import marked_pdf

        last = max((mark.page for mark in marks), default=1)
        return marked_pdf(
            ((self.picture(number, 900), 900 / self._width(number)) for number in range(1, last + 1)), marks
        )

    def close(self) -> None:
        self._letter.close()

    def _width(self, number: int) -> float:
        for count, page in enumerate(self.pages(Findings()), start=1):
            if count == number:
                return page.width
        raise DocumentError("no_such_page", f"The mail has no page {number}.")


def _count(document: Document) -> int:
    """How many pages a document gives; recognised pages are counted without being recognised."""
    counted = getattr(document, "page_count", None)
    return counted if isinstance(counted, int) else sum(1 for _ in document.pages(Findings()))


def _titled(page: DraftPage, name: str) -> DraftPage:
    from dataclasses import replace

    return replace(page, title=f"{name}: {page.title}" if page.title else name)


def _letter(message: EmailMessage) -> Iterator[Item]:
    lines = [f"{name}: {str(message[name])[:_MAX_HEADER]}" for name in _HEADERS if message[name]]
    yield NewPage("")
    yield Paragraph("\n".join(lines))
    yield Paragraph("")
    body = message.get_body(preferencelist=("plain", "html"))
    if body is None:
        return
    text = _text(body)
    if body.get_content_subtype() == "html":
        from app.documents.html import html_items

        yield from html_items(text)
    elif text.strip():
        yield Paragraph(text)


def _text(part: MIMEPart) -> str:
    """A text part in its declared encoding, if that is one."""
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes):
        return ""
    charset = part.get_content_charset()
    if charset:
        try:
            return data.decode(charset, "replace")
        except LookupError:
            return decode(data)[0]
    return decode(data)[0]


def _attachments(message: EmailMessage) -> Iterator[Source]:
    """Every part that is not the body: attached files, pictures in the text, forwarded mails."""
    body = message.get_body(preferencelist=("plain", "html"))
    bodies = {id(body), id(message.get_body(preferencelist=("html",)))}
    for number, part in enumerate(_leaves(message), start=1):
        if id(part) in bodies:
            continue
        if part.get_content_maintype() == "message":
            inner = part.get_payload()
            first = inner[0] if isinstance(inner, list) and inner else None
            data = first.as_bytes() if isinstance(first, EmailMessage) else b""
        else:
            payload = part.get_payload(decode=True)
            data = payload if isinstance(payload, bytes) else b""
        name = part.get_filename() or f"part {number}.{part.get_content_subtype()}"
        if data:
            yield Source(data, name[:200], hashlib.sha256(data).hexdigest())


def _leaves(message: EmailMessage) -> Iterator[EmailMessage]:
    """Parts that hold no others; a forwarded mail is one."""
    stack: list[EmailMessage] = [message]
    count = 0
    while stack and count < 10 * _MAX_PARTS:
        part = stack.pop()
        count += 1
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            children = part.get_payload()
            stack += [
                c for c in reversed(children if isinstance(children, list) else []) if isinstance(c, EmailMessage)
            ]
        else:
            yield part
