"""Grammars on the starter's vocabulary: every text they allow is valid, bombs do not go off, forced text is exact."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema_rs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.llama.constrain import Constraint, Grammar, GrammarCompiler, Matcher, lark_literal
from engine.llama.model import Model
from tests.engine.llama.walks import Walker

pytestmark = pytest.mark.native

STRING = {"type": "string"}
WHOLE = {"type": "integer"}


@pytest.fixture(scope="module")
def compiler(model: Model) -> GrammarCompiler:
    return GrammarCompiler(model.vocabulary)


@pytest.fixture(scope="module")
def walker(model: Model) -> Walker:
    return Walker(model.vocabulary)


def of_schema(compiler: GrammarCompiler, schema: Any) -> Grammar:
    return compiler.compile(Constraint("json_schema", json.dumps(schema)))


def texts(walker: Walker, grammar: Grammar, n: int = 12) -> list[str]:
    rng = random.Random(5)
    found = [walker.text(grammar, rng) for _ in range(n)]
    return [text.decode() for text in found if text is not None]


def takes(model: Model, grammar: Grammar, text: str) -> bool:
    """Whether a text, in the vocabulary's own tokens, is a whole text of the grammar."""
    matcher = grammar.matcher()
    for token in model.vocabulary.tokenize(text, parse_special=False, add_bos=False):
        if not matcher.allows(token):
            return False
        matcher.advance(token)
    return matcher.accepting


SCHEMAS: dict[str, dict[str, Any]] = {
    "flat": {
        "type": "object",
        "properties": {"a": STRING, "b": WHOLE},
        "required": ["a"],
        "additionalProperties": False,
    },
    "open": {"type": "object", "properties": {"a": WHOLE}, "additionalProperties": {"type": "boolean"}},
    "nullable": {"type": ["string", "null"], "maxLength": 12},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 5},
    "numbers": {"type": "number", "exclusiveMinimum": -1.5, "maximum": 20},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 0},
    "pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    "searched": {"type": "string", "pattern": "b+", "maxLength": 8},
    "enum": {"enum": ["a", 1, None, {"b": [1, "x\ny"]}]},
    "const": {"const": {"ä": [True, 2.5]}},
    "tuple": {
        "type": "array",
        "prefixItems": [WHOLE, STRING],
        "items": {"type": "boolean"},
        "minItems": 2,
        "maxItems": 4,
    },
    "any": {"anyOf": [STRING, {"type": "array", "items": WHOLE, "maxItems": 2}]},
    "one": {"oneOf": [{"type": "integer"}, {"type": "null"}]},
    "all": {"allOf": [{"type": "object", "properties": {"a": WHOLE}, "required": ["a"]}, {"required": ["b"]}]},
    "siblings": {"$ref": "#/$defs/s", "maxLength": 3, "$defs": {"s": STRING}},
    "tree": {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"v": WHOLE, "next": {"type": "array", "items": {"$ref": "#/$defs/node"}, "maxItems": 1}},
                "required": ["v"],
                "additionalProperties": False,
            }
        },
    },
    "names": {"type": "object", "patternProperties": {"^n": WHOLE}, "additionalProperties": False},
    "few": {"type": "object", "maxProperties": 1},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "hostname": {"type": "string", "format": "hostname"},
    "duration": {"type": "string", "format": "duration"},
}


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_text_of_a_schema_is_valid(name: str, compiler: GrammarCompiler, walker: Walker) -> None:
    check = jsonschema_rs.Draft202012Validator(SCHEMAS[name], validate_formats=True)
    written = texts(walker, of_schema(compiler, SCHEMAS[name]))
    assert len(written) > 3
    assert [text for text in written if not check.is_valid(json.loads(text))] == []


