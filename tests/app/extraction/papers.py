"""Believable documents of the built-in kinds, made from nothing, each with the values that stand in it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.app.documents.made_files import PdfPage, pdf

GOODS: Sequence[tuple[str, str, str, str]] = (
    ("Oak desk 160 cm", "2", "420.00", "840.00"),
    ("Task chair Novo", "4", "189.50", "758.00"),
    ("Desk lamp LED", "6", "34.90", "209.40"),
    ("Filing cabinet", "3", "129.00", "387.00"),
    ("Whiteboard 120 x 90", "1", "88.00", "88.00"),
    ("Monitor arm", "4", "61.25", "245.00"),
    ("Cable tray", "8", "12.40", "99.20"),
    ("Waste bin", "5", "9.80", "49.00"),
    ("Coat stand", "2", "45.00", "90.00"),
    ("Meeting table", "1", "640.00", "640.00"),
    ("Acoustic panel", "10", "37.60", "376.00"),
    ("Delivery and assembly", "1", "150.00", "150.00"),
)
"""Description, quantity, unit price, amount; 3,931.60 in all."""


@dataclass(frozen=True, slots=True)
class Paper:
    """A file, the schema for it, and what is right."""

    name: str
    """With the ending that says its format."""
    schema: str
    content: bytes
    values: Mapping[str, str | None]
    """Canonical, by path; ``None`` for what the document does not have."""
    rows: Mapping[str, int]
    """How many rows its tables have."""


def _page(*lines: tuple[float, float, str]) -> PdfPage:
    return PdfPage(text=[(x, y, 10, text) for x, y, text in lines])


def _goods(first: int, last: int, y: float) -> list[tuple[float, float, str]]:
    placed: list[tuple[float, float, str]] = []
    for number, row in enumerate(GOODS[first:last]):
        placed += [(x, y + 20 * number, text) for x, text in zip((50, 290, 360, 460), row, strict=True)]
    return placed


_HEAD: Sequence[tuple[float, str]] = ((50, "Description"), (290, "Qty"), (360, "Unit price"), (460, "Amount"))


def invoice_over_two_pages() -> Paper:
    """A table of twelve rows, eight on the first page."""
    first = _page(
        (50, 50, "Northgate Office Supplies Ltd"),
        (50, 66, "14 Canal Street"),
        (50, 82, "Leeds LS1 4AB"),
        (50, 98, "VAT No: GB 123 4567 82"),
        (380, 50, "INVOICE"),
        (380, 66, "Invoice no: NG-20417"),
        (380, 82, "Date: 12 March 2024"),
        (380, 98, "Due: 11 April 2024"),
        (50, 140, "Bill to"),
        (50, 156, "Harbour Architects LLP"),
        (50, 172, "3 Quay Road"),
        (50, 188, "Hull HU1 2PQ"),
        *((x, 230, text) for x, text in _HEAD),
        *_goods(0, 8, 254),
        (50, 430, "Continued on page 2"),
    )
    second = _page(
        (50, 50, "Northgate Office Supplies Ltd"),
        (380, 50, "Invoice no: NG-20417"),
        *((x, 90, text) for x, text in _HEAD),
        *_goods(8, 12, 114),
        (360, 220, "Net amount"),
        (460, 220, "3931.60"),
        (360, 240, "VAT 20 %"),
        (460, 240, "786.32"),
        (360, 260, "Total due GBP"),
        (460, 260, "4717.92"),
        (50, 310, "Pay to IBAN GB29 NWBK 6016 1331 9268 19"),
    )
    values = {
        "number": "NG-20417",
        "date": "2024-03-12",
        "due_date": "2024-04-11",
        "seller": "Northgate Office Supplies Ltd",
        "seller_address": "14 Canal Street\nLeeds LS1 4AB",
        "buyer": "Harbour Architects LLP",
        "buyer_address": "3 Quay Road\nHull HU1 2PQ",
        "iban": "GB29NWBK60161331926819",
        "net": "3931.60",
        "tax": "786.32",
        "total": "4717.92",
    }
    for number, row in enumerate(GOODS):
        for column, value in zip(("description", "quantity", "unit_price", "amount"), row, strict=True):
            values[f"lines[{number}].{column}"] = value
    return Paper("invoice.pdf", "invoice", pdf(first, second), values, {"lines": len(GOODS)})


def invoice_as_letter() -> Paper:
    """Another layout: a Word file, the buyer first, the amounts with commas, the table as a table."""
    import docx

    document = docx.Document()
    for line in (
        "Weber & Söhne GmbH, Lindenallee 5, 50667 Köln",
        "",
        "Bäckerei Sommer",
        "Marktplatz 2",
        "53111 Bonn",
        "",
        "Rechnung",
        "Rechnungsnummer: 2024-0893",
        "Rechnungsdatum: 05.06.2024",
        "USt-IdNr.: DE136695976",
    ):
        document.add_paragraph(line)
    rows = (
        ("Beschreibung", "Menge", "Einzelpreis", "Betrag"),
        ("Wartung Backofen", "1", "240,00 €", "240,00 €"),
        ("Dichtung Tür", "2", "18,50 €", "37,00 €"),
        ("Anfahrt", "1", "45,00 €", "45,00 €"),
    )
    table = document.add_table(rows=0, cols=4)
    for row in rows:
        cells = table.add_row().cells
        for cell, text in zip(cells, row, strict=True):
            cell.text = text
    for line in (
        "Netto: 322,00 €",
        "MwSt 19 %: 61,18 €",
        "Gesamtbetrag: 383,18 €",
        "Zahlbar bis 19.06.2024 auf IBAN DE89 3704 0044 0532 0130 00",
    ):
        document.add_paragraph(line)
    stream = io.BytesIO()
    document.save(stream)
    values = {
        "number": "2024-0893",
        "date": "2024-06-05",
        "due_date": "2024-06-19",
        "seller_vat_id": "DE136695976",
        "buyer": "Bäckerei Sommer",
        "buyer_address": "Marktplatz 2\n53111 Bonn",
        "iban": "DE89370400440532013000",
        "net": "322.00",
        "tax": "61.18",
        "total": "383.18",
        "lines[0].description": "Wartung Backofen",
        "lines[0].amount": "240.00",
        "lines[1].quantity": "2",
        "lines[1].unit_price": "18.50",
        "lines[2].description": "Anfahrt",
        "lines[2].amount": "45.00",
    }
    return Paper("rechnung.docx", "invoice", stream.getvalue(), values, {"lines": 3})


def contract() -> Paper:
    """A short service agreement in numbered clauses."""
    text = """SERVICE AGREEMENT

