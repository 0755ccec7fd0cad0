"""GLM 4.5 and later::

    <tool_call>NAME
    <arg_key>KEY</arg_key>
    <arg_value>VALUE</arg_value>
    </tool_call>

Values are bare text, with or without line breaks between the tags.
"""

from __future__ import annotations

from engine.serving.dialects.dialect import Dialect, Setting, begin_call, end_call, tagged
from engine.serving.dialects.json_calls import MAX_NAME_CHARS
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps
from engine.serving.dialects.values import ObjectWriter, is_text, stream_value


def _read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
    key_begin, key_end = setting.tag("<arg_key>"), setting.tag("</arg_key>")
    closing = setting.tag("</tool_call>")
    name, end = yield from source.taken_until(key_begin, closing, most=MAX_NAME_CHARS)
    name = name.strip()
    if not name or "\n" in name or "<" in name:
        raise NotACall
    begin_call(source, out, name)
    writer = ObjectWriter(out)
    following: str | None = end
    while following == key_begin:
        key: list[str] = []
        yield from source.until((key_end,), key.append)
        writer.key("".join(key).strip())
        yield from source.space()
        yield from source.accept(setting.tag("<arg_value>"))
        as_text = is_text(setting, name, "".join(key).strip())
        following = yield from stream_value(source, out, (setting.tag("</arg_value>"), closing), as_text=as_text)
        if following is not None and following != closing:
            yield from source.space()
            following = yield from source.accept(key_begin, closing)
    writer.close()
    end_call(source, out)


GLM = Dialect(
    "glm",
    tagged(("<tool_call>",), _read),
    (
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<arg_key>",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
    ),
)