_CHARS = st.characters(max_codepoint=0x1FFFF, exclude_categories=["Cs"])
"""The starter's vocabulary has no token for the first byte of what lies far beyond."""
_leaves = st.one_of(
    st.just(STRING),
    st.builds(lambda n: {"type": "string", "maxLength": n}, st.integers(0, 9)),
    st.builds(
        lambda a, b: {"type": "integer", "minimum": a, "maximum": a + b}, st.integers(-99, 99), st.integers(0, 99)
    ),
    st.builds(
        lambda words: {"enum": words}, st.lists(st.text(_CHARS, max_size=4), min_size=1, max_size=3, unique=True)
    ),
    st.just({"type": ["boolean", "null"]}),
    st.just({"type": "number"}),
)


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.text('abcü "\\/', min_size=1, max_size=3)
    return st.one_of(
        st.builds(
            lambda parts, n: {
                "type": "object",
                "properties": parts,
                "required": sorted(parts)[:n],
                "additionalProperties": False,
            },
            st.dictionaries(names, inner, max_size=3),
            st.integers(0, 3),
        ),
        st.builds(lambda part, n: {"type": "array", "items": part, "maxItems": n}, inner, st.integers(0, 3)),
        st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3)),
    )


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(schema=st.recursive(_leaves, _grown, max_leaves=6), seed=st.integers(0, 1000))
def test_random_schemas_are_kept(schema: dict[str, Any], seed: int, compiler: GrammarCompiler, walker: Walker) -> None:
    text = walker.text(of_schema(compiler, schema), random.Random(seed))
    if text is not None and b"Infinity" not in json.dumps(value := json.loads(text)).encode():  # 1e999 is a number
        jsonschema_rs.Draft202012Validator(schema).validate(value)


@pytest.mark.parametrize(
    ("gbnf", "good", "bad"),
    [
        ('root ::= "yes" | "no"', ["yes", "no"], ["ye", "maybe", "yesno"]),
        ('root ::= item+\nitem ::= "- " [^\\n]+ "\\n"', ["- a\n", "- a b\n- ö\n"], ["- a", "a\n"]),
        ('root ::= num ("+" num)*\nnum ::= [0-9]{1,3}', ["1", "12+345"], ["1234", "1+", "+1"]),
        ('root ::= "(" root? ")"  # nested', ["()", "((()))"], ["(()", ")("]),
        ('root ::= ws "{" ws "}"\nws ::= [ \\t]*', ["{}", " { }"], ["{", "{ }."]),
    ],
)
def test_gbnf_means_what_it_means_to_llama_cpp(
    gbnf: str, good: list[str], bad: list[str], model: Model, compiler: GrammarCompiler
) -> None:
    grammar = compiler.compile(Constraint("gbnf", gbnf))
    assert [takes(model, grammar, text) for text in good] == [True] * len(good)
    assert [takes(model, grammar, text) for text in bad] == [False] * len(bad)


def test_an_expression_means_the_whole_text_and_a_choice_its_words(model: Model, compiler: GrammarCompiler) -> None:
    expression = compiler.compile(Constraint("regex", "[a-c]{2}(-x)?"))
    assert [takes(model, expression, text) for text in ("ab", "cc-x", "a", "abc", "ab-")] == [
        True,
        True,
        False,
        False,
        False,
    ]
    words = ['say "hi"\n', "yes", "yes, but", "/x/", "näher"]
    choice = compiler.compile(Constraint("choice", json.dumps(words)))
    assert all(takes(model, choice, word) for word in words)
    assert not takes(model, choice, "yes,")


def test_forced_text_is_in_the_vocabularys_own_tokens(model: Model, compiler: GrammarCompiler) -> None:
    vocabulary = model.vocabulary
    schema = {
        "type": "object",
        "properties": {"company_name": {"const": "A long constant, written out"}},
        "required": ["company_name"],
    }
    matcher = of_schema(compiler, {**schema, "additionalProperties": False}).matcher()
    forced = matcher.forced(1000)
    text = b"".join(map(vocabulary.piece, forced)).decode()
    written = '{\n  "company_name": "A long constant, written out"\n}'
    assert written.startswith(text)
    assert len(text) > 40
    whole = vocabulary.tokenize(written, parse_special=False, add_bos=False)
    assert forced == whole[: len(forced)]


