"""Each kind of document through the pool: its words, their places, and the way from a character to its place."""

from __future__ import annotations

import csv
import io
from email.message import EmailMessage
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.packuri import PackURI
from docx.opc.part import Part
from docx.oxml import parse_xml
from PIL import Image

from app.documents.pool import ReaderPool
from app.documents.records import DocumentKind, Reading
from tests.app.documents.made_files import INVOICE, PdfPage, pdf, picture, png

pytestmark = pytest.mark.asyncio(loop_scope="module")


def assert_consistent(reading: Reading) -> None:
    """Words are where the text says, pages follow one another, every character has a place on its page."""
    end = 0
    for number, page in enumerate(reading.pages, start=1):
        assert page.number == number
        assert page.start >= end
        end = page.start
        for word in page.words:
            assert reading.text[word.start : word.end] == word.text
            assert end <= word.start < word.end <= page.end
            assert 0 <= word.box.x0 <= word.box.x1 <= page.width + 0.01
            assert 0 <= word.box.y0 <= word.box.y1 <= page.height + 0.01
            end = word.end
    for offset in range(0, len(reading.text), 7):
        reading.locate(offset)


def place_of(reading: Reading, words: str) -> tuple[int, float, float]:
    """Page and middle of the only place of ``words``."""
    start = reading.text.index(words)
    (place,) = reading.places(start, start + len(words))
    return place.page, (place.box.x0 + place.box.x1) / 2, (place.box.y0 + place.box.y1) / 2


async def test_pdf_text_keeps_its_layout_and_every_word_its_place(pool: ReaderPool, tmp_path: Path) -> None:
    path = tmp_path / "bill.txt"  # the wrong extension
    path.write_bytes(pdf(INVOICE, PdfPage(), INVOICE))
    reading = await pool.read(path)
    assert_consistent(reading)
    assert (reading.kind, len(reading.pages), reading.pages[0].source) == (DocumentKind.PDF, 3, "text")
    assert reading.notes == ("Page 2 is empty.",)
    lines = reading.text.splitlines()
    assert lines[0] == "INVOICE"
    assert lines[2].split("   ")[0] == "Acme Trading Ltd"
    assert lines[2].index("Invoice no") == lines[3].index("Date:")
    page, x, y = place_of(reading, "€ 35.66")
    assert page == 1
    assert abs(x - 468) < 6
    assert abs(y - 193) < 6
    digit = reading.locate(reading.text.index("35.66") + 4).box
    whole = reading.places(reading.text.index("35.66"), reading.text.index("35.66") + 5)[0].box
    assert whole.x1 == pytest.approx(digit.x1)
    assert digit.width == pytest.approx(whole.width / 5)


@pytest.mark.parametrize(("rotate", "turned"), [(90, False), (180, False), (270, False), (0, True)])
async def test_turned_pdf_pages_read_the_same(pool: ReaderPool, tmp_path: Path, rotate: int, turned: bool) -> None:
    upright, path = tmp_path / "upright.pdf", tmp_path / "turned.pdf"
    upright.write_bytes(pdf(INVOICE))
    text = tuple((y, x, size, words) for x, y, size, words in INVOICE.text) if turned else INVOICE.text
    path.write_bytes(pdf(PdfPage(text=text, rotate=rotate, turned=turned)))
    reading = await pool.read(path)
    assert_consistent(reading)
    assert reading.text == (await pool.read(upright)).text
    assert reading.pages[0].rotation == (90 if turned else (360 - rotate) % 360)
    drawn = Image.open(io.BytesIO(await pool.render(path, 1, round(reading.pages[0].width))))
    start = reading.text.index("INVOICE")
    box = reading.places(start, start + 7)[0].box
    inside = drawn.crop((round(box.x0), round(box.y0), round(box.x1), round(box.y1))).convert("L")
    assert inside.getextrema()[0] < 100  # there is ink in the box of the picture


