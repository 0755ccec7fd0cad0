"""Values of parameters that a model writes without JSON's quotes, by what the tool's schema says of them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from engine.serving.dialects.dialect import Setting
from engine.serving.dialects.pieces import Out, spelled
from engine.serving.dialects.source import Source, Steps


def is_text(setting: Setting, tool: str, parameter: str) -> bool:
    """Whether a parameter takes text and nothing else; one that no schema knows does not."""
    properties = setting.tools.get(tool, {}).get("properties")
    schema = properties.get(parameter) if isinstance(properties, Mapping) else None
    if not isinstance(schema, Mapping):
        return False
    if schema.get("type") == "string":
        return True
    choices = schema.get("enum")
    return "type" not in schema and isinstance(choices, list) and all(isinstance(one, str) for one in choices)


def encoded(text: str, *, as_text: bool) -> str:
    """A value as JSON: as a string, or what it says if that is JSON."""
    text = spelled(text)
    if not as_text:
        try:
            value = json.loads(text.strip())
        except (ValueError, RecursionError):
            pass
        else:
            return json.dumps(value, ensure_ascii=False)
        if text.strip() in ("True", "False", "None"):
            return {"True": "true", "False": "false", "None": "null"}[text.strip()]
    return json.dumps(text, ensure_ascii=False)


class ObjectWriter:
    """Writes a JSON object key by key, as arguments that grow."""

    def __init__(self, out: Out) -> None:
        self._out = out
        self._empty = True

    def key(self, name: str) -> None:
        """The next key; its value follows."""
        self._out.arguments(("{" if self._empty else ", ") + json.dumps(spelled(name), ensure_ascii=False) + ": ")
        self._empty = False

    def close(self) -> None:
        """The object ends."""
        self._out.arguments("{}" if self._empty else "}")


def stream_value(source: Source, out: Out, ends: tuple[str, ...], *, as_text: bool) -> Steps[str | None]:
    """Pass on a value up to one of ``ends``: text as it comes, anything else once it is there. Which end it was."""
    if not as_text:
        parts: list[str] = []
        found = yield from source.until(ends, parts.append)
        out.arguments(encoded("".join(parts), as_text=False))
        return found
    out.arguments('"')
    found = yield from source.until(
        ends, lambda text: out.arguments(json.dumps(spelled(text), ensure_ascii=False)[1:-1])
    )
    out.arguments('"')
    return found
