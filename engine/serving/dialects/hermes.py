"""Hermes, Qwen 2.5 and 3, Granite 4 and many more: ``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``.

Also the form that models are asked for whose template knows no tools (``fallback.py``).
"""

from __future__ import annotations

from engine.serving.dialects.dialect import Dialect, Setting, tagged
from engine.serving.dialects.json_calls import json_calls
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import Source, Steps

_PAIRS = {
    "<tool_call>": "</tool_call>",
    "<|tool_call|>": "<|/tool_call|>",  # Phi 4 mini; Granite 3 leaves the end out
}
_FENCE = "```json"


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    if opening == _FENCE:
        yield from json_calls(source, out, ("```",), known=setting.tools)
        return
    closing = next(end for begin, end in _PAIRS.items() if setting.tag(begin) == opening)
    yield from json_calls(source, out, (setting.tag(closing),))


HERMES = Dialect(
    "hermes",
    # Small models, and those made for code, forget the tags; then only the name of a tool on offer makes it a call.
    tagged(("<tool_call>", _FENCE), _read),
    ("<think>", "</think>", "<tool_call>", "</tool_call>"),
)
PHI = Dialect(
    "phi",
    tagged(("<|tool_call|>",), _read),
    ("<think>", "</think>", "<|tool_call|>", "<|/tool_call|>"),
)
