"""Tables for others: every value with its proof, nothing that becomes a formula, whole files or none."""

from __future__ import annotations

import csv
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from openpyxl import load_workbook

from app.cli.extracting import Order, _Run
from app.documents.gather import gather
from app.documents.records import Box
from app.documents.review_records import ExportFormat, Review, ReviewAction, ReviewedValue
from app.extraction.export import safe_text, writer_for
from app.extraction.exported import ExportedDocument, ExportedValue, from_review, json_line
from app.extraction.journal import Journal
from app.extraction.manifest import hash_file
from app.extraction.records import Evidence, Grounding, Value
from app.extraction.schema import Field, FieldType, Schema
from app.extraction.unfinished import Unfinished
from app.store.driver import connect
from engine.errors import GatehouseError

BILL = Schema(
    "bill",
    "Bill",
    "",
    (
        Field("seller", FieldType.TEXT),
        Field("due", FieldType.DATE),
        Field("total", FieldType.AMOUNT),
        Field("tags", FieldType.LIST),
        Field("lines", FieldType.TABLE, fields=(Field("what"), Field("amount", FieldType.AMOUNT))),
    ),
)
EVIL = "=cmd|'/c calc'!A1"


def _value(name: str, kind: FieldType, value: str | None, confidence: float = 0.95) -> ExportedValue:
    if value is None:
        return ExportedValue(name, kind, None, "", confidence, Grounding.ABSENT, ())
    place = Evidence(2, Box(10, 20, 30, 40), 5, 5 + len(value), value)
    return ExportedValue(name, kind, value, value, confidence, Grounding.EXACT, (place,))


DOCUMENT = ExportedDocument(
    "/in/=bill.pdf",
    "ab" * 32,
    "done",
    (
        _value("seller", FieldType.TEXT, EVIL),
        _value("due", FieldType.DATE, "2025-12-31"),
        _value("total", FieldType.AMOUNT, "-12.50", 0.4),
        _value("tags[0]", FieldType.TEXT, "red"),
        _value("tags[1]", FieldType.TEXT, "round"),
        _value("lines[0].what", FieldType.TEXT, "Pears\x0b"),
        _value("lines[0].amount", FieldType.AMOUNT, "-12.50"),
        _value("lines[1].what", FieldType.TEXT, None),
        _value("lines[1].amount", FieldType.AMOUNT, None),
    ),
    "model",
)
FAILED = ExportedDocument("/in/b.pdf", "", "failed", error=("damaged", "It is damaged."))


def _write(kind: ExportFormat, path: Path) -> None:
    writer = writer_for(kind, path, BILL)
    writer.add(DOCUMENT)
    writer.add(FAILED)
    assert not path.exists()  # until it is whole
    writer.finish()


def test_csv_has_proof_beside_each_value_and_no_formula(tmp_path: Path) -> None:
    _write(ExportFormat.CSV, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        done, failed = csv.DictReader(file)
    assert (done["seller"], done["total"], done["tags"]) == (f"'{EVIL}", "-12.50", "red; round")
    assert (done["total_confidence"], done["total_grounding"], done["total_page"]) == ("0.4000", "exact", "2")
    assert (done["total_box"], done["total_evidence"]) == ("10.0 20.0 30.0 40.0", "-12.50")
    assert (failed["status"], failed["error"], failed["total"]) == ("failed", "damaged: It is damaged.", "")
    with (tmp_path / "out.lines.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["amount"]) for row in rows] == [("1", "-12.50")]  # an absent row is none
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.lines.csv"]


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "＝1", "-", "+49 30 1234"])
def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert safe_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-12.50", "12", "A-1", "", "a=b"])
def test_other_text_stays(text: str) -> None:
    assert safe_text(text) == text


def test_workbook_cells_are_typed_and_lead_to_their_evidence(tmp_path: Path) -> None:
    _write(ExportFormat.XLSX, tmp_path / "out.xlsx")
    book = load_workbook(tmp_path / "out.xlsx")
    values, evidence = book["Values"], book["Evidence"]
    head = [cell.value for cell in values[1]]
    row = dict(zip(head, values[2], strict=True))
    assert (row["seller"].value, row["seller"].data_type) == (EVIL, "s")  # a text, whatever it begins with
    assert row["file"].data_type == "s"
    assert (row["total"].value, row["due"].is_date) == (-12.5, True)
    assert book["lines"]["C2"].value == "Pears\ufffd"
    for name in ("seller", "total", "tags"):
        link = row[name].hyperlink
        assert link is not None
        place = evidence[link.location.split("!")[1]]
        proof = [cell.value for cell in evidence[place.row]]
        assert proof[1].split("[")[0] == name
        assert (proof[4], proof[5], proof[6]) == ("exact", 2, "10.0 20.0 30.0 40.0")
    assert values["C3"].value == "damaged: It is damaged."


