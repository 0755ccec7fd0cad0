"""Calls written as JSON: ``{"name": ..., "arguments": {...}}``, alone, in a row or in a list.

The arguments are passed on as they come. Their text is not changed: what the model wrote is what the client gets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from typing import Any, Final

from engine.serving.dialects.dialect import begin_call, end_call
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps

MAX_NAME_CHARS: Final = 256

_SPECIAL: Final = re.compile(r'["\\{}\[\]]')
_SCALAR_END: Final = re.compile(r"[,}\]\s]")


class _Nesting:
    """Finds the end of a JSON object or list that arrives in pieces. Only brackets and strings are looked at."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def end(self, text: str, start: int) -> int | None:
        """Where the value ends in this piece, behind its last bracket; ``None``: further on."""
        at = start
        while at < len(text):
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            match = _SPECIAL.search(text, at)
            if match is None:
                return None
            at = match.end()
            if self._turn(match[0]):
                return at
        return None

    def _turn(self, character: str) -> bool:
        if self._in_string:
            self._escaped = character == "\\"
            self._in_string = character != '"'
        elif character == '"':
            self._in_string = True
        elif character in "{[":
            self._depth += 1
        elif character in "}]":
            self._depth -= 1
            return self._depth <= 0
        return False


class _StringEnd:
    """Finds the end of a JSON string that arrives in pieces, its opening quote included."""

    def __init__(self) -> None:
        self._open = False
        self._escaped = False

    def end(self, text: str, start: int) -> int | None:
        for at in range(start, len(text)):
            character = text[at]
            if self._escaped:
                self._escaped = False
            elif character == "\\":
                self._escaped = True
            elif character == '"':
                if self._open:
                    return at + 1
                self._open = True
        return None


def nested(source: Source, sink: Callable[[str], object]) -> Steps[bool]:
    """Pass on a JSON object or list, which must come next; whether it came to its end."""
    return (yield from source.stretch(_Nesting().end, sink))


def string(source: Source) -> Steps[str]:
    """A JSON string, which must come next. Raises: :class:`NotACall`."""
    if (yield from source.peek()) != '"':
        raise NotACall
    return str(_load((yield from _raw(source))))


def value(source: Source) -> Steps[Any]:
    """Any JSON value. Raises: :class:`NotACall` when there is none."""
    return _load((yield from _raw(source)))


def _raw(source: Source) -> Steps[str]:
    parts: list[str] = []
    first = yield from source.peek()
    if first in ("{", "["):
        complete = yield from nested(source, parts.append)
    elif first == '"':
        complete = yield from source.stretch(_StringEnd().end, parts.append)
    else:
        complete = yield from source.stretch(_scalar_end, parts.append)
    if not complete:
        raise NotACall
    return "".join(parts)


def _scalar_end(text: str, start: int) -> int | None:
    match = _SCALAR_END.search(text, start)
    return None if match is None else match.start()


def _load(text: str) -> Any:
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise NotACall from error


def json_call(source: Source, out: Out, known: Container[str] | None = None) -> Steps[None]:
    """One object with a name and arguments, in any order of its keys.

    ``known``: other names than these are no calls. Raises: :class:`NotACall`.
    """
    yield from source.expect("{")
    name, call_id = "", ""
    arguments: str | None = None
    while True:
        yield from source.space()
        key = yield from string(source)
        yield from source.space()
        yield from source.expect(":")
        yield from source.space()
        if key == "name" or (key == "function" and (yield from source.peek()) == '"'):
            name = yield from string(source)
            if not 0 < len(name) <= MAX_NAME_CHARS or (known is not None and name not in known):
                raise NotACall
        elif key in ("arguments", "parameters"):
            if name and (yield from source.peek()) == "{":
                yield from _stream_arguments(source, out, name, call_id)
                return
            arguments = yield from _raw(source)
        else:
            found = yield from value(source)
            call_id = found if key == "id" and isinstance(found, str) else call_id
        yield from source.space()
        if (yield from source.expect(",", "}")) == "}":
            break
    if not name:
        raise NotACall
    begin_call(source, out, name, call_id)
    out.arguments(_as_object(arguments))
    end_call(source, out)


def _stream_arguments(source: Source, out: Out, name: str, call_id: str) -> Steps[None]:
    """The arguments as they come, then what the object holds besides, which nobody needs any more."""
    begin_call(source, out, name, call_id)
    complete = yield from nested(source, out.arguments)
    end_call(source, out)
    if not complete:
        return
    while True:
        yield from source.space()
        closed = yield from source.accept(",", "}")
        if closed != ",":
            source.hold()  # what was read so far belongs to the call
            return
        yield from source.space()
        yield from string(source)
        yield from source.space()
        yield from source.expect(":")
        yield from source.space()
        yield from _raw(source)


def _as_object(arguments: str | None) -> str:
    """Arguments that some models wrap in a string, or leave out."""
    if arguments is None or arguments == "null":
        return "{}"
    if arguments.startswith('"'):
        return str(_load(arguments))
    return arguments


def json_calls(
    source: Source,
    out: Out,
    closing: tuple[str, ...],
    *,
    between: tuple[str, ...] = (",",),
    known: Container[str] | None = None,
) -> Steps[None]:
    """Calls in a list or in a row, and the tag that closes them, if it comes.

    Raises: :class:`NotACall`.
    """
    yield from source.space()
    listed = (yield from source.accept("[")) is not None
    while True:
        yield from source.space()
        yield from json_call(source, out, known)
        yield from source.space()
        if (yield from source.accept(*between)) is not None:
            continue
        if (yield from source.peek()) != "{":
            break
    if listed:
        yield from source.accept("]")
        yield from source.space()
    if closing:
        yield from source.accept(*closing)
    source.hold()
