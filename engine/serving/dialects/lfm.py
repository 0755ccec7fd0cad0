"""LFM2 and LFM2.5: ``<|tool_call_start|>[f(a='x', b=1)]<|tool_call_end|>``, or JSON between the same tags if asked."""

from __future__ import annotations

from engine.serving.dialects.dialect import Dialect, Setting, tagged
from engine.serving.dialects.json_calls import json_calls
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.python_calls import python_calls
from engine.serving.dialects.source import Source, Steps

_BEGIN, _END = "<|tool_call_start|>", "<|tool_call_end|>"


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    yield from source.space()
    start = yield from source.peek(2)
    if start.startswith("{") or start == "[{":
        yield from json_calls(source, out, (setting.tag(_END),))
    else:
        yield from python_calls(source, out, setting, (setting.tag(_END),))


LFM = Dialect("lfm", tagged((_BEGIN,), _read), ("<think>", "</think>", _BEGIN, _END))
