"""Kimi K2: a section of calls, each ``functions.NAME:0`` and JSON between tags. The id is the model's own."""

from __future__ import annotations

from typing import Final

from engine.serving.dialects.dialect import Dialect, Setting, begin_call, end_call, section, tagged
from engine.serving.dialects.json_calls import MAX_NAME_CHARS, nested
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps

_SECTION: Final = "<|tool_calls_section_begin|>"
_SECTION_END: Final = "<|tool_calls_section_end|>"
_BEGIN: Final = "<|tool_call_begin|>"
_ARGUMENTS: Final = "<|tool_call_argument_begin|>"
_END: Final = "<|tool_call_end|>"


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    yield from section(source, setting, _BEGIN, _END, _SECTION_END, lambda: _call(source, out, setting))


def _call(source: Source, out: Out, setting: Setting) -> Steps[None]:
    call_id, _ = yield from source.taken_until(setting.tag(_ARGUMENTS), most=MAX_NAME_CHARS)
    call_id = call_id.strip()
    name = call_id.removeprefix("functions.").rpartition(":")[0]
    yield from source.space()
    if not name or (yield from source.peek()) != "{":
        raise NotACall
    begin_call(source, out, name, call_id)
    yield from nested(source, out.arguments)
    end_call(source, out)


KIMI = Dialect(
    "kimi", tagged((_SECTION,), _read), ("<think>", "</think>", _SECTION, _SECTION_END, _BEGIN, _ARGUMENTS, _END)
)
