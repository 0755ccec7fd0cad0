"""Llama 3.1 to 4: the whole answer is ``{"name": ..., "parameters": {...}}``, after ``<|python_tag|>`` or without it.

Nothing announces such a call but its brace, so only the names of offered tools make it one.
"""

from __future__ import annotations

from engine.serving.dialects.dialect import THINK, Dialect, Setting, attempt, reasoning
from engine.serving.dialects.json_calls import json_calls
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.python_calls import python_calls
from engine.serving.dialects.source import Source, Steps

_PYTHON_TAG = "<|python_tag|>"


def _parse(source: Source, out: Out, setting: Setting) -> Steps[None]:
    yield from reasoning(source, out, setting, THINK)
    if setting.tools:
        space = yield from source.space()
        tag = yield from source.accept(setting.tag(_PYTHON_TAG), setting.tag("<|python_start|>"))
        if tag is not None or (yield from source.peek()) in ("{", "["):
            yield from attempt(source, out, setting, _read, space + (tag or ""))
        else:
            out.text(space)
    yield from source.rest(out.text)


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    start = yield from source.peek(2)
    if start.startswith("{") or start.replace(" ", "") in ("[{", "["):
        yield from json_calls(source, out, (), between=(";", ","), known=setting.tools)
    else:
        yield from python_calls(source, out, setting, (setting.tag("<|python_end|>"),))


LLAMA = Dialect("llama", _parse, ("<think>", "</think>", _PYTHON_TAG, "<|python_start|>", "<|python_end|>"))