def test_sqlite_file_can_be_asked(tmp_path: Path) -> None:
    _write(ExportFormat.SQLITE, tmp_path / "out.sqlite")
    connection = connect(tmp_path / "out.sqlite")
    rows = connection.execute(
        "SELECT d.file, x.value, x.confidence, e.page, e.x0, e.text FROM documents AS d"
        " JOIN extracted AS x ON x.document = d.id JOIN evidence AS e ON e.extracted = x.id WHERE x.name = 'total'"
    ).fetchall()
    connection.close()
    assert rows == [("/in/=bill.pdf", "-12.50", 0.4, 2, 10.0, "-12.50")]


def test_line_has_exactly_the_promised_fields() -> None:
    line = json.loads(json_line(DOCUMENT))
    assert list(line) == ["file", "sha256", "status", "fields", "model", "timings"]
    assert line["fields"]["total"] == {
        "value": "-12.50",
        "raw": "-12.50",
        "confidence": 0.4,
        "grounding": "exact",
        "evidence": [{"page": 2, "box": [10, 20, 30, 40], "start": 5, "end": 11, "text": "-12.50"}],
    }
    assert line["fields"]["lines[1].what"]["value"] is None
    assert json.loads(json_line(FAILED))["error"]["code"] == "damaged"


def test_what_a_person_decided_counts_and_says_so() -> None:
    machine = Value("total", FieldType.AMOUNT, "1.00", "1.00", 0.3, Grounding.FUZZY, (), "EUR")
    proof = (Evidence(1, None, 0, 4, "2,00"),)
    cases = [
        (None, ("1.00", 0.3, "fuzzy", "")),
        (Review(ReviewAction.ACCEPTED, "1.00", "1.00", (), (), 0), ("1.00", 1.0, "fuzzy", "accepted")),
        (Review(ReviewAction.TAKEN, "2.00", "2,00", proof, (), 0), ("2.00", 1.0, "exact", "taken")),
        (Review(ReviewAction.CORRECTED, "3.00", "3", (), (), 0), ("3.00", 1.0, "unproven", "corrected")),
        (Review(ReviewAction.ABSENT, None, "", (), (), 0), (None, 1.0, "absent", "absent")),
    ]
    for review, expected in cases:
        (out,) = from_review([ReviewedValue(machine, review, doubtful=False)])
        assert (out.value, out.confidence, out.grounding.value, out.review) == expected


def test_broken_export_leaves_nothing(tmp_path: Path) -> None:
    for kind in ExportFormat:
        writer = writer_for(kind, tmp_path / f"out.{kind}", BILL)
        writer.add(DOCUMENT)
        writer.drop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        Unfinished(tmp_path / "nowhere" / "out.csv")


def test_journal_goes_on_after_a_torn_line_and_tries_failures_again(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    journal = Journal(path, BILL, resume=False)
    journal.add(DOCUMENT, None)
    journal.add(FAILED, None)
    journal.close()
    with path.open("ab") as file:
        file.write(json_line(DOCUMENT).encode()[:100])  # as a kill leaves it
    with pytest.raises(GatehouseError) as raised:
        Journal(path, BILL, resume=False)
    assert raised.value.code == "out_exists"
    journal = Journal(path, BILL, resume=True)
    assert journal.done == {"/in/=bill.pdf": "ab" * 32}
    journal.close()
    (document,) = journal.documents()
    assert document == DOCUMENT


async def test_a_finished_table_says_that_all_is_done_and_asks_no_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bill, out, schema = tmp_path / "bill.txt", tmp_path / "out.csv", tmp_path / "bill.json"
    bill.write_text("Total 12.50", "utf-8")
    schema.write_text('{"type": "object", "properties": {"total": {"type": "string"}}}', "utf-8")
    journal = Journal(tmp_path / "out.csv.partial.jsonl", BILL, resume=False, result=out)
    journal.add(replace(DOCUMENT, file=str(bill), sha256=hash_file(bill)), None)
    _write(ExportFormat.CSV, out)
    journal.drop()
    assert not journal.path.exists()
    order = Order((bill,), str(schema), out, None, None, resume=True, words=False)
    nobody = cast("Any", None)  # neither a model nor a reader is touched
    assert await _Run(nobody, order, ExportFormat.CSV).run(gather(order.paths)) == 0
    assert "All 1 files are done already" in capsys.readouterr().err
    assert not journal.path.exists()
    bill.write_text("Total 13.50", "utf-8")
    again = Journal(journal.path, BILL, resume=True, result=out)
    assert again.finished[str(bill)] != hash_file(bill)  # so it is done again
    again.drop()


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
def test_every_result_is_for_the_person_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        journal = Journal(tmp_path / "out.jsonl", BILL, resume=False)
        journal.add(DOCUMENT, None)
        journal.close()
        Journal(tmp_path / "out.jsonl", BILL, resume=True).close()
        table = Journal(tmp_path / "t.csv.partial.jsonl", BILL, resume=False, result=tmp_path / "t.csv")
        table.add(DOCUMENT, None)
        table.drop()
        for kind in (ExportFormat.CSV, ExportFormat.XLSX, ExportFormat.SQLITE):
            _write(kind, tmp_path / f"out.{kind.value}")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert {"out.jsonl", "t.csv.manifest.json", "out.csv", "out.xlsx"} <= set(modes)
    assert set(modes.values()) == {0o600}, modes