def test_forced_text_can_be_taken_in_pieces_or_only_looked_at(compiler: GrammarCompiler) -> None:
    grammar = of_schema(compiler, {"const": "one two three four five"})
    whole = grammar.matcher().forced(1000)
    matcher = grammar.matcher()
    assert matcher.upcoming(3) == whole[:3]
    taken = [matcher.forced(3)]
    while taken[-1]:
        taken.append(matcher.forced(3))
    assert [token for piece in taken for token in piece] == whole


def test_the_mask_and_the_check_of_one_token_agree(model: Model, compiler: GrammarCompiler) -> None:
    matcher = of_schema(compiler, {"type": "array", "items": {"enum": ["red", "green", None]}}).matcher()
    for token in model.vocabulary.tokenize('["gr', parse_special=False, add_bos=False):
        allowed = matcher.allowed()
        assert [token for token in range(0, len(allowed), 37) if allowed[token] != matcher.allows(token)] == []
        matcher.advance(token)


def test_the_text_may_end_only_where_the_grammar_does(model: Model, compiler: GrammarCompiler) -> None:
    matcher = compiler.compile(Constraint("regex", "a+")).matcher()
    (a,) = model.vocabulary.tokenize("a", parse_special=False, add_bos=False)
    ends = model.vocabulary.end_tokens
    assert not any(matcher.allows(end) for end in ends)
    matcher.advance(a)
    assert all(matcher.allows(end) for end in ends)
    assert matcher.accepting
    assert not matcher.stopped


def test_free_text_up_to_a_token_and_the_grammar_after_it(model: Model, compiler: GrammarCompiler) -> None:
    tokenize = model.vocabulary.tokenize
    (end,) = tokenize("<|im_end|>", parse_special=True, add_bos=False)
    matcher = compiler.compile(Constraint("choice", '["yes"]', starts_after=end)).matcher()
    thought = tokenize("no, or so I think", parse_special=False, add_bos=False)
    assert matcher.longest(thought) == len(thought)
    for token in thought:
        matcher.advance(token)
    assert not matcher.forced(10)
    matcher.advance(end)
    assert not matcher.allows(thought[0])
    assert b"".join(map(model.vocabulary.piece, matcher.forced(10))) + b"" in (b"yes", b"")


def test_a_schema_inside_a_larger_grammar(model: Model, compiler: GrammarCompiler) -> None:
    schema = {"type": "object", "properties": {"city": STRING}, "required": ["city"], "additionalProperties": False}
    lark = f"start: {lark_literal('call weather ')} %json {json.dumps(schema)} {lark_literal(' end')}"
    grammar = compiler.compile(Constraint("lark", lark))
    assert takes(model, grammar, 'call weather {"city": "Köln"} end')
    assert not takes(model, grammar, 'call weather {"town": "Köln"} end')


BOMBS = {
    "deep": Constraint("json_schema", '{"items":' * 2000 + "{}" + "}" * 2000),
    "crossed": Constraint(
        "json_schema",
        json.dumps(
            {
                "allOf": [
                    {"anyOf": [{"type": "string", "maxLength": n}, {"minimum": n}, {"minLength": n}]} for n in range(14)
                ]
            }
        ),
    ),
    "enums": Constraint(
        "json_schema",
        json.dumps({"type": "array", "prefixItems": [{"enum": [f"{n}-{m}" for m in range(900)]} for n in range(200)]}),
    ),
    "nothing": Constraint("json_schema", '{"type":"string","enum":[1]}'),
    "rules": Constraint("gbnf", "root ::= r0\n" + "\n".join(f"r{n} ::= r{n + 1} r{n + 1}" for n in range(60))),
    "nested": Constraint("gbnf", "root ::= " + "(" * 5000 + '"a"' + ")" * 5000),
}


