"""Corrected documents from a file of lines: their form, what is refused, and when they stand before a document."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.extraction.builtin import builtin_schema
from app.extraction.pipeline import extract
from app.extraction.records import Example, ExampleValue
from app.extraction.sample_lines import read_samples
from app.extraction.view import view_text
from engine.errors import GatehouseError
from tests.app.extraction.sample_receipt import TEXT, RuleAsker, reading_of

RECEIPT = builtin_schema("receipt")
INVOICE = builtin_schema("invoice")


def _file(folder: Path, *lines: object) -> Path:
    path = folder / "seen.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), "utf-8")
    return path


def test_a_line_is_a_file_and_its_values_as_people_write_them(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("beside the lines")
    fields = {"company": "The Mill Shop", "date": "3 Nov 2024", "total": "RM 1.234,50", "address": None}
    (here, elsewhere) = read_samples(
        _file(tmp_path, {"file": "one.txt", "fields": fields}, "", {"file": "/elsewhere/two.txt", "fields": {}}),
        RECEIPT,
    )
    assert here.path == tmp_path / "one.txt"
    assert elsewhere.path == Path("/elsewhere/two.txt")
    assert [(value.name, value.value) for value in here.values] == [
        ("company", "The Mill Shop"),
        ("date", "2024-11-03"),
        ("total", "1234.50"),
        ("address", None),
    ]


def test_tables_are_nested_as_in_json(tmp_path: Path) -> None:
    fields = {"number": "A-1", "lines": [{"quantity": 2, "amount": "9.50"}, {"amount": "1"}]}
    (sample,) = read_samples(_file(tmp_path, {"file": "a", "fields": fields}), INVOICE)
    assert [(value.name, value.value) for value in sample.values] == [
        ("number", "A-1"),
        ("lines[0].quantity", "2"),
        ("lines[0].amount", "9.50"),
        ("lines[1].amount", "1"),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2 of seen.jsonl cannot be used: it is not JSON"),
        ({"fields": {}}, 'it has no "file"'),
        ({"file": "a"}, 'it has no "fields"'),
        ({"file": "a", "fields": {"colour": "red"}}, "the schema has no field 'colour'"),
        ({"file": "a", "fields": {"date": "soon"}}, "'soon' is no date for 'date'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path: Path, line: object, why: str) -> None:
    path = _file(tmp_path, {"file": "a", "fields": {"total": "1.00"}}, line)
    with pytest.raises(GatehouseError) as refused:
        read_samples(path, RECEIPT)
    assert why in refused.value.sentence


def test_a_file_in_utf_8_with_its_mark_is_read_and_other_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "seen.jsonl"
    path.write_text('{"file": "a", "fields": {"total": "1.00"}}', "utf-8-sig")
    assert len(read_samples(path, RECEIPT)) == 1
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(GatehouseError) as refused:
        read_samples(path, RECEIPT)
    assert refused.value.code == "bad_examples"


async def _turns(n_ctx: int, *examples: Example) -> int:
    """How many turns stand before the document and its question."""
    asker = RuleAsker({}, n_ctx=n_ctx)
    await extract(reading_of("OTHER SHOP\nTOTAL  5.00"), RECEIPT, examples, asker)
    return len(asker.questions[0].turns) - 2


async def test_examples_are_shown_only_where_they_help() -> None:
    told = (ExampleValue("company", "Corner Hardware & Paint"), ExampleValue("total", "26.64"))
    good = Example(view_text(reading_of(TEXT)), told)
    other = Example("LAKE INN\n02/01/2024\nTOTAL 2.00\n", (ExampleValue("total", "2.00"),))
    assert await _turns(8192, good, other) == 4
    # The same form again, one without text, one about other fields, one that is a book: none of them helps.
    twin = Example(good.text.replace("26.64", "27.64"), told)
    empty = Example(" ", told)
    alien = Example("A PARTY", (ExampleValue("parties[0]", "A"),))
    book = Example(good.text * 40, told)
    assert await _turns(8192, good, twin, empty, alien, book) == 2
    # In a small context the document goes first.
    assert await _turns(1560, good, other) < 4
