"""The guard on the count of items: rows that the model passed over come in and are told, full lists are told."""

from __future__ import annotations

from typing import Any

from app.extraction.builtin import builtin_schema
from app.extraction.counts import missed_rows
from app.extraction.forms import MAX_LIST_ITEMS
from app.extraction.pipeline import extract
from app.extraction.schema import Field, FieldType, Schema, find_field
from tests.app.extraction.papers import GOODS
from tests.app.extraction.sample_receipt import RuleAsker, reading_of

_HEAD = "Description      Qty   Unit price   Amount"
_ROWS = [f"{what:<24}  {count:>3}  {price:>8}  {amount:>8}" for what, count, price, amount in GOODS]
INVOICE = "\n".join(
    [
        "Northgate Office Supplies Ltd",
        "Invoice no: NG-20417   12 March 2024",
        _HEAD,
        *_ROWS[:8],
        "Continued on page 2",
        _HEAD,
        *_ROWS[8:],
        "Net amount            3931.60",
        "VAT 20 %               786.32",
        "Total due             4717.92",
    ]
)
LINES = Field(
    "lines",
    FieldType.TABLE,
    fields=(Field("description"), Field("quantity", FieldType.NUMBER), Field("amount", FieldType.AMOUNT)),
)


def _last(options: list[Any]) -> Any:
    return [option for option in options if option is not None][-1]


async def test_rows_that_the_model_passed_over_are_added_and_told() -> None:
    # The model stops at the end of the first page, and has forgotten the third row there.
    first_page = lambda lines: [row for row in lines if row.startswith(("Oak", "Task", "Filing", "Waste"))]  # noqa: E731
    asker = RuleAsker({"": first_page, "amount": _last})
    made = await extract(reading_of(INVOICE), Schema("bill", "Bill", "", (LINES,)), (), asker)
    amounts = [value.value for value in made.values if value.name.endswith(".amount")]
    assert amounts == [row[3] for row in GOODS]
    assert "Lines has 12 rows: the model named 4, and 8 lines that look like rows were added." in made.notes


async def test_rows_that_are_all_there_need_no_word() -> None:
    all_rows = lambda lines: [row for row in lines if row[:3].isalpha() and row.count(".") == 2]  # noqa: E731
    asker = RuleAsker({"": all_rows, "amount": _last})
    made = await extract(reading_of(INVOICE), Schema("bill", "Bill", "", (LINES,)), (), asker)
    assert sum(value.name.endswith(".amount") for value in made.values) == len(GOODS)
    assert made.notes == ()


def test_rows_of_words_go_on_only_where_they_stand() -> None:
    results = find_field(builtin_schema("lab_report"), "results")
    assert results is not None
    report = [
        "Patient: Jonas Feld  Born: 21.08.1971  Ward: 3",
        "Test  Value  Unit  Reference",
        "Glucose  121  mg/dL  70 - 99",
        "Sodium  140  mmol/L  135 - 145",
        "Potassium  4.4  mmol/L  3.5 - 5.1",
        "Comment: fasting",
        "Seen by  Dr Baum  on ward  today",
    ]
    assert missed_rows(results, [2], report) == [3, 4]
    assert missed_rows(results, [], report) == []


async def test_a_list_without_room_for_more_says_so() -> None:
    text = "\n".join(f"member {number}" for number in range(MAX_LIST_ITEMS + 5))
    schema = Schema("club", "Club", "", (Field("members", FieldType.LIST),))
    asker = RuleAsker({"members": lambda _: [f"member {number}" for number in range(MAX_LIST_ITEMS)]})
    made = await extract(reading_of(text), schema, (), asker)
    assert len(made.values) == MAX_LIST_ITEMS
    assert made.notes == (f"Members was full with {MAX_LIST_ITEMS} items; more may be missing.",)


async def test_a_table_that_is_not_there_has_no_rows() -> None:
    made = await extract(reading_of(INVOICE), Schema("bill", "Bill", "", (LINES,)), (), RuleAsker({"": lambda _: []}))
    assert made.values == ()


async def test_a_head_is_no_row_and_no_cell_reaches_into_the_next_column() -> None:
    with_head = lambda lines: [row for row in lines if row.startswith(("Description", "Oak", "Task"))][:3]  # noqa: E731
    asker = RuleAsker({"": with_head, "amount": _last, "quantity": lambda options: options[0]})
    made = await extract(reading_of(INVOICE), Schema("bill", "Bill", "", (LINES,)), (), asker)
    first = {value.name: value.value for value in made.values if value.name.startswith("lines[0]")}
    assert first["lines[0].quantity"] == "2"
    assert first["lines[0].amount"] == "840.00"
    row = asker.questions[1].schema["prefixItems"][0]["properties"]
    assert row["amount"] == {"enum": ["420.00", "840.00", None]}
