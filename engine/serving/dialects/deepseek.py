"""DeepSeek R1, V3 and V3.1: calls between ``<｜tool▁calls▁begin｜>`` and ``<｜tool▁calls▁end｜>``, each either
``function<｜tool▁sep｜>NAME`` with a fenced block of JSON, or ``NAME<｜tool▁sep｜>{...}``."""

from __future__ import annotations

from typing import Final

from engine.serving.dialects.dialect import Dialect, Setting, begin_call, end_call, section, tagged
from engine.serving.dialects.json_calls import MAX_NAME_CHARS, nested
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps

_ALL_BEGIN: Final = "<｜tool▁calls▁begin｜>"
_ALL_END: Final = "<｜tool▁calls▁end｜>"
_BEGIN: Final = "<｜tool▁call▁begin｜>"
_END: Final = "<｜tool▁call▁end｜>"
_SEPARATOR: Final = "<｜tool▁sep｜>"


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    yield from section(source, setting, _BEGIN, _END, _ALL_END, lambda: _call(source, out, setting))


def _call(source: Source, out: Out, setting: Setting) -> Steps[None]:
    name, _ = yield from source.taken_until(setting.tag(_SEPARATOR), most=MAX_NAME_CHARS)
    if name.strip() == "function":
        name, _ = yield from source.taken_until("\n", most=MAX_NAME_CHARS)
    name = name.strip()
    yield from source.space()
    fenced = yield from source.accept("```json", "```")
    yield from source.space()
    if not name or (yield from source.peek()) != "{":
        raise NotACall
    begin_call(source, out, name)
    yield from nested(source, out.arguments)
    end_call(source, out)
    if fenced is not None:
        yield from source.space()
        yield from source.accept("```")


DEEPSEEK = Dialect(
    "deepseek", tagged((_ALL_BEGIN,), _read), ("<think>", "</think>", _ALL_BEGIN, _ALL_END, _BEGIN, _END, _SEPARATOR)
)
