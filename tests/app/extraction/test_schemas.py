"""Schemas: built in, checked, as JSON Schema and Pydantic and back, and proposed by a model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from app.extraction.ask import Question, Reply
from app.extraction.builtin import builtin_schema, builtin_schemas
from app.extraction.propose import propose, schema_of
from app.extraction.schema import Field, FieldType, Schema, check_schema, find_field
from app.extraction.schema_json import from_json_schema, to_json_schema
from app.extraction.schema_pydantic import from_pydantic, to_pydantic
from engine.errors import GatehouseError
from tests.app.extraction.sample_receipt import TEXT, reading_of

FOREIGN = """{"$defs": {"Party": {"type": "object", "properties": {"name": {"type": "string"}}}},
 "title": "Order Form", "type": "object", "required": ["id"], "properties": {
  "id": {"type": "string", "description": "number of the order"},
  "ship date": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]},
  "total_price": {"type": ["number", "null"]}, "count": {"type": "integer"},
  "state": {"enum": ["open", "shipped"]}, "buyer": {"$ref": "#/$defs/Party"},
  "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
  "tags": {"type": "array", "items": {"type": "string"}}}}"""

MODEL = """
from pydantic import BaseModel, Field
class Line(BaseModel):
    text: str
    price: Decimal | None = None
class Bill(BaseModel):
    \"\"\"A bill.\"\"\"
    number: str = Field(..., description="number of the bill", examples=["B-1"])
    due: Optional[date] = None
    kind: Literal["goods", "services"]
    lines: list[Line]
    iban: str | None = None
__import__("os").abort()
"""


def test_the_built_in_ones_are_sound_and_described() -> None:
    names = {schema.name for schema in builtin_schemas()}
    assert names == {"invoice", "receipt", "contract", "nda", "cv", "bank_statement", "lab_report", "id_card"}
    for schema in builtin_schemas():
        assert all(field.description for field in schema.fields)
        assert from_json_schema(to_json_schema(schema)) == schema


def test_a_foreign_json_schema_becomes_fields() -> None:
    schema = from_json_schema(FOREIGN)
    kinds = {field.name: field.type for field in schema.fields}
    assert kinds == {
        "id": FieldType.TEXT,
        "ship_date": FieldType.DATE,
        "total_price": FieldType.AMOUNT,
        "count": FieldType.NUMBER,
        "state": FieldType.CHOICE,
        "buyer": FieldType.GROUP,
        "items": FieldType.TABLE,
        "tags": FieldType.LIST,
    }
    assert [field.name for field in schema.fields if field.required] == ["id"]
    assert schema.name == "Order_Form"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "not an object"),
        ("{", "no JSON"),
        ('{"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "number"}]}}}', "one of 2 things"),
        ('{"properties": {"a": {"$ref": "http://example.org/x"}}}', "outside this schema"),
        ('{"properties": {"a": {"$ref": "#/properties/a"}}}', "refers to itself"),
        ('{"properties": {"a": {"type": "null"}}}', "cannot be looked for"),
    ],
)
def test_what_cannot_be_looked_for_is_refused(text: str, what: str) -> None:
    with pytest.raises(GatehouseError, match=what):
        from_json_schema(text)


def test_pydantic_source_is_read_and_never_run() -> None:
    schema = from_pydantic(MODEL)
    kinds = [(field.name, field.type, field.required) for field in schema.fields]
    assert kinds == [
        ("number", FieldType.TEXT, True),
        ("due", FieldType.DATE, False),
        ("kind", FieldType.CHOICE, True),
        ("lines", FieldType.TABLE, True),
        ("iban", FieldType.IBAN, False),
    ]
    assert schema.description == "A bill."
    assert schema.fields[0].example == "B-1"


def test_pydantic_comes_back() -> None:
    schema = builtin_schema("invoice")
    again = from_pydantic(to_pydantic(schema), "invoice")
    assert [field.name for field in again.fields] == [field.name for field in schema.fields]
    assert find_field(again, "lines[3].quantity") is not None


def test_faults_of_a_schema_are_named() -> None:
    good = builtin_schema("receipt")
    for bad, what in (
        (replace(good, name="1x"), "called '1x'"),
        (replace(good, fields=()), "no fields"),
        (replace(good, fields=(good.fields[0], good.fields[0])), "there twice"),
        (replace(good, fields=(Field("kind", FieldType.CHOICE),)), "without choices"),
        (replace(good, fields=tuple(Field(f"f{n}") for n in range(500))), "500 fields"),
    ):
        with pytest.raises(GatehouseError, match=what):
            check_schema(bad)


class _Proposer:
    model, n_ctx = "by hand", 4096

    def __init__(self, answer: str) -> None:
        self._answer = answer

    async def ask(self, question: Question) -> Reply:
        assert question.turns[1].text.count("</document>") == 1
        return Reply(self._answer, True)


async def test_a_proposal_is_held_against_the_samples() -> None:
    fields = [
        {"name": "shop", "type": "text", "description": "name of the shop", "example": "CORNER HARDWARE"},
        {"name": "day", "type": "text", "description": "day of sale", "example": "03/11/2024"},
        {"name": "sum", "type": "number", "description": "to pay", "example": "26.64"},
        {"name": "owner", "type": "text", "description": "who owns it", "example": "Jane Doe"},
        {"name": "signed", "type": "iban", "description": "signature", "example": "CASH"},
    ]
    answer = json.dumps({"title": "Till receipt", "fields": fields})
    schema = await propose([reading_of(TEXT)], "till", _Proposer(answer))
    assert [(field.name, field.type) for field in schema.fields] == [
        ("shop", FieldType.TEXT),
        ("day", FieldType.DATE),
        ("sum", FieldType.AMOUNT),
        ("signed", FieldType.TEXT),
    ]
    cut = schema_of(answer[: answer.index("owner")], "till", TEXT)
    assert [field.name for field in cut.fields] == ["shop", "day", "sum"]
    with pytest.raises(GatehouseError, match="no field"):
        await propose([reading_of("nothing here")], "till", _Proposer(answer))
    assert isinstance(schema, Schema)
