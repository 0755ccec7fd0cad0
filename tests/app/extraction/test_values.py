"""Canonical values, finding them in text, checks and rules between them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.extraction.builtin import builtin_schema
from app.extraction.finding import find
from app.extraction.normalise import canonical, fold_lookalikes, parse_date, same_value
from app.extraction.schema import Field, FieldType
from app.extraction.validate import check_rules, problems_of


@pytest.mark.parametrize(
    ("text", "value", "currency"),
    [
        ("1.234,50 €", "1234.50", "EUR"),
        ("$1,234.50", "1234.50", ""),
        ("CHF 1'234.50", "1234.50", "CHF"),
        ("1 234,50", "1234.50", ""),
        ("1,234", "1234", ""),
        ("0.125", "0.125", ""),
        ("(3.20)", "-3.20", ""),
        ("9.00-", "-9.00", ""),
        ("-RM 0.02", "-0.02", "MYR"),
        ("1,234,567.891", "1234567.891", ""),
    ],
)
def test_amounts_of_many_notations(text: str, value: str, currency: str) -> None:
    made = canonical(FieldType.AMOUNT, text)
    assert made is not None
    assert (made.value, made.currency) == (value, currency)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("24 MAR 2018", "2018-03-24"),
        ("3rd of March 2020", "2020-03-03"),
        ("March 3, 2020", "2020-03-03"),
        ("1. Dezember 2024", "2024-12-01"),
        ("2018-03-01", "2018-03-01"),
        ("12/31/2019", "2019-12-31"),
        ("19-09-17", "2017-09-19"),
        ("20180301", "2018-03-01"),
        ("04.03.71", "1971-03-04"),
    ],
)
def test_dates_of_many_notations(text: str, iso: str) -> None:
    made = canonical(FieldType.DATE, text)
    assert made is not None
    assert made.value == iso


@pytest.mark.parametrize("text", ["31/02/2020", "99-99-99", "Monday", "12", "3.20"])
def test_what_is_no_date(text: str) -> None:
    assert parse_date(text) is None


def test_several_numbers_are_no_number() -> None:
    assert canonical(FieldType.NUMBER, "3 of 4") is None


@given(st.dates(datetime.date(1970, 1, 1), datetime.date(2068, 12, 31)))
def test_a_date_survives_being_written(date: datetime.date) -> None:
    for form in ("%Y-%m-%d", "%d/%m/%Y", "%d.%m.%y", "%d %b %Y", "%B %d, %Y"):
        written = date.strftime(form)
        assert parse_date(written) == date
        assert [f"on {written} x"[a:b] for a, b in find(FieldType.DATE, f"on {written} x")] == [written]


def test_finding_takes_whole_numbers_only() -> None:
    line = "REF 12345678901  LS1 4AB  1,239.00  20%  4.44 EUR"
    assert [line[a:b] for a, b in find(FieldType.AMOUNT, line)] == ["1,239.00", "4.44 EUR"]


def test_lookalikes_of_scans_are_one() -> None:
    assert fold_lookalikes("O1SB") == fold_lookalikes("0l58")
    assert same_value(FieldType.TEXT, "Müller & Co.", "MULLER CO")


def test_checksums_tell_wrong_numbers() -> None:
    iban = Field("iban", FieldType.IBAN)
    assert problems_of(iban, "GB33BUKB20201555555555") == ()
    assert problems_of(iban, "GB33BUKB20201555555556") == ("The checksum of this IBAN is wrong.",)
    assert problems_of(Field("vat", FieldType.VAT_ID), "DE136695976") == ()
    assert problems_of(Field("vat", FieldType.VAT_ID), "DE136695977")
    assert problems_of(Field("isbn", validators=("stdnum:isbn",)), "9780471117094") == ()
    assert problems_of(Field("born", FieldType.DATE, validators=("past",)), "2999-01-01")


def test_rules_of_an_invoice() -> None:
    values: dict[str, str | None] = {
        "date": "2024-02-01",
        "due_date": "2024-01-01",
        "net": "22.20",
        "tax": "4.44",
        "total": "26.64",
        "lines[0].quantity": "2",
        "lines[0].unit_price": "9.50",
        "lines[0].amount": "19.00",
        "lines[1].quantity": "3",
        "lines[1].unit_price": "3.20",
        "lines[1].amount": "3.20",
    }
    ruled = check_rules(builtin_schema("invoice"), values)
    assert set(ruled.problems) == {
        "date",
        "due_date",
        "lines[1].quantity",
        "lines[1].unit_price",
        "lines[1].amount",
    }
    assert {"net", "tax", "total", "lines[0].amount"} <= ruled.upheld
    assert "lines[1].amount" in ruled.upheld  # the sum holds, the product does not
    assert ruled.problems["lines[1].amount"] == ("quantity × unit_price is 9.6, not 3.20.",)
