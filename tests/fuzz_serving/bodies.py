"""Bodies that are wrong on purpose, from sound ones. Pure, and the same for the same random numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from tests.engine.served import MODEL_ID

JsonObject = dict[str, Any]

_SHORT: Final = {"model": MODEL_ID, "max_tokens": 3}
_HI: Final = [{"role": "user", "content": "hi"}]
_TOOL: Final = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}

SOUND: Final[dict[str, JsonObject]] = {
    "/v1/chat/completions": {**_SHORT, "messages": _HI, "stream": False, "stop": ["x"], "tools": [_TOOL], "n": 2},
    "/v1/completions": {**_SHORT, "prompt": "once upon", "logprobs": 2, "logit_bias": {"7": 1}, "echo": False},
    "/v1/responses": {"model": MODEL_ID, "input": "hi", "max_output_tokens": 3, "instructions": "be brief"},
    "/v1/messages": {**_SHORT, "messages": _HI, "system": "be brief", "stop_sequences": ["x"]},
    "/v1/messages/count_tokens": {"model": MODEL_ID, "messages": _HI},
    "/tokenize": {"content": "hello", "add_special": True},
    "/detokenize": {"tokens": [1, 2, 3]},
}

_ODD: Final[tuple[Any, ...]] = (
    *(None, True, "", "x", "\u0000", "\ud800", "\U0001f600" * 50, [], {}, [[]], {"a": {}}, [None], ["x"] * 1000),
    *(0, -1, 1, 2**31, 2**63, -(2**63), 2**64, 10**30, -(10**30), 1.5, -0.0, 1e308, 1e-320, 5e18),
)


_NOT_BODIES: Final = (b"[" * 100_000, b'{"a":' * 50_000, b'{"x":NaN}', b"null", b'"', b"\xef\xbb\xbf{}")


@dataclass(frozen=True)
class Body:
    """Bytes for a path, and what kind of wrong they are."""

    path: str
    content: bytes
    kind: str


def _dumps(value: object) -> bytes:
    return json.dumps(value).encode()


def _anywhere(random: Random) -> tuple[str, JsonObject]:
    path = random.choice(list(SOUND))
    return path, json.loads(json.dumps(SOUND[path]))


def sound(random: Random) -> Body:
    """Nothing wrong; half of them streamed."""
    path, body = _anywhere(random)
    if "completions" in path or path in ("/v1/responses", "/v1/messages"):
        body["stream"] = random.random() < 0.5
    return Body(path, _dumps(body), "sound")


def broken_json(random: Random) -> Body:
    """Cut off, with bytes changed, or nothing but noise."""
    path, body = _anywhere(random)
    content = bytearray(_dumps(body))
    how = random.randrange(4)
    if how == 0:
        del content[random.randrange(len(content)) :]
    elif how == 1:
        for _ in range(random.randint(1, 8)):
            content[random.randrange(len(content))] = random.randrange(256)
    elif how == 2:
        content = bytearray(random.randbytes(random.randrange(200)))
    else:
        content = bytearray(
            random.choice([b"[" * 100_000, b'{"a":' * 50_000, b'{"x":NaN}', b"null", b'"', b"\xef\xbb\xbf{}"])
        )
    return Body(path, bytes(content), "broken JSON")


def wrong_types(random: Random) -> Body:
    """A field, at the top or deeper, has a value of another type or size, or is one that nobody knows."""
    path, body = _anywhere(random)
    place: Any = body
    while True:
        key = random.choice([*place, "unheard_of"]) if isinstance(place, dict) else random.randrange(len(place))
        inner = place[key] if not isinstance(place, dict) or key in place else None
        if isinstance(inner, dict | list) and inner and random.random() < 0.5:
            place = inner
            continue
        place[key] = random.choice(_ODD)
        return Body(path, _dumps(body), "wrong types")


def huge(random: Random) -> Body:
    """Ten megabytes, megabytes without a space, a hundred thousand messages, a thousand stop strings."""
    path, text = "/v1/completions", {**_SHORT}
    how = random.randrange(6)
    if how == 0:
        return Body(path, _dumps({**text, "prompt": "x" * 10_000_000}), "10 MB")
    if how == 1:
        return Body(path, _dumps({**text, "prompt": random.choice(["x", "ab ", "\u00e9"]) * 1_000_000}), "huge prompt")
    if how == 2:
        return Body("/v1/chat/completions", _dumps({**_SHORT, "messages": _HI * 100_000}), "many messages")
    if how == 3:
        return Body(path, _dumps({**text, "prompt": "x", "stop": [f"stop {n}" for n in range(1000)]}), "1,000 stops")
    if how == 4:
        return Body(path, _dumps({**text, "prompt": list(range(200)) * 2000}), "huge tokens")
    return Body("/tokenize", _dumps({"content": "y" * 3_000_000}), "huge text")


def bombs(random: Random) -> Body:
    """Schemas, grammars, expressions, tools and template options that grow when they are read."""
    make = random.choice(_BOMBS)
    path, fields = "/v1/chat/completions", make(random)
    return Body(path, _dumps({**_SHORT, "messages": _HI, **fields}), "bomb")


def _nested(depth: int, wrap: Callable[[Any], Any], core: Any) -> Any:
    for _ in range(depth):
        core = wrap(core)
    return core


def _schema(schema: object) -> JsonObject:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}}


def _deep(random: Random) -> JsonObject:
    depth = random.choice([20, 100, 300])
    return _schema(_nested(depth, lambda inner: {"type": "object", "properties": {"a": inner}}, {"type": "null"}))


def _wide(random: Random) -> JsonObject:
    names = [f"field{n}" for n in range(random.choice([500, 5000]))]
    return _schema({"type": "object", "properties": {name: {"type": "integer"} for name in names}})


def _loops(random: Random) -> JsonObject:
    target = random.choice(["#", "#/$defs/a", "#/nowhere", "https://example.com/schema"])
    return _schema({"$ref": target, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}})


def _counted(random: Random) -> JsonObject:
    most = random.choice([10**4, 10**9])
    return _schema({"type": "array", "items": {"type": "string", "maxLength": most}, "minItems": most})


def _enumerated(random: Random) -> JsonObject:
    return _schema({"enum": [f"{random.random()}" for _ in range(20_000)]})


_EXPRESSIONS: Final = ("(a|a)*" * 30, "(x{1,1000}){1,1000}", "(((((a*)*)*)*)*)*", "[", "(?<=a)b", ".{999999}")
_DOUBLING: Final = "\n".join(f"r{n} ::= r{n + 1} r{n + 1} | r{n + 1}" for n in range(200))
_GRAMMARS: Final = (
    f'root ::= r0\n{_DOUBLING}\nr200 ::= "x"',
    "root ::= root root | root",
    "root ::= ",
    "root ::= x",
)


def _expression(random: Random) -> JsonObject:
    return {"regex": random.choice(_EXPRESSIONS)}


def _grammar(random: Random) -> JsonObject:
    return {"grammar": random.choice(_GRAMMARS)}


def _tools(random: Random) -> JsonObject:
    doubled = _nested(12, lambda inner: {"anyOf": [inner, inner]}, {"type": "null"})
    schema, n_tools = random.choice([(doubled, 1), ({}, 300), ({}, 100)])
    tools = [{"type": "function", "function": {"name": f"f{n}", "parameters": schema}} for n in range(n_tools)]
    return {"tools": tools, "tool_choice": random.choice(["auto", "required"])}


def _template(random: Random) -> JsonObject:
    spell = "{% for a in range(99999999) %}{{ a }}{% endfor %}{{ ''.__class__.__mro__ }}"
    deep = _nested(200, lambda value: {"a": value}, spell)
    return {
        "messages": [{"role": "user", "content": spell}],
        "chat_template_kwargs": random.choice([{"a": spell}, {"a": deep}, {"messages": spell}, {"a": "x" * 100_000}]),
    }


_BOMBS: Final[tuple[Callable[[Random], JsonObject], ...]] = (
    *(_deep, _wide, _loops, _counted, _enumerated, _expression, _grammar, _tools, _template),
)