This Service Agreement is made on 3 May 2023 between Clearwater Cleaning Ltd ("Supplier") and
Redwood Dental Practice ("Client").

1. Services. The Supplier cleans the Client's rooms three times a week.
2. Term. This Agreement takes effect on 1 June 2023 and continues for two (2) years, until 31 May 2025.
3. Renewal. It renews for further periods of one year unless ended.
4. Notice. Either party may end it by 60 days written notice.
5. Price. The Client pays GBP 18,720.00 in all. Invoices are due within 30 days of receipt.
6. Liability. The Supplier's liability is limited to GBP 50,000.
7. Law. This Agreement is governed by the laws of England and Wales.
"""
    values = {
        "title": "SERVICE AGREEMENT",
        "parties[0]": "Clearwater Cleaning Ltd",
        "parties[1]": "Redwood Dental Practice",
        "date": "2023-05-03",
        "effective_date": "2023-06-01",
        "end_date": "2025-05-31",
        "value": "18720.00",
    }
    return Paper("contract.txt", "contract", text.encode(), values, {})


def nda() -> Paper:
    """Two parties, mutual, three years."""
    text = """MUTUAL NON-DISCLOSURE AGREEMENT

Effective Date: January 15, 2024

Parties: Bluefin Robotics Inc. and Palmer Analytics LLC.

1. Both parties will keep secret what the other one discloses.
2. Purpose. The information may be used only to evaluate a joint sensor product.
3. Term. The duty of secrecy lasts three (3) years from the Effective Date.
4. At the end each party shall return or destroy all information.
5. This Agreement is governed by the laws of the State of Delaware.
"""
    values = {
        "parties[0]": "Bluefin Robotics Inc.",
        "parties[1]": "Palmer Analytics LLC.",
        "effective_date": "2024-01-15",
    }
    return Paper("nda.txt", "nda", text.encode(), values, {})


def cv() -> Paper:
    """Two jobs, one degree."""
    text = """Amara Lindqvist
12 Birch Lane, Bristol BS1 5TR
amara.lindqvist@example.org   +44 7700 900123

Data engineer with eight years of experience

EXPERIENCE
Senior Data Engineer   Tidal Energy Ltd   2020 to 2024
Data Analyst   Marlow Bank plc   2016 to 2020

EDUCATION
BSc Mathematics   University of Bath   2013 to 2016

