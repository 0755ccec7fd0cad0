"""Tools of a chat, whether and which may be called, and what its template is told besides. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from engine.errors import RequestError
from engine.llama.chat import MAX_DEPTH, Tool, too_deep
from engine.serving.openai.wire_fields import Fields, refuse

MAX_TOOLS: Final = 128
MAX_SCHEMA_CHARS: Final = 1 << 16
"""Of one tool's parameters."""
MAX_TEMPLATE_OPTIONS: Final = 32
MAX_TEMPLATE_OPTION_CHARS: Final = 1 << 14
"""Of all options together, as JSON."""

_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_OPTION_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_RESERVED: Final = frozenset({"messages", "tools", "options", "add_generation_prompt", "bos_token", "eos_token"})
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

ToolMode = Literal["none", "auto", "required"]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """What may be called."""

    tools: tuple[Tool, ...] = ()
    mode: ToolMode = "auto"
    callable: tuple[str, ...] = ()
    """Names of the tools that may be called, all unless the request says which."""
    parallel: bool = True
    """Whether an answer may hold several calls."""
    strict: frozenset[str] = frozenset()
    """Names of tools whose arguments must follow their schema."""

    @property
    def offered(self) -> tuple[Tool, ...]:
        """The tools that the model is told of."""
        return () if self.mode == "none" else tuple(tool for tool in self.tools if tool.name in self.callable)


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """What the template is told besides."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """``chat_template_kwargs``."""
    effort: str | None = None
    """``reasoning_effort``."""


def parse_tools(fields: Fields) -> ToolUse:
    """Takes ``tools``, ``tool_choice`` and ``parallel_tool_calls``. Raises: ``RequestError``."""
    given = fields.take("tools")
    if given is None:
        given = []
    if not isinstance(given, list) or len(given) > MAX_TOOLS:
        refuse("tools", f"must be a list of at most {MAX_TOOLS} tools")
    read = [_tool(item, f"tools[{index}]") for index, item in enumerate(given)]
    tools = tuple(tool for tool, _ in read)
    names = tuple(tool.name for tool in tools)
    repeated = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if repeated is not None:
        refuse("tools", f"holds two tools named {repeated!r}")
    choice = fields.take("tool_choice")
    mode, callable_names = _choice(choice, names)
    parallel = fields.flag("parallel_tool_calls", True)
    names_one = isinstance(choice, dict) and choice.get("type") == "function"
    return ToolUse(
        tools,
        mode,
        callable_names,
        parallel and not names_one,
        frozenset(tool.name for tool, strict in read if strict),
    )


def _tool(value: Any, where: str) -> tuple[Tool, bool]:
    """A tool and whether it is strict."""
    if not isinstance(value, dict):
        refuse(where, "must be an object")
    if value.get("type", "function") != "function":
        kind = str(value.get("type"))[:64]
        raise RequestError(
            "unsupported_parameter", f"{where}.type is {kind!r}; this worker takes functions.", param=f"{where}.type"
        )
    function = Fields(_object(value.get("function"), f"{where}.function"))
    name = function.text("name", "")
    if not _NAME.fullmatch(name):
        refuse(f"{where}.function.name", "must be 1 to 128 letters, digits, dots, hyphens or underscores")
    description = function.text("description", "")
    strict = function.flag("strict", False)
    parameters = _schema(function.take("parameters"), f"{where}.function.parameters")
    return Tool(name, description, parameters), strict


def _schema(value: Any, where: str) -> Mapping[str, Any]:
    if value is None or value == {}:
        return Tool("").parameters
    schema = _object(value, where)
    if too_deep(schema, MAX_DEPTH):
        refuse(where, f"is nested deeper than {MAX_DEPTH} levels")
    size = len(json.dumps(schema, ensure_ascii=False))
    if size > MAX_SCHEMA_CHARS:
        refuse(where, f"has {size:,} characters; {MAX_SCHEMA_CHARS:,} are the most")
    if not isinstance(schema.get("properties", {}), dict):
        refuse(f"{where}.properties", "must be an object")
    return schema


def _choice(value: Any, names: tuple[str, ...]) -> tuple[ToolMode, tuple[str, ...]]:
    if value is None:
        return "auto", names
    if isinstance(value, str):
        if value not in ("none", "auto", "required"):
            refuse("tool_choice", "must be none, auto, required, or name a function")
        if value == "required" and not names:
            refuse("tool_choice", "is required, but there are no tools")
        return ("required" if value == "required" else "none" if value == "none" else "auto"), names
    choice = _object(value, "tool_choice")
    if choice.get("type") == "allowed_tools":
        return _allowed(_object(choice.get("allowed_tools"), "tool_choice.allowed_tools"), names)
    return "required", (_named(choice, "tool_choice", names),)


def _allowed(value: dict[str, Any], names: tuple[str, ...]) -> tuple[ToolMode, tuple[str, ...]]:
    mode, listed = value.get("mode"), value.get("tools")
    where = "tool_choice.allowed_tools"
    if mode not in ("auto", "required"):
        refuse(f"{where}.mode", "must be auto or required")
    if not isinstance(listed, list) or not listed:
        refuse(f"{where}.tools", "must be a list of tools")
    chosen = tuple(
        _named(_object(item, f"{where}.tools"), f"{where}.tools[{i}]", names) for i, item in enumerate(listed)
    )
    return ("required" if mode == "required" else "auto"), chosen


def _named(value: dict[str, Any], where: str, names: tuple[str, ...]) -> str:
    function = value.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if value.get("type") != "function" or not isinstance(name, str):
        refuse(where, 'must look like {"type": "function", "function": {"name": ...}}')
    if name not in names:
        refuse(where, f"names {name[:64]!r}, which is not among the tools")
    return name


def parse_template_options(fields: Fields) -> TemplateOptions:
    """Takes ``reasoning_effort`` and ``chat_template_kwargs``. Raises: ``RequestError``."""
    effort = fields.take("reasoning_effort")
    if effort is not None and effort not in EFFORTS:
        refuse("reasoning_effort", f"must be one of {', '.join(EFFORTS)}")
    where = "chat_template_kwargs"
    given = fields.take(where)
    if given is None:
        return TemplateOptions({}, effort)
    options = _object(given, where)
    if len(options) > MAX_TEMPLATE_OPTIONS:
        refuse(where, f"holds {len(options)} options; {MAX_TEMPLATE_OPTIONS} are the most")
    for name in options:
        if not _OPTION_NAME.fullmatch(name) or name in _RESERVED:
            refuse(where, f"cannot set {name[:64]!r}")
    if too_deep(options, 8):
        refuse(where, "is nested deeper than 8 levels")
    if len(json.dumps(options)) > MAX_TEMPLATE_OPTION_CHARS:
        refuse(where, f"is larger than {MAX_TEMPLATE_OPTION_CHARS:,} characters")
    return TemplateOptions(options, effort)


def _object(value: Any, where: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else refuse(where, "must be an object")
