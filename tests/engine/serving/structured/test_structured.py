"""What a request may ask of its answer's shape, as tables: taken, or refused by the name of what is not enforced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import RequestError
from engine.llama.constrain import Constraint
from engine.llama.repetition import repeated_chars, repeated_terms
from engine.serving.openai.structured import MAX_CONSTRAINT_CHARS, schema_constraint, take_constraint
from engine.serving.openai.wire_fields import Fields

STRING = {"type": "string"}


def asked(**values: Any) -> Constraint | None:
    return take_constraint(Fields(values))


def refusal(**values: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        asked(**values)
    assert caught.value.status == 400
    assert caught.value.sentence.endswith(".")
    return caught.value


def by_format(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, **more}}


def test_nothing_asked_is_no_constraint() -> None:
    assert asked() is None
    assert asked(response_format={"type": "text"}, grammar="", regex="") is None


def test_each_way_to_ask() -> None:
    schema = {"type": "object", "properties": {"ä": STRING}}
    wanted = Constraint("json_schema", json.dumps(schema))
    assert asked(response_format=by_format(schema)) == wanted
    assert asked(response_format=by_format(schema, strict=True, description="d")) == wanted
    assert asked(response_format={"type": "json_object", "schema": schema}) == wanted
    assert asked(json_schema=schema) == wanted
    assert asked(response_format={"type": "json_object"}) == Constraint("json_schema", '{"type": "object"}')
    assert asked(grammar='root ::= "a"') == Constraint("gbnf", 'root ::= "a"')
    assert asked(regex="a+") == Constraint("regex", "a+")
    assert asked(choice=["a", "b"]) == Constraint("choice", '["a", "b"]')


def test_one_at_a_time() -> None:
    error = refusal(regex="a", choice=["b"])
    assert "regex and choice" in error.sentence


@pytest.mark.parametrize(
    "values",
    [
        {"response_format": "json"},
        {"response_format": {}},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "text", "more": 1}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": None}}},
        {"response_format": by_format({}, strict="yes")},
        {"response_format": by_format({}, name="a name")},
        {"response_format": by_format({}, nmae="n")},
        {"response_format": by_format("string")},
        {"json_schema": []},
        {"grammar": 3},
        {"regex": ["a"]},
        {"regex": "(a{1000}){1000}"},
        {"choice": []},
        {"choice": ["a", ""]},
        {"choice": "a"},
        {"choice": [str(n) for n in range(1001)]},
        {"regex": "a" * (MAX_CONSTRAINT_CHARS + 1)},
        {"grammar": "\ud800"},
    ],
)
def test_what_is_not_well_formed_is_refused(values: dict[str, Any]) -> None:
    refusal(**values)


ENFORCED: list[dict[str, Any]] = [
    {"type": ["string", "null"], "minLength": 1, "maxLength": 3, "pattern": "^a", "format": "date"},
    {"type": "number", "minimum": 0, "exclusiveMaximum": 2.5, "multipleOf": 0.5},
    {"type": "array", "prefixItems": [STRING], "items": {"enum": [1]}, "minItems": 1, "maxItems": 2},
    {"type": "object", "patternProperties": {"^a": STRING}, "additionalProperties": False, "maxProperties": 2},
    {
        "anyOf": [STRING, {"const": None}],
        "title": "t",
        "description": "d",
        "default": "x",
        "x-order": 1,
        "$id": "urn:a",
    },
    {"oneOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"allOf": [STRING, True]}}, "$schema": "http://x"},
    {"type": "object", "properties": {"not": STRING, "if": {"$ref": "#"}}, "required": ["not"]},
    {"enum": [{"not": 1, "$ref": 2}], "const": {"if": 3}, "examples": [{"foo": 1}]},
]


@pytest.mark.parametrize("schema", ENFORCED)
def test_what_is_enforced_is_taken(schema: dict[str, Any]) -> None:
    assert schema_constraint(schema, "schema").kind == "json_schema"


REFUSED = [
    "not",
    "if",
    "then",
    "else",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "contains",
    "minContains",
    "uniqueItems",
    "additionalItems",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "nullable",
    "$dynamicRef",
    "$recursiveRef",
    "$anchor",
    "x-guidance",
    "maxLenght",
]


@pytest.mark.parametrize("keyword", REFUSED)
@pytest.mark.parametrize(
    "around",
    [
        lambda inner: inner,
        lambda inner: {"type": "object", "properties": {"a": inner}},
        lambda inner: {"items": {"anyOf": [STRING, inner]}},
        lambda inner: {"$ref": "#/$defs/a", "$defs": {"a": {"prefixItems": [inner]}}},
        lambda inner: {"additionalProperties": {"patternProperties": {"^x": {"allOf": [inner]}}}},
    ],
)
def test_a_keyword_that_would_not_be_enforced_is_named(keyword: str, around: Any) -> None:
    error = refusal(json_schema=around({"type": "string", keyword: {}}))
    assert error.code == "unsupported_schema"
    assert repr(keyword) in error.sentence


@pytest.mark.parametrize(
    ("schema", "named"),
    [
        ({"format": "phone"}, "phone"),
        ({"format": "unknown"}, "unknown"),
        ({"format": "regex"}, "regex"),
        ({"items": [STRING]}, "#/items"),
        ({"properties": {"a": 1}}, "#/properties/a"),
        ({"properties": []}, "#/properties"),
        ({"anyOf": {}}, "#/anyOf"),
        ({"exclusiveMinimum": True}, "#/exclusiveMinimum"),
        ({"pattern": 3}, "#/pattern"),
        ({"pattern": "(a{99}){999}"}, "98,901"),
        ({"$ref": "http://example.org/schema"}, "#/$ref"),
        ({"$ref": "#name"}, "#/$ref"),
        ({"$ref": "#/$defs/none"}, "#/$defs/none"),
        ({"$ref": "#/default", "default": STRING}, "#/default"),
        ({"$ref": "#"}, "itself"),
        (
            {"anyOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
            "itself",
        ),
        ({"properties": {"a": {"$id": "urn:b"}}}, "$id"),
    ],
)
def test_what_means_nothing_or_something_else_is_refused(schema: dict[str, Any], named: str) -> None:
    assert named in refusal(json_schema=schema).sentence


def test_a_schema_is_no_deeper_and_no_larger_than_bounds() -> None:
    deep: dict[str, Any] = STRING
    for _ in range(100):
        deep = {"items": deep}
    assert "nested" in refusal(json_schema=deep).sentence
    assert "characters" in refusal(json_schema={"enum": ["x" * 100] * 1000}).sentence


@pytest.mark.parametrize(
    ("pattern", "n"),
    [
        ("", 0),
        ("abc", 3),
        ("a{3}", 3),
        ("a{2,5}b", 6),
        ("(ab){10}", 20),
        ("((a{10}){10}){10}", 1000),
        ("[}{2}]{7}", 7),
        (r"\{{4}", 4),
        (r"\p{Lu}{30}", 30),
        ("(a|b{4}){2,}", 10),
        ("a*b+c?", 3),
        ("a{x}", 4),
        ("((((", 0),
        ("a{999999999}{999999999}", 10**12),
    ],
)
def test_repetitions_multiply(pattern: str, n: int) -> None:
    assert repeated_chars(pattern) == n


@pytest.mark.parametrize(
    ("lark", "n"),
    [
        ('start: A A\nA: "abc" B{4}\nB: /[x-z]{5}/', 46),
        ('start: a{1000}\na: "x" | a "y"', 1000),
        ("start: A0\n" + "\n".join(f"A{n}: A{n + 1} A{n + 1}" for n in range(24)) + '\nA24: "a"', 2**24),
        ("start: A\nA: A A", 4),
        ("", 0),
    ],
)
def test_terminals_multiply(lark: str, n: int) -> None:
    assert repeated_terms(lark) == n
