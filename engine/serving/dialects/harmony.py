"""gpt-oss: messages with headers. ``<|channel|>analysis<|message|>`` begins reasoning, ``final`` the answer,
``commentary`` with ``to=functions.NAME`` a call whose body is JSON; without a recipient it is said to the person.

A message ends with ``<|end|>``, ``<|call|>`` or ``<|return|>``; the next begins with ``<|start|>assistant``.
"""

from __future__ import annotations

import re
from typing import Final

from engine.serving.dialects.dialect import Dialect, Setting
from engine.serving.dialects.pieces import Out, spelled
from engine.serving.dialects.source import Source, Steps

_START, _CHANNEL, _MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_ENDS: Final = ("<|end|>", "<|call|>", "<|return|>")
_CONSTRAIN: Final = "<|constrain|>"
_RECIPIENT: Final = re.compile(r"\bto=(\S+)")
_FUNCTIONS: Final = "functions."
_MAX_HEADER_CHARS: Final = 1024


def _parse(source: Source, out: Out, setting: Setting) -> Steps[None]:
    begin = tuple(map(setting.tag, (_START, _CHANNEL)))
    message = setting.tag(_MESSAGE)
    # The prompt ends within a header, unless a constraint made the model answer without one.
    opened = setting.prompt_end.rstrip().endswith("assistant")
    if opened:
        space = yield from source.space()
        following = yield from source.peek(max(map(len, begin)))
        if not following.startswith((*begin, "to=")):
            out.text(space)
            opened = False
    while True:
        if not opened and (yield from source.until(begin, out.text)) is None:
            return
        header: list[str] = []
        if (yield from source.until((message,), header.append)) is None or len("".join(header)) > _MAX_HEADER_CHARS:
            out.text("".join(header))
        elif not (yield from _message(source, out, setting, spelled("".join(header)))):
            return
        opened = False


def _message(source: Source, out: Out, setting: Setting, header: str) -> Steps[bool]:
    """The body of a message; whether an end mark was reached."""
    ends = tuple(map(setting.tag, (*_ENDS, _START)))
    recipient = _RECIPIENT.search(header)
    name = recipient[1].split("<|")[0] if recipient else ""
    name = name.removeprefix(_FUNCTIONS) if name.startswith(_FUNCTIONS) or name in setting.tools else ""
    if name and setting.tools:
        out.begin(name)
        found = yield from source.until(ends, out.arguments)
        out.done()
    elif recipient or "analysis" in header:
        found = yield from source.until(ends, out.thought)
    else:
        found = yield from source.until(ends, out.text)
    if found == setting.tag(_START):
        source.unread(found)
    return found is not None


HARMONY = Dialect("harmony", _parse, (_START, _CHANNEL, _MESSAGE, *_ENDS, _CONSTRAIN))