async def test_two_columns_of_prose_are_read_one_after_the_other(pool: ReaderPool, tmp_path: Path) -> None:
    left = [f"left line {n} says some words about gates" for n in range(12)]
    right = [f"right line {n} says other words about keys" for n in range(12)]
    text = [(50.0, 60.0, 16.0, "A heading over both of the columns of this page, as is usual")]
    text += [(50.0, 100.0 + 14 * n, 11.0, line) for n, line in enumerate(left)]
    text += [(310.0, 100.0 + 14 * n, 11.0, line) for n, line in enumerate(right)]
    path = tmp_path / "columns.pdf"
    path.write_bytes(pdf(PdfPage(text=text)))
    reading = await pool.read(path)
    assert_consistent(reading)
    lines = [line for line in reading.text.splitlines() if line.strip()]
    assert lines[1:] == left + right


async def test_filled_forms_and_ruled_tables(pool: ReaderPool, tmp_path: Path) -> None:
    rules = [(50.0, 100.0 + 20 * n, 450.0, 100.0 + 20 * n) for n in range(4)]
    rules += [(50.0 + 200 * n, 100.0, 50.0 + 200 * n, 160.0) for n in range(3)]
    cells = [(60.0 + 200 * c, 115.0 + 20 * r, 10.0, f"r{r}c{c}") for r in range(3) for c in range(2)]
    page = PdfPage(text=cells, lines=rules, fields=(("name", "Ada Lovelace", (100.0, 500.0, 300.0, 516.0)),))
    path = tmp_path / "form.pdf"
    path.write_bytes(pdf(page))
    reading = await pool.read(path)
    assert_consistent(reading)
    assert reading.pages[0].tables[0].rows == (("r0c0", "r0c1"), ("r1c0", "r1c1"), ("r2c0", "r2c1"))
    _, x, y = place_of(reading, "Ada Lovelace")
    assert 100 < x < 300
    assert 842 - 516 < y < 842 - 500


async def test_right_to_left_lines_are_in_logical_order(pool: ReaderPool, tmp_path: Path) -> None:
    path = tmp_path / "hebrew.txt"
    path.write_text("שלום עולם 42\nplain line\n", "utf-8")
    reading = await pool.read(path)
    assert_consistent(reading)
    assert reading.text.splitlines()[0].split() == ["שלום", "עולם", "42"]
    first, second = reading.pages[0].words[:2]
    assert first.box.x0 > second.box.x0  # and stand on the page from the right


async def test_office_files(pool: ReaderPool, tmp_path: Path) -> None:
    document = docx.Document()
    document.add_heading("Agreement", 1)
    document.add_paragraph("between Alpha GmbH and Beta Ltd.")
    table = document.add_table(2, 2)
    for row, column, value in ((0, 0, "Item"), (0, 1, "Price"), (1, 0, "Pump"), (1, 1, "12.50")):
        table.cell(row, column).text = value
    document.save(str(tmp_path / "a.docx"))
    reading = await pool.read(tmp_path / "a.docx")
    assert_consistent(reading)
    assert reading.kind is DocumentKind.DOCX
    assert "between Alpha GmbH and Beta Ltd." in reading.text
    assert reading.pages[0].tables[0].rows == (("Item", "Price"), ("Pump", "12.50"))

    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Costs"
    sheet.append(["Month", "Amount"])
    sheet.append(["May", 1234.5])
    sheet["B2"].number_format = "#,##0.00"
    book.create_sheet("Empty")
    book.save(tmp_path / "b.xlsx")
    reading = await pool.read(tmp_path / "b.xlsx")
    assert_consistent(reading)
    assert [page.title for page in reading.pages] == ["Costs", "Empty"]
    assert reading.pages[0].tables[0].rows[1] == ("May", "1,234.50")

    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    slide.shapes.title.text = "Results of the year"
    slide.placeholders[1].text = "Profit up"
    slides.save(str(tmp_path / "c.pptx"))
    reading = await pool.read(tmp_path / "c.pptx")
    assert_consistent(reading)
    assert reading.text.index("Results of the year") < reading.text.index("Profit up")


