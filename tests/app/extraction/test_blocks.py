"""Addresses as runs of lines, and the second opinion of a rule that asks no model."""

from __future__ import annotations

from typing import Any

import pytest

from app.extraction.blocks import block_form, block_of, line_forms
from app.extraction.builtin import builtin_schema
from app.extraction.expect import Opinion, opinion, rivals
from app.extraction.finding import find
from app.extraction.firms import firm_names
from app.extraction.forms import WindowForms, names
from app.extraction.schema import Field, FieldType, find_field
from app.extraction.view import lines_of

LETTER = """\
SUNRISE PAINTS SDN BHD (789417-W)
CO. REG: 789417-W
12 MILL LANE  TEL: 0113 496 0000
SUNRISE PARK,
FAX: 0113 496 0001
81100 NEWTOWN
STATE.
Date: 03/11/2024
Brush  9.50
GRAND TOTAL (ROUNDED)  9.50
SUB TOTAL  9.48
"""
LINES = [line.text for line in lines_of(LETTER)]
RECEIPT = builtin_schema("receipt")


def _allows(form: dict[str, Any], answer: list[str]) -> bool:
    runs = [[item["enum"] for item in run["prefixItems"]] for run in form["anyOf"]]
    fitting = [run for run in runs if 1 <= len(answer) <= len(run)]
    return any(all(part in choices for part, choices in zip(answer, run, strict=False)) for run in fitting)


def test_an_address_is_a_run_of_lines_without_telephones_and_names_of_firms() -> None:
    form = block_form(LINES)
    assert form is not None
    whole = ["12 MILL LANE", "SUNRISE PARK,", "81100 NEWTOWN", "STATE."]
    assert _allows(form, whole)
    assert _allows(form, whole[2:])
    for other in (
        ["SUNRISE PAINTS SDN BHD (789417-W)"],
        ["12 MILL LANE TEL: 0113 496 0000"],
        ["0113 496 0000"],
        ["12 MILL LANE", "81100 NEWTOWN"],  # a line between them is left out
        ["81100 NEWTOWN", "12 MILL LANE"],
        ["STATE."],  # goes on, does not begin
        [],
    ):
        assert not _allows(form, other), other


def test_parts_of_a_line_end_where_something_else_begins() -> None:
    assert line_forms("12 MILL LANE  TEL: 0113 496 0000") == ["12 MILL LANE"]
    assert line_forms("Address: 4 High St") == ["Address: 4 High St", "4 High St"]
    assert line_forms("GST NO: 000853975408") == []


def test_an_address_written_otherwise_is_found_as_lines() -> None:
    assert block_of(LINES, "12 Mill Lane, Sunrise Park 81100 Newtown") == [
        "12 MILL LANE",
        "SUNRISE PARK,",
        "81100 NEWTOWN",
    ]
    assert block_of(LINES, "14 Mill Lane") == []


def test_hundreds_of_lines_are_not_made_into_a_form() -> None:
    assert block_form([f"{number} MILL LANE, NEWTOWN" for number in range(400)]) is None


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("company", "Sunrise Paints Sdn Bhd", "SUNRISE PARK"),
        ("address", "12 MILL LANE\nSUNRISE PARK\n81100 NEWTOWN\nSTATE", "12 MILL LANE"),
        ("date", "2024-11-03", "2024-11-04"),
        ("total", "9.50", "9.48"),
    ],
)
def test_a_rule_has_an_opinion_of_its_own(name: str, right: str, wrong: str) -> None:
    field = find_field(RECEIPT, name)
    assert field is not None
    lines = lines_of(LETTER.replace("FAX: 0113 496 0001\n", ""))
    assert opinion(field, right, lines) is Opinion.AGREES
    assert opinion(field, wrong, lines) is Opinion.DIFFERS
    assert opinion(field, None, lines) is Opinion.NONE


def test_a_rule_knows_nothing_of_texts_that_name_no_firm() -> None:
    assert opinion(Field("remark"), "Brush", lines_of(LETTER)) is Opinion.NONE
    assert rivals(FieldType.AMOUNT, lines_of(LETTER)) == 2
    assert rivals(FieldType.TEXT, lines_of(LETTER)) == 0


def test_a_firm_is_offered_as_its_line_says_it() -> None:
    lines = ["TAN WOON YANN", "MILL BOOKS", "CO. (M) SDN BHD (113825-W)", "OWNED BY : LAKE SUPPLY LTD", "12 MILL LANE"]
    assert firm_names(lines) == ["MILL BOOKS CO. (M) SDN BHD"]
    assert firm_names(["SUNRISE PAINTS GmbH  INVOICE", "12 MILL LANE"]) == ["SUNRISE PAINTS GmbH"]
    form = WindowForms(lines_of("MILL BOOKS LTD\n12 MILL LANE")).schema(RECEIPT.fields[:1])
    assert form["properties"]["company"] == {"enum": ["MILL BOOKS LTD", None]}
    # Without such a line, and when asked widely, any words may be the name.
    wide = WindowForms(lines_of("MILL BOOKS LTD\n12 MILL LANE"), wide=True).schema(RECEIPT.fields[:1])
    assert wide["properties"]["company"] != form["properties"]["company"]


def test_heads_prices_and_headings_are_no_addresses() -> None:
    for line in ("Description  Qty  Unit price", "Oak desk  2  420.00", "Netto: 322,00 €", "Bill to:"):
        assert line_forms(line) == [], line
    assert line_forms("Weber & Söhne GmbH, Lindenallee 5, 50667 Köln") == ["Lindenallee 5, 50667 Köln"]


def test_short_words_of_a_label_are_whole_words() -> None:
    assert not names("net", "filing cabinet")
    assert not names("ust", "acoustic panel")
    assert names("net", "sum (net)")
    assert names("total", "subtotal")


def test_vat_ids_are_neither_prices_nor_dates_nor_accounts() -> None:
    line = "420.00  05.06.2024  GB 123 4567 82  GB29 NWBK 6016 1331 9268 19"
    assert [line[a:b] for a, b in find(FieldType.VAT_ID, line)] == ["GB 123 4567 82"]


def test_a_date_behind_another_number_is_found() -> None:
    line = "ORD #07 -REG #19- 10/03/2018 17:24"
    assert [line[a:b] for a, b in find(FieldType.DATE, line)] == ["10/03/2018"]


def test_a_sub_total_is_no_total_where_there_is_one() -> None:
    def offered(text: str) -> object:
        return WindowForms(lines_of(text)).schema(RECEIPT.fields[3:])["properties"]["total"]["enum"]

    assert offered("SUB TOTAL  150.00\nNET TOTAL  174.90") == ["NET TOTAL  174.90", None]
    assert offered("SUB TOTAL  150.00\nCASH  174.90") == ["SUB TOTAL  150.00", None]
