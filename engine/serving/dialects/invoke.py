"""MiniMax M2 and DeepSeek V3.2 and V4: ``<invoke name="f"><parameter name="k">value</parameter></invoke>`` within a
block of calls. DeepSeek writes its ``｜DSML｜`` into every tag and says of each value whether it is text."""

from __future__ import annotations

from typing import Final

from engine.serving.dialects.dialect import Dialect, ReadCall, Setting, begin_call, end_call, tagged
from engine.serving.dialects.json_calls import MAX_NAME_CHARS
from engine.serving.dialects.pieces import Out
from engine.serving.dialects.source import NotACall, Source, Steps
from engine.serving.dialects.values import ObjectWriter, is_text, stream_value

_DSML: Final = "｜DSML｜"


def _reader(mark: str, blocks: tuple[str, ...]) -> ReadCall:
    """``mark``: what stands before the name of every tag; ``blocks``: names of the tag around all calls."""

    def tag(setting: Setting, name: str, *, end: bool = False) -> str:
        if not mark:
            return setting.tag(f"{'</' if end else '<'}{name}")
        return f"{'</' if end else '<'}{setting.tag(mark)}{name}"

    def read(source: Source, out: Out, setting: Setting, opening: str) -> Steps[None]:
        closings = [tag(setting, f"{block}>", end=True) for block in blocks]
        invoke = tag(setting, 'invoke name="')
        yield from source.space()
        yield from source.expect(invoke)
        while True:
            yield from call(source, out, setting)
            yield from source.space()
            if (yield from source.accept(invoke, *closings)) != invoke:
                break
        source.hold()

    def call(source: Source, out: Out, setting: Setting) -> Steps[None]:
        parameter = tag(setting, 'parameter name="')
        call_end = tag(setting, "invoke>", end=True)
        name, _ = yield from source.taken_until('"', most=MAX_NAME_CHARS)
        yield from source.space()
        yield from source.expect(">")
        if not name:
            raise NotACall
        begin_call(source, out, name)
        writer = ObjectWriter(out)
        yield from source.space()
        following = yield from source.accept(parameter, call_end)
        while following == parameter:
            key: list[str] = []
            attributes: list[str] = []
            yield from source.until(('"',), key.append)
            yield from source.until((">",), attributes.append)
            writer.key("".join(key))
            said = "".join(attributes)
            as_text = 'string="true"' in said or ("string=" not in said and is_text(setting, name, "".join(key)))
            ends = (tag(setting, "parameter>", end=True), call_end)
            following = yield from stream_value(source, out, ends, as_text=as_text)
            if following == ends[0]:
                yield from source.space()
                following = yield from source.accept(parameter, call_end)
        writer.close()
        end_call(source, out)

    return read


_MINIMAX: Final = "<minimax:tool_call>"
MINIMAX = Dialect(
    "minimax",
    tagged((_MINIMAX,), _reader("", ("minimax:tool_call",))),
    ("<think>", "</think>", _MINIMAX, "</minimax:tool_call>"),
)


def _parse_dsml(source: Source, out: Out, setting: Setting) -> Steps[None]:
    blocks = ("tool_calls", "function_calls")
    openings = tuple(f"<{setting.tag(_DSML)}{block}>" for block in blocks)
    yield from tagged(openings, _reader(_DSML, blocks))(source, out, setting)


DSML = Dialect("dsml", _parse_dsml, ("<think>", "</think>", _DSML))