async def test_word_documents_with_notes_changes_and_controls(pool: ReaderPool, tmp_path: Path) -> None:
    w = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    document = docx.Document()
    document.add_paragraph("The fee is ")
    for inner in (
        "<w:del w:id='1'><w:r><w:delText>100</w:delText></w:r></w:del>",
        "<w:ins w:id='2'><w:r><w:t>250 EUR</w:t></w:r></w:ins>",
        "<w:sdt><w:sdtContent><w:r><w:t> a month</w:t></w:r></w:sdtContent></w:sdt>",
    ):
        document.paragraphs[0]._p.append(parse_xml(inner.replace(">", f" {w}>", 1)))
    notes = (
        f"<w:footnotes {w}><w:footnote w:id='1'><w:p><w:r><w:t>plus VAT</w:t></w:r></w:p></w:footnote></w:footnotes>"
    )
    part = Part(PackURI("/word/footnotes.xml"), "application/xml", notes.encode(), document.part.package)
    document.part.relate_to(part, RELATIONSHIP_TYPE.FOOTNOTES)
    document.save(str(tmp_path / "changed.docx"))
    reading = await pool.read(tmp_path / "changed.docx")
    assert [line for line in reading.text.splitlines() if line] == ["The fee is 250 EUR a month", "plus VAT"]


async def test_html_csv_markdown_and_encodings(pool: ReaderPool, tmp_path: Path) -> None:
    html = (
        "<!doctype html><title>no</title><script>evil()</script><h1>Offer</h1><p>for <b>Ms</b> Jones</p>"
        "<p style='display: none'>unseen</p><table><tr><th>A<th>B<tr><td>1<td>2</table>"
    )
    (tmp_path / "page.dat").write_text(html)
    reading = await pool.read(tmp_path / "page.dat")
    assert reading.kind is DocumentKind.HTML
    assert "for Ms Jones" in reading.text
    assert "evil" not in reading.text
    assert "unseen" not in reading.text
    assert reading.pages[0].tables[0].rows == (("A", "B"), ("1", "2"))

    rows = [["name", "note", "sum"], ["Ann", 'says "hi; there"', "1"], ["Bob", "", "2"]]
    with (tmp_path / "t.csv").open("w", newline="", encoding="utf-16") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    reading = await pool.read(tmp_path / "t.csv")
    assert_consistent(reading)
    assert reading.kind is DocumentKind.CSV
    assert reading.pages[0].tables[0].rows[1] == ("Ann", 'says "hi; there"', "1")

    (tmp_path / "x").write_bytes("# Title\n\n- a\n- b\n- caf\xe9\n".encode("cp1252"))
    reading = await pool.read(tmp_path / "x")
    assert (reading.kind, "café" in reading.text) == (DocumentKind.MARKDOWN, True)
    assert "cp1252" in reading.notes[0]