Skills: Python, SQL, Spark
Languages: English, Swedish
"""
    values = {
        "name": "Amara Lindqvist",
        "email": "amara.lindqvist@example.org",
        "phone": "+44 7700 900123",
        "birth_date": None,
        "jobs[0].title": "Senior Data Engineer",
        "jobs[0].employer": "Tidal Energy Ltd",
        "jobs[1].title": "Data Analyst",
        "jobs[1].employer": "Marlow Bank plc",
        "education[0].degree": "BSc Mathematics",
        "education[0].school": "University of Bath",
    }
    return Paper("cv.txt", "cv", text.encode(), values, {"jobs": 2, "education": 1})


def bank_statement() -> Paper:
    """Five movements that lead from the one balance to the other."""
    movements = (
        ("02/09/2024", "Salary Tidal Energy Ltd", "2,950.00"),
        ("03/09/2024", "Rent Mill Estates", "-1,100.00"),
        ("09/09/2024", "Supermarket Fresh", "-84.35"),
        ("17/09/2024", "Electricity Volt plc", "-62.10"),
        ("27/09/2024", "Refund Bookshop", "19.99"),
    )
    lines = [
        (50.0, 50.0, "Severn Bank"),
        (50.0, 70.0, "Account holder: Amara Lindqvist"),
        (50.0, 90.0, "IBAN: GB33 BUKB 2020 1555 5555 55"),
        (50.0, 110.0, "Period: 01/09/2024 to 30/09/2024"),
        (50.0, 150.0, "Opening balance"),
        (440.0, 150.0, "1,210.40"),
        (50.0, 180.0, "Date"),
        (150.0, 180.0, "Details"),
        (440.0, 180.0, "Amount"),
    ]
    for number, row in enumerate(movements):
        lines += [(x, 200.0 + 20 * number, text) for x, text in zip((50.0, 150.0, 440.0), row, strict=True)]
    lines += [(50.0, 320.0, "Closing balance"), (440.0, 320.0, "2,933.94")]
    values = {
        "bank": "Severn Bank",
        "holder": "Amara Lindqvist",
        "iban": "GB33BUKB20201555555555",
        "from_date": "2024-09-01",
        "to_date": "2024-09-30",
        "opening_balance": "1210.40",
        "closing_balance": "2933.94",
        "movements[0].amount": "2950.00",
        "movements[1].amount": "-1100.00",
        "movements[1].date": "2024-09-03",
        "movements[4].amount": "19.99",
    }
    return Paper("statement.pdf", "bank_statement", pdf(_page(*lines)), values, {"movements": 5})


def lab_report() -> Paper:
    """Four results, one of them marked."""
    text = """Westbrook Laboratory

Patient: Jonas Feld             Date of birth: 21.08.1971
Sample number: W-55201          Physician: Dr Ines Baum
Collected: 04.11.2024           Reported: 05.11.2024

Test             Value   Unit     Reference     Flag
Haemoglobin      14.8    g/dL     13.5 - 17.5
Glucose          121     mg/dL    70 - 99       H
Creatinine       0.91    mg/dL    0.70 - 1.20
Potassium        4.4     mmol/L   3.5 - 5.1
"""
    values = {
        "laboratory": "Westbrook Laboratory",
        "patient": "Jonas Feld",
        "birth_date": "1971-08-21",
        "sample_number": "W-55201",
        "collected": "2024-11-04",
        "reported": "2024-11-05",
        "physician": "Dr Ines Baum",
        "results[0].test": "Haemoglobin",
        "results[0].value": "14.8",
        "results[1].test": "Glucose",
        "results[1].value": "121",
        "results[1].unit": "mg/dL",
        "results[1].flag": "H",
        "results[3].test": "Potassium",
        "results[3].value": "4.4",
    }
    return Paper("lab.txt", "lab_report", text.encode(), values, {"results": 4})


def id_card() -> Paper:
    """Labels above and beside the values."""
    text = """REPUBLIC OF FREEDONIA
IDENTITY CARD

Number: X4471902
Surname: OKAFOR
Given names: DANIEL MARK
Date of birth: 09.02.1988
Place of birth: SYLVANIA
Nationality: FREEDONIAN
Sex: M
Date of issue: 15.07.2021
Date of expiry: 14.07.2031
Authority: CITY OF SYLVANIA
"""
    values = {
        "kind": "identity card",
        "number": "X4471902",
        "surname": "OKAFOR",
        "given_names": "DANIEL MARK",
        "birth_date": "1988-02-09",
        "birth_place": "SYLVANIA",
        "nationality": "FREEDONIAN",
        "sex": "M",
        "issued": "2021-07-15",
        "expires": "2031-07-14",
        "authority": "CITY OF SYLVANIA",
        "address": None,
    }
    return Paper("card.txt", "id_card", text.encode(), values, {})


PAPERS = (
    invoice_over_two_pages,
    invoice_as_letter,
    contract,
    nda,
    cv,
    bank_statement,
    lab_report,
    id_card,
)
