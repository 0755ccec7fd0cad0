"""Gemma 4: ``<|tool_call>call:NAME{key:<|"|>text<|"|>,n:1,list:[...]}<tool_call|>``, reasoning between
``<|channel>thought`` and ``<channel|>``. (Gemma 3 knows no tools; ``fallback.py`` asks it for Hermes' form.)"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from engine.serving.dialects.dialect import Dialect, Setting, attempt, begin_call, end_call
from engine.serving.dialects.json_calls import MAX_NAME_CHARS
from engine.serving.dialects.pieces import Out, spelled
from engine.serving.dialects.source import NotACall, Source, Steps

_CALL, _CALL_END = "<|tool_call>", "<tool_call|>"
_CHANNEL, _CHANNEL_END = "<|channel>", "<channel|>"
_QUOTE: Final = '<|"|>'
_BARE: Final = re.compile(r"[^,:{}\[\]]+")
_SPACE: Final = re.compile(r"\s*")
_MAX_DEPTH: Final = 64


def _parse(source: Source, out: Out, setting: Setting) -> Steps[None]:
    channel, channel_end, call = map(setting.tag, (_CHANNEL, _CHANNEL_END, _CALL))
    begins = (channel, call) if setting.tools else (channel,)
    if setting.prompt_end.rstrip().endswith(f"{_CHANNEL}thought"):
        yield from source.until((channel_end,), out.thought)
    while (found := (yield from source.until(begins, out.text))) is not None:
        if found == call:
            yield from attempt(source, out, setting, _read, found)
            continue
        yield from source.accept("thought")
        yield from source.until((channel_end,), out.thought)


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    yield from source.space()
    yield from source.expect("call:")
    name, _ = yield from source.taken_until("{", most=MAX_NAME_CHARS)
    body, _ = yield from source.taken_until(setting.tag(_CALL_END))
    arguments = _Reader("{" + spelled(body)).object()
    begin_call(source, out, name.strip())
    out.arguments(json.dumps(arguments, ensure_ascii=False))
    end_call(source, out)


class _Reader:
    """Reads Gemma's notation of values, which is JSON with bare keys and marks for quotes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def object(self) -> dict[str, Any]:
        """The whole text as one object. Raises: ``NotACall``."""
        found = self._value(0)
        if not isinstance(found, dict) or self._next():
            raise NotACall
        return found

    def _value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise NotACall
        if self._accept("{"):
            return self._members(depth)
        if self._accept("["):
            return self._items(depth)
        return self._scalar()

    def _members(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._accept("}"):
            key = self._scalar(as_key=True)
            self._expect(":")
            found[str(key)] = self._value(depth + 1)
            if not self._accept(",") and self._next() != "}":
                raise NotACall
        return found

    def _items(self, depth: int) -> list[Any]:
        found: list[Any] = []
        while not self._accept("]"):
            found.append(self._value(depth + 1))
            if not self._accept(",") and self._next() != "]":
                raise NotACall
        return found

    def _scalar(self, *, as_key: bool = False) -> Any:
        if self._accept(_QUOTE):
            end = self._text.find(_QUOTE, self._at)
            if end < 0:
                raise NotACall
            text, self._at = self._text[self._at : end], end + len(_QUOTE)
            return text
        match = _BARE.match(self._text, self._at)
        if match is None:
            raise NotACall
        self._at = match.end()
        return match[0].strip() if as_key else _bare(match[0].strip())

    def _next(self) -> str:
        match = _SPACE.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _accept(self, wanted: str) -> bool:
        self._next()
        if not self._text.startswith(wanted, self._at):
            return False
        self._at += len(wanted)
        return True

    def _expect(self, wanted: str) -> None:
        if not self._accept(wanted):
            raise NotACall


def _bare(text: str) -> Any:
    """A number, a word of JSON's, or text that has lost its quotes."""
    try:
        return json.loads(text, parse_constant=str)
    except (ValueError, RecursionError):
        return text


GEMMA = Dialect("gemma", _parse, (_CALL, _CALL_END, _CHANNEL, _CHANNEL_END, _QUOTE))
