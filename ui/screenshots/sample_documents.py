"""A batch of invoices for the pictures: drawn pages, and values with their places on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

from app.documents.batch_records import Batch, BatchFile, BatchState, Cause, FileCounts, FileState
from app.documents.records import Box, DocumentKind, Page, Reading, Word
from app.documents.review_records import (
    AttachedDocument,
    AttachmentState,
    Citation,
    Document,
    PageSize,
    Result,
    Review,
    ReviewAction,
    ReviewedValue,
)
from app.extraction.records import Evidence, ExtractionTimings, Grounding, Value
from app.extraction.schema import Field, FieldType, Rule, RuleKind, Schema
from ui.screenshots.double_documents import SampleShelf

_WIDTH, _HEIGHT = 595, 842
"""A4, in points."""
_DENSITY = 2
_NOW = 1_767_024_000.0
_FOLDER = Path("/home/ada/Invoices/2025")

INVOICE = Schema(
    "invoice",
    "Invoice",
    "A bill for goods or services",
    (
        Field("seller", FieldType.TEXT, "Who sends the invoice", label="Seller", required=True),
        Field("number", FieldType.TEXT, "The invoice's number", label="Invoice number", required=True),
        Field("issued", FieldType.DATE, "When it was written", label="Issued", required=True),
        Field("due", FieldType.DATE, "When it is to be paid", label="Due"),
        Field("iban", FieldType.IBAN, "The account to pay to", label="IBAN"),
        Field("vat_id", FieldType.VAT_ID, "The seller's VAT id", label="VAT id"),
        Field(
            "lines",
            FieldType.TABLE,
            "What was delivered",
            label="Line",
            fields=(Field("what", FieldType.TEXT, label="What"), Field("amount", FieldType.AMOUNT, label="Amount")),
        ),
        Field("vat", FieldType.AMOUNT, "VAT contained", label="VAT"),
        Field("total", FieldType.AMOUNT, "What is to be paid", label="Total", required=True),
    ),
    (
        Rule(RuleKind.SUM, ("lines.amount", "vat"), "total"),
        Rule(RuleKind.ORDER, ("issued", "due")),
    ),
)
RECEIPT = Schema("receipt", "Receipt", "A till's receipt", INVOICE.fields[:3])


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    left: float
    base: float
    points: float = 10.5
    bold: bool = False
    grey: bool = False
    right: bool = False
    """``left`` is where it ends."""


_PAGE = (
    _Line("Nordlicht Druckerei GmbH", 56, 84, 17, bold=True),
    _Line("Hafenstraße 12 · 24103 Kiel", 56, 102, 9.5, grey=True),
    _Line("VAT id DE136695976", 56, 116, 9.5, grey=True),
    _Line("Invoice", 56, 190, 22, bold=True),
    _Line("Studio Maren Behrens", 56, 226),
    _Line("Lindenallee 4", 56, 241),
    _Line("20259 Hamburg", 56, 256),
    _Line("Invoice number", 380, 226, 9.5, grey=True),
    _Line("R-2025-0418", 540, 226, right=True),
    _Line("Date", 380, 243, 9.5, grey=True),
    _Line("14.03.2025", 540, 243, right=True),
    _Line("Payable until", 380, 260, 9.5, grey=True),
    _Line("28.03.2025", 540, 260, right=True),
    _Line("Description", 56, 318, 9.5, grey=True),
    _Line("Amount", 540, 318, 9.5, grey=True, right=True),
    _Line("500 posters A2, four colours, 170 g", 56, 342),
    _Line("612,00 €", 540, 342, right=True),
    _Line("Express delivery to Hamburg", 56, 362),
    _Line("48,50 €", 540, 362, right=True),
    _Line("Proof on paper", 56, 382),
    _Line("24,00 €", 540, 382, right=True),
    _Line("Net", 420, 424, 9.5, grey=True),
    _Line("684,50 €", 540, 424, right=True),
    _Line("19 % VAT", 420, 442, 9.5, grey=True),
    _Line("130,06 €", 540, 442, right=True),
    _Line("To be paid", 420, 464, bold=True),
    _Line("814,56 €", 540, 464, bold=True, right=True),
    _Line("Please transfer to DE89 3704 0044 0532 0130 00 within fourteen days.", 56, 540),
    _Line("Thank you for your order.", 56, 556),
)


def shelf() -> SampleShelf:
    """Three batches, the first of them half reviewed."""
    files = _files()
    result = _result(files[2])
    others = (
        _varied(result, files[0], ("Alster Büromöbel KG", "118", "2025-01-09", "2025-02-08", "1249.00"), 0.98),
        _varied(result, files[1], ("Bahnhof Catering", "2025-02", "2025-02-27", None, "386.40"), 0.97),
        _varied(result, files[3], ("Schreibwaren Ohle", "0031", "2025-03-03", None, "57.20"), 0.58),
    )
    batches = (
        Batch(
            "b1",
            "Invoices 2025",
            "invoice",
            1,
            None,
            BatchState.RUNNING,
            0,
            _NOW,
            FileCounts(waiting=19, working=1, done=17, failed=2, needs_password=1),
            doubtful_values=9,
            watched=(_FOLDER,),
            file_s=6.8,
            left_s=131.0,
            causes=(Cause("damaged", "The PDF ends in the middle.", 2),),
        ),
        Batch("b2", "Receipts of March", "receipt", 2, None, BatchState.DONE, 1, _NOW, FileCounts(done=31)),
        Batch("b3", "Lease contracts", "contract", 1, None, BatchState.PAUSED, 2, _NOW, FileCounts(waiting=8, done=4)),
    )
    return SampleShelf(
        batches=batches,
        files=files,
        results={found.file.id: found for found in (result, *others)},
        readings={"d3": _reading()},
        pictures={("d3", 1): _picture(), ("d3", 2): _picture()},
        schemas=(INVOICE, RECEIPT),
        attachments=_attachments(),
        citations={"m2": _citations()},
    )


def _attachments() -> tuple[AttachedDocument, ...]:
    """Of the conversation about the letter: one that is read, a long one, one at work, one locked, one damaged."""

    def item(number: int, name: str, state: AttachmentState, **more: object) -> AttachedDocument:
        made = AttachedDocument(f"x{number}", "c4", _FOLDER / name, state)
        return replace(made, **more)  # type: ignore[arg-type]

    ready = AttachmentState.READY
    return (
        item(1, "Nordlicht R-2025-0418.pdf", ready, document_id="d3", pages=2, tokens=410, whole=True),
        item(2, "Framework contract 2023.pdf", ready, document_id="d9", pages=48, tokens=31_000, whole=False),
        item(3, "scan_0031.jpg", AttachmentState.READING),
        item(4, "payroll.pdf", AttachmentState.NEEDS_PASSWORD, sentence="The file is encrypted."),
        item(5, "contract-old.pdf", AttachmentState.FAILED, sentence="The PDF ends in the middle."),
    )


def _citations() -> tuple[Citation, ...]:
    def citation(number: int, *texts: str) -> Citation:
        lines = [line for line in _PAGE if line.text in texts]
        quoted = " ".join(line.text for line in lines)
        boxes = tuple(_box(line) for line in lines)
        return Citation(number, "d3", "Nordlicht R-2025-0418.pdf", 1, 0, len(quoted), quoted, boxes)

    contract = "Invoices are payable within fourteen days of receipt, without deduction."
    return (
        citation(1, "To be paid", "814,56 €"),
        citation(2, "Payable until", "28.03.2025"),
        Citation(3, "d9", "Framework contract 2023.pdf", 12, 0, len(contract), contract, ()),
    )


def _files() -> tuple[BatchFile, ...]:
    def file(number: int, name: str, state: FileState, **more: object) -> BatchFile:
        made = BatchFile(f"f{number}", "b1", _FOLDER / name, state, number, 86_000 + 731 * number)
        return replace(made, **more)  # type: ignore[arg-type]

    done = FileState.DONE
    return (
        file(1, "Alster Büromöbel 118.pdf", done, document_id="d1", pages=1, reviewed=True),
        file(2, "Bahnhof Catering 2025-02.pdf", done, document_id="d2", pages=1, reviewed=True),
        file(3, "Nordlicht R-2025-0418.pdf", done, document_id="d3", pages=2, doubtful_values=4),
        file(4, "scan_0031.jpg", done, document_id="d4", pages=1, doubtful_values=5),
        file(5, "Hosting April.eml", FileState.EXTRACTING, document_id="d5", pages=1),
        file(6, "contract-old.pdf", FileState.FAILED, cause="damaged", sentence="The PDF ends in the middle."),
        file(7, "payroll.pdf", FileState.NEEDS_PASSWORD, cause="password", sentence="It needs a password."),
        file(8, "Reisekosten Behrens.xlsx", FileState.WAITING),
        file(9, "Stadtwerke Kiel 03.pdf", FileState.WAITING),
        file(10, "Telefon Maerz.pdf", FileState.WAITING),
    )


def _result(file: BatchFile) -> Result:
    boxes = {line.text: _box(line) for line in _PAGE}

    def place(text: str, within: str = "") -> tuple[Evidence, ...]:
        line = boxes[within or text]
        if within:
            whole = _font(next(item for item in _PAGE if item.text == within))
            before = QFontMetricsF(whole).horizontalAdvance(within[: within.index(text)])
            width = QFontMetricsF(whole).horizontalAdvance(text)
            line = Box(line.x0 + before, line.y0, line.x0 + before + width, line.y1)
        return (Evidence(1, line, 0, len(text), text),)

    def value(
        name: str,
        kind: FieldType,
        text: str | None,
        sure: float,
        grounding: Grounding = Grounding.EXACT,
        evidence: tuple[Evidence, ...] = (),
        *,
        doubtful: bool = False,
        problems: tuple[str, ...] = (),
        alternatives: tuple[str, ...] = (),
        review: Review | None = None,
    ) -> ReviewedValue:
        raw = evidence[0].text if evidence else ""
        made = Value(name, kind, text, raw, sure, grounding, evidence, "", problems, alternatives)
        return ReviewedValue(made, review, doubtful)

    normal = Grounding.NORMALISED
    seller = place("Nordlicht Druckerei GmbH")
    values = (
        value("seller", FieldType.TEXT, "Nordlicht Druckerei GmbH", 0.97, evidence=seller),
        value("number", FieldType.TEXT, "R-2025-0418", 0.99, evidence=place("R-2025-0418")),
        value(
            "issued",
            FieldType.DATE,
            "2025-03-14",
            0.71,
            normal,
            place("14.03.2025"),
            doubtful=True,
            alternatives=("2025-03-28",),
        ),
        value(
            "due",
            FieldType.DATE,
            "2025-03-28",
            0.93,
            normal,
            place("28.03.2025"),
            review=Review(ReviewAction.ACCEPTED, "2025-03-28", "28.03.2025", place("28.03.2025"), (), _NOW),
        ),
        value(
            "iban",
            FieldType.IBAN,
            "DE89370400440532013000",
            0.96,
            normal,
            place(
                "DE89 3704 0044 0532 0130 00", "Please transfer to DE89 3704 0044 0532 0130 00 within fourteen days."
            ),
        ),
        value("vat_id", FieldType.VAT_ID, "DE136695976", 0.95, evidence=place("DE136695976", "VAT id DE136695976")),
        value("lines[0].what", FieldType.TEXT, _PAGE[15].text, 0.96, evidence=place(_PAGE[15].text)),
        value("lines[0].amount", FieldType.AMOUNT, "612.00", 0.98, normal, place("612,00 €")),
        value("lines[1].what", FieldType.TEXT, "Express delivery", 0.62, Grounding.UNPROVEN, doubtful=True),
        value("lines[1].amount", FieldType.AMOUNT, "48.50", 0.97, normal, place("48,50 €")),
        value("lines[2].what", FieldType.TEXT, "Proof on paper", 0.95, evidence=place("Proof on paper")),
        value("lines[2].amount", FieldType.AMOUNT, "24.00", 0.96, normal, place("24,00 €")),
        value(
            "vat",
            FieldType.AMOUNT,
            "130.60",
            0.54,
            Grounding.FUZZY,
            place("130,06 €"),
            doubtful=True,
            alternatives=("130.06",),
        ),
        value(
            "total",
            FieldType.AMOUNT,
            "684.50",
            0.48,
            normal,
            place("684,50 €"),
            doubtful=True,
            problems=("Net 684.50 and VAT 130.60 do not add up to 684.50.",),
            alternatives=("814.56",),
        ),
    )
    pages = (PageSize(1, _WIDTH, _HEIGHT, "text"), PageSize(2, _WIDTH, _HEIGHT, "text"))
    document = Document("d3", file.path, "c0ffee", "pdf", file.size_bytes, pages, 812, read_at=_NOW)
    return Result(file, document, INVOICE, values, "Qwen3-30B-A3B", ExtractionTimings(6.8, 5.9, 1, 900, 620, 88))


def _varied(result: Result, file: BatchFile, shown: tuple[str | None, ...], sure: float) -> Result:
    """The same fields of another invoice, for the table."""
    texts = dict(zip(("seller", "number", "issued", "due", "total"), shown, strict=True))
    texts["iban"], texts["vat_id"], texts["vat"] = "DE02120300000000202051", "DE811907980", "19.00"
    values = tuple(
        ReviewedValue(
            replace(value.value, value=texts[value.name], confidence=sure, problems=(), alternatives=()),
            None,
            sure < 0.9 and value.name in ("issued", "total"),
        )
        for value in result.values
        if value.name in texts
    )
    document = replace(result.document, id=f"d{file.id[1:]}", path=file.path)
    return replace(result, file=file, document=document, values=values)


def _reading() -> Reading:
    """A word for each line of the page."""
    words, text = [], ""
    for line in _PAGE:
        words.append(Word(line.text, _box(line), 1.0, len(text), len(text) + len(line.text)))
        text += f"{line.text}\n"
    page = Page(1, _WIDTH, _HEIGHT, "text", tuple(words), 0, len(text))
    return Reading(DocumentKind.PDF, "c0ffee", text, (page,))


def _font(line: _Line) -> QFont:
    font = QFont("Inter")
    font.setPixelSize(round(line.points * 1.1))
    font.setWeight(QFont.Weight.DemiBold if line.bold else QFont.Weight.Normal)
    return font


def _box(line: _Line) -> Box:
    metrics = QFontMetricsF(_font(line))
    width = metrics.horizontalAdvance(line.text)
    left = line.left - width if line.right else line.left
    return Box(left, line.base - metrics.ascent() + 1, left + width, line.base + metrics.descent() - 1)


def _picture() -> bytes:
    """The page as a PNG."""
    image = QImage(_WIDTH * _DENSITY, _HEIGHT * _DENSITY, QImage.Format.Format_RGB32)
    image.fill(QColor("#ffffff"))
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(_DENSITY, _DENSITY)
    for line in _PAGE:
        painter.setFont(_font(line))
        painter.setPen(QColor("#6b6f73" if line.grey else "#1b1d1f"))
        box = _box(line)
        place = QRectF(box.x0, box.y0 - 2, box.width + 4, box.height + 4)
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, line.text)
    painter.setPen(QPen(QColor("#c8c9c5"), 0.8))
    for height in (326, 396, 450):
        painter.drawLine(56 if height < 400 else 420, height, 540, height)
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")  # type: ignore[call-overload]
    return bytes(data.data())
