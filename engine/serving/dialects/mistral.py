"""Mistral: ``[TOOL_CALLS][{"name": ..., "arguments": {...}}]``, and since 2025 ``[TOOL_CALLS]name[ARGS]{...}``, once
for each call, with ``[CALL_ID]`` in some. Reasoning stands between ``[THINK]`` and ``[/THINK]``."""

from __future__ import annotations

from typing import Final

from engine.serving.dialects.dialect import Dialect, Setting, begin_call, end_call, tagged
from engine.serving.dialects.json_calls import MAX_NAME_CHARS, json_calls, nested
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps

_CALLS, _ARGS, _ID = "[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"
_THINK: Final = ("[THINK]", "[/THINK]")


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    yield from source.space()
    if (yield from source.peek()) in ("[", "{"):
        yield from json_calls(source, out, ())
        return
    arguments, call_id = setting.tag(_ARGS), setting.tag(_ID)
    # A brace right after the name: some quantised models forget the tag between.
    name, end = yield from source.taken_until(arguments, call_id, "{", most=MAX_NAME_CHARS)
    name, its_id = name.strip(), ""
    if not name or any(character.isspace() for character in name):
        raise NotACall
    if end == call_id:
        its_id, end = yield from source.taken_until(arguments, most=MAX_NAME_CHARS)
    if end == arguments:
        yield from source.space()
        if (yield from source.peek()) != "{":
            raise NotACall
    begin_call(source, out, name, its_id.strip())
    if end == "{":
        source.unread("{")
    yield from nested(source, out.arguments)
    end_call(source, out)


MISTRAL = Dialect("mistral", tagged((_CALLS,), _read, _THINK), (*_THINK, _CALLS, _ARGS, _ID))
