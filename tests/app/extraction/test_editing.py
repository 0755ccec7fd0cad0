"""Schemas changed field by field."""

from __future__ import annotations

from app.extraction.editing import every_field, find, free_name, insert_below, move, own_copy, put, remove
from app.extraction.schema import Field, FieldType, Schema, check_schema

LINES = Field("lines", FieldType.TABLE, fields=(Field("what"), Field("amount", FieldType.AMOUNT)))
INVOICE = Schema("invoice", "Invoice", "", (Field("seller"), LINES, Field("total", FieldType.AMOUNT)))


def names(schema: Schema) -> list[str]:
    return [f"{'.' * (len(address) - 1)}{field.name}" for address, field in every_field(schema.fields)]


def test_fields_are_read_with_what_they_hold_below_them() -> None:
    assert names(INVOICE) == ["seller", "lines", ".what", ".amount", "total"]
    assert find(INVOICE, (1, 1)).name == "amount"


def test_a_field_is_changed_in_its_place() -> None:
    changed = put(INVOICE, (1, 0), Field("description"))
    assert names(changed) == ["seller", "lines", ".description", ".amount", "total"]
    assert names(INVOICE)[2] == ".what"


def test_what_becomes_a_group_holds_something_and_what_is_no_choice_has_no_choices() -> None:
    group = put(INVOICE, (0,), Field("seller", FieldType.GROUP))
    check_schema(group)
    assert names(group)[:2] == ["seller", ".item"]
    plain = put(INVOICE, (0,), Field("seller", choices=("a",)))
    assert find(plain, (0,)).choices == ()


def test_new_fields_have_free_names_and_say_where_they_are() -> None:
    once, first = insert_below(INVOICE, (0,))
    twice, second = insert_below(once, first)
    assert names(twice)[:3] == ["seller", "field", "field_2"]
    assert (first, second) == ((1,), (2,))
    inside, where = insert_below(INVOICE, (1,), inside=True)
    assert names(inside)[1:3] == ["lines", ".field"]
    assert where == (1, 0)
    last, end = insert_below(INVOICE, None)
    assert names(last)[-1] == "field"
    assert end == (3,)
    assert free_name((Field("a"), Field("a_2")), "a") == "a_3"


def test_fields_move_among_those_beside_them() -> None:
    moved, where = move(INVOICE, (1, 1), -1)
    assert names(moved) == ["seller", "lines", ".amount", ".what", "total"]
    assert where == (1, 0)
    assert move(INVOICE, (2,), 5) == (INVOICE, (2,))


def test_the_last_field_cannot_be_taken_away() -> None:
    fewer = remove(remove(INVOICE, (2,)), (0,))
    assert names(fewer) == ["lines", ".what", ".amount"]
    assert remove(fewer, (0,)) == fewer
    assert names(remove(INVOICE, (1, 0))) == ["seller", "lines", ".amount", "total"]


def test_a_copy_has_a_name_of_its_own() -> None:
    copy = own_copy(INVOICE, frozenset({"invoice", "invoice_2"}))
    assert (copy.name, copy.title, copy.version) == ("invoice_3", "Invoice 3", 1)
