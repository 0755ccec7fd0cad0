"""One small good document of each kind, from which broken ones are made."""

from __future__ import annotations

import io
from email.message import EmailMessage
from typing import Final

import docx
import openpyxl
import pptx
from msoffcrypto.format.ooxml import OOXMLFile
from PIL import Image

from tests.app.documents.made_files import INVOICE, PdfPage, pdf, picture, png

WEIGHTS: Final = {
    "invoice.pdf": 30,
    "form.pdf": 15,
    "locked.pdf": 5,
    "letter.docx": 12,
    "locked.docx": 2,
    "sheet.xlsx": 12,
    "slides.pptx": 6,
    "page.html": 8,
    "mail.eml": 10,
    "table.csv": 5,
    "notes.md": 3,
    "scan.png": 1,
    "scan.jpg": 1,
    "scan.tif": 1,
    "scan.gif": 1,
    "scan.webp": 1,
    "scan.bmp": 1,
}
"""How often each is taken; recognition is slow, and its decoders are one library's."""


def make_seeds() -> dict[str, bytes]:
    """By name; the names say the kinds."""
    small = picture(["Sum 35.66"], (160, 60), 18)
    return {
        "invoice.pdf": pdf(INVOICE, PdfPage(text=INVOICE.text, rotate=90)),
        "form.pdf": _form(),
        "locked.pdf": pdf(INVOICE, password="x"),
        "letter.docx": _docx(),
        "locked.docx": _locked(_docx(), "x"),
        "sheet.xlsx": _xlsx(),
        "slides.pptx": _pptx(),
        "page.html": _HTML.encode(),
        "mail.eml": _mail(),
        "table.csv": "name;sum\nAnn;1,00\nBob;2,00\nZoë;3,00\n".encode() * 5,
        "notes.md": "# Title\n\n- one\n- שלום עולם\n\n> quote **bold**\n".encode(),
        "scan.png": png(small),
        **{f"scan.{suffix}": _as(small, name) for suffix, name in _FORMATS.items()},
    }


_FORMATS: Final = {"jpg": "JPEG", "tif": "TIFF", "gif": "GIF", "webp": "WEBP", "bmp": "BMP"}
_HTML: Final = (
    "<!doctype html><html><head><meta charset=utf-8><title>t</title></head><body><h1>Offer</h1><div><p>for <b>you</b>"
    "<ul><li>one<li>two</ul><table><tr><th>A</th><th>B</th></tr><tr><td>1<td>&euro; 2</table><img alt=logo></div>"
)


def _form() -> bytes:
    rules = [(50.0, 100.0 + 20 * n, 450.0, 100.0 + 20 * n) for n in range(4)]
    rules += [(50.0 + 200 * n, 100.0, 50.0 + 200 * n, 160.0) for n in range(3)]
    cells = [(60.0 + 200 * c, 115.0 + 20 * r, 10.0, f"row{r} col{c}") for r in range(3) for c in range(2)]
    return pdf(PdfPage(text=cells, lines=rules, fields=(("name", "Ada Lovelace", (100, 500, 300, 516)),)))


def _docx() -> bytes:
    document = docx.Document()
    document.add_paragraph("between Alpha GmbH and Beta Ltd.")
    document.add_table(2, 2).cell(1, 1).text = "12.50"
    return _saved(document)


def _xlsx() -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["Month", "Sum"], ["May", 1234.5], ["June", "=B2*2"]):
        sheet.append(row)
    return _saved(book)


def _pptx() -> bytes:
    slides = pptx.Presentation()
    slides.slides.add_slide(slides.slide_layouts[1]).shapes.title.text = "Results"
    return _saved(slides)


def _saved(document: object) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)  # type: ignore[attr-defined]
    return buffer.getvalue()


def _mail() -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.org", "bob@example.org", "Füße"
    mail.set_content("Dear Bob,\nsee the bill.\n")
    mail.add_alternative("<p>Dear <b>Bob</b></p>", subtype="html")
    mail.add_attachment(pdf(INVOICE), maintype="application", subtype="pdf", filename="bill.pdf")
    mail.add_attachment(b"a;b\n1;2\n3;4\n", maintype="text", subtype="csv", filename="t.csv")
    return mail.as_bytes()


def _as(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, name)
    return buffer.getvalue()


def _locked(data: bytes, password: str) -> bytes:
    buffer = io.BytesIO()
    OOXMLFile(io.BytesIO(data)).encrypt(password, buffer)
    return buffer.getvalue()