@pytest.mark.parametrize("name", sorted(BOMBS))
def test_what_would_go_off_is_refused_with_a_sentence(name: str, compiler: GrammarCompiler) -> None:
    with pytest.raises(RequestError) as caught:
        compiler.compile(BOMBS[name])
    assert caught.value.status == 400
    assert caught.value.sentence.startswith("The ")


FANS = {
    "references": {
        "$defs": {
            f"d{n}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{n + 1}"}] * 2, "minItems": 2, "maxItems": 2}
            for n in range(40)
        }
        | {"d40": {"const": 1}},
        "$ref": "#/$defs/d0",
    },
    "repeated": {"type": "array", "items": {"const": 1}, "minItems": 10**6},
}


@pytest.mark.parametrize("name", sorted(FANS))
def test_text_without_end_is_forced_only_as_far_as_fuel_reaches(name: str, compiler: GrammarCompiler) -> None:
    matcher = of_schema(compiler, FANS[name]).matcher()
    with pytest.raises(RequestError, match="cannot be followed"):
        _until_it_gives_up(matcher)


def _until_it_gives_up(matcher: Matcher) -> None:
    forced = 0
    while forced < 50_000:
        taken = matcher.forced(1000)
        forced += len(taken)
        if not taken:
            matcher.allowed()
            return


def test_what_the_vocabulary_cannot_spell_is_an_error_and_no_other_text(compiler: GrammarCompiler) -> None:
    matcher = of_schema(compiler, {"const": "\U00040000"}).matcher()
    (opening,) = matcher.forced(10)
    assert matcher.forced(10) == []
    tokens = [int(token) for token in np.flatnonzero(matcher.allowed())]
    assert opening not in tokens
    assert not any(matcher.allows(token) for token in tokens)


def test_the_same_constraint_is_compiled_once(compiler: GrammarCompiler) -> None:
    constraint = Constraint("regex", "[0-9]+")
    assert compiler.compile(constraint) is compiler.compile(Constraint("regex", "[0-9]+"))
    for n in range(20):
        compiler.compile(Constraint("regex", f"x{n}"))
    assert compiler.compile(constraint) is not None


LAID_OUT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "seller": {
            "type": "object",
            "properties": {"name": STRING},
            "required": ["name"],
            "additionalProperties": False,
        },
        "date": {"type": ["string", "null"]},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"what": STRING, "amount": {"type": "number"}},
                "required": ["what"],
                "additionalProperties": False,
            },
        },
        "words": {"type": "array", "items": STRING},
    },
    "required": ["seller", "lines"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "value",
    [
        {"seller": {"name": 'A "B".'}, "lines": []},
        {"seller": {"name": ""}, "date": None, "lines": [{"what": "x", "amount": 1.5}, {"what": "y"}], "words": []},
    ],
)
def test_an_object_is_written_over_lines_as_pythons_indented_json(
    model: Model, compiler: GrammarCompiler, value: dict[str, Any]
) -> None:
    grammar = of_schema(compiler, LAID_OUT)
    assert takes(model, grammar, json.dumps(value, indent=2))
    assert not takes(model, grammar, json.dumps(value))


def test_texts_laid_out_over_lines_are_of_the_schema(walker: Walker, compiler: GrammarCompiler) -> None:
    found = texts(walker, of_schema(compiler, LAID_OUT))
    assert len(found) >= 6
    for text in found:
        jsonschema_rs.validate(LAID_OUT, json.loads(text))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": STRING}, "required": ["a"]},
        {"type": "object", "properties": {"a": STRING, "b": STRING}, "required": ["b"], "additionalProperties": False},
        {
            "$defs": {"name": STRING},
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/name"}},
            "required": ["a"],
            "additionalProperties": False,
        },
    ],
    ids=["open", "first-optional", "refers"],
)
def test_other_objects_stay_on_one_line(model: Model, compiler: GrammarCompiler, schema: dict[str, Any]) -> None:
    grammar = of_schema(compiler, schema)
    assert takes(model, grammar, '{"a": "x", "b": "y"}' if "b" in schema["properties"] else '{"a": "x"}')
