"""Qwen3-Coder, Qwen 3.5 and later, Nemotron 3::

    <tool_call>
    <function=NAME>
    <parameter=KEY>
    VALUE
    </parameter>
    </function>
    </tool_call>

Values are bare text. The outer tag is sometimes forgotten.
"""

from __future__ import annotations

from typing import Final

from engine.serving.dialects.dialect import Dialect, Setting, begin_call, end_call, tagged
from engine.serving.dialects.json_calls import MAX_NAME_CHARS, json_calls
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps
from engine.serving.dialects.values import ObjectWriter, is_text, stream_value

_VALUE_ENDS: Final = ("\n</parameter>", "</parameter>", "\n<parameter=", "<parameter=", "\n</function>", "</function>")


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    outer = opening == setting.tag("<tool_call>")
    if outer:
        yield from source.space()
        if (yield from source.peek()) == "{":  # some were trained on both forms
            yield from json_calls(source, out, (setting.tag("</tool_call>"),))
            return
        yield from source.expect("<function=")
    while True:
        yield from _function(source, out, setting)
        yield from source.space()
        if (yield from source.accept("<function=")) is None:
            break
    yield from source.accept(setting.tag("</tool_call>"))
    source.hold()


def _function(source: Source, out: Out, setting: Setting) -> Steps[None]:
    name, _ = yield from source.taken_until(">", most=MAX_NAME_CHARS)
    name = name.strip()
    if not name or "<" in name:
        raise NotACall
    begin_call(source, out, name)
    writer = ObjectWriter(out)
    yield from source.space()
    end = yield from source.accept("<parameter=", "</function>")
    while end is not None and end.endswith("<parameter="):
        end = yield from _parameter(source, out, setting, name, writer)
    writer.close()
    end_call(source, out)


def _parameter(source: Source, out: Out, setting: Setting, tool: str, writer: ObjectWriter) -> Steps[str | None]:
    """A parameter's key and value; what ended it, or follows it."""
    key: list[str] = []
    yield from source.until((">",), key.append)
    writer.key("".join(key).strip())
    yield from source.accept("\n")
    end = yield from stream_value(source, out, _VALUE_ENDS, as_text=is_text(setting, tool, "".join(key).strip()))
    if end is None or not end.endswith("</parameter>"):
        return end
    yield from source.space()
    return (yield from source.accept("<parameter=", "</function>"))


QWEN_CODER = Dialect(
    "qwen_coder",
    tagged(("<tool_call>", "<function="), _read),
    ("<think>", "</think>", "<tool_call>", "</tool_call>"),
)