async def test_mail_with_attachments_that_are_read_as_its_pages(pool: ReaderPool, tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "ann@example.org", "bob@example.org", "Your bill"
    mail.set_content("Dear Bob,\nsee the bill.\n")
    mail.add_attachment(pdf(INVOICE, INVOICE), maintype="application", subtype="pdf", filename="bill.pdf")
    mail.add_attachment(b"\x7fELF and so on", maintype="application", subtype="octet-stream", filename="run.exe")
    (tmp_path / "m.eml").write_bytes(mail.as_bytes())
    reading = await pool.read(tmp_path / "m.eml")
    assert_consistent(reading)
    assert reading.kind is DocumentKind.MAIL
    assert reading.text.startswith("From: ann@example.org")
    bill, program = reading.attachments
    assert (bill.name, bill.kind, bill.first_page, bill.page_count, bill.fault) == ("bill.pdf", "pdf", 2, 2, "")
    assert (program.page_count, "a program" in program.fault) == (0, True)
    assert [page.title for page in reading.pages] == ["", "bill.pdf", "bill.pdf"]
    third = Image.open(io.BytesIO(await pool.render(tmp_path / "m.eml", 3, 400)))
    assert third.width == 400


@pytest.mark.slow
async def test_words_with_boxes_beside_a_picture(pool: ReaderPool, tmp_path: Path) -> None:
    for folder in ("box", "img"):
        (tmp_path / folder).mkdir()
    (tmp_path / "box" / "7.csv").write_text("10,20,110,20,110,40,10,40,TOTAL, 9.00\n10,60,60,60,60,80,10,80,THANKS\n")
    Image.new("RGB", (200, 300), "white").save(tmp_path / "img" / "7.jpg")
    for named in ("box/7.csv", "img/7.jpg"):
        reading = await pool.read(tmp_path / named, as_words=True)
        assert_consistent(reading)
        assert (reading.kind, reading.pages[0].width) == (DocumentKind.WORDS, 200)
        assert reading.text.split() == ["TOTAL,", "9.00", "THANKS"]
        assert reading.pages[0].words[0].box.x1 == pytest.approx(10 + 100 * 6 / 11, abs=0.01)
    drawn = Image.open(io.BytesIO(await pool.render(tmp_path / "box" / "7.csv", 1, 100, as_words=True)))
    assert drawn.size == (100, 150)


@pytest.mark.slow
async def test_scans_pictures_and_mixed_pages_are_recognised(pool: ReaderPool, tmp_path: Path) -> None:
    lines = ["Acme Trading Limited", "Invoice number 4711", "Amount due 35.66 EUR", "Thank you for your order"]
    seen = picture(lines)
    path = tmp_path / "mixed.pdf"
    path.write_bytes(pdf(INVOICE, PdfPage(picture=seen, width=350, height=250)))
    reading = await pool.read(path)
    assert_consistent(reading)
    assert [page.source for page in reading.pages] == ["text", "ocr"]
    page, x, y = place_of(reading, "4711")
    assert page == 2
    assert abs(y - 55) < 8
    assert 80 < x < 180
    assert all(0.5 < word.score <= 1 for word in reading.pages[1].words)

    # Born digital above, a scanned slip pasted in below, which the first page of it has no words for.
    pasted = Image.new("L", (1190, 1684), "white")
    pasted.paste(seen.convert("L"), (200, 900))
    above = [(60, 60 + 20 * row, 11, f"Dear customer, this is line {row} of our letter.") for row in range(8)]
    path.write_bytes(pdf(PdfPage(text=above, picture=pasted)))
    reading = await pool.read(path)
    assert_consistent(reading)
    assert reading.pages[0].source == "text"
    assert "recognised" in reading.notes[0]
    page, x, y = place_of(reading, "4711")
    assert 100 < x < 450
    assert 450 < y < 700
    assert reading.text.count("letter.") == 8, "what the text layer has is not read twice"

    for turn in (90, 180, 270):  # as a scanner's tray has it
        scan = tmp_path / f"scan{turn}.png"
        scan.write_bytes(png(seen.rotate(-turn, expand=True)))
        reading = await pool.read(scan)
        assert_consistent(reading)
        assert reading.pages[0].rotation == (360 - turn) % 360
        assert [" ".join(line.split()) for line in reading.text.splitlines() if line.strip()] == lines
        assert reading.pages[0].width == (500 if turn in (90, 270) else 700)

    exif = Image.Exif()
    exif[0x0112] = 6
    seen.rotate(90, expand=True).save(tmp_path / "phone.jpg", exif=exif, quality=92)
    reading = await pool.read(tmp_path / "phone.jpg")
    assert (reading.pages[0].rotation, reading.pages[0].width) == (0, 700)
    assert "4711" in reading.text

    skewed = tmp_path / "skewed.png"
    skewed.write_bytes(png(seen.rotate(-4, expand=True, fillcolor="white")))
    reading = await pool.read(skewed)
    assert [" ".join(line.split()) for line in reading.text.splitlines() if line.strip()] == lines
