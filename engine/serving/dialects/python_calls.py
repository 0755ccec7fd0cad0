"""Calls written as Python: ``[f(a=1, b='x'), g()]``. Read whole, up to the tag that ends them, and turned into JSON."""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any, Final

from engine.serving.dialects.dialect import Setting, begin_call, end_call
from engine.serving.dialects.pieces import Out, spelled
from engine.serving.dialects.source import NotACall, Source, Steps

_WORDS: Final = {"true": True, "false": False, "null": None, "none": None}
"""Names that models mix in from JSON."""


def python_calls(source: Source, out: Out, setting: Setting, closings: tuple[str, ...]) -> Steps[None]:
    """All calls up to one of ``closings`` or the end. Raises: :class:`NotACall`, also for names nobody offered."""
    parts: list[str] = []
    yield from source.until(closings, parts.append)
    found = parse_python_calls(spelled("".join(parts)), setting)
    for name, arguments in found:
        begin_call(source, out, name)
        out.arguments(arguments)
        end_call(source, out)


def parse_python_calls(text: str, setting: Setting) -> list[tuple[str, str]]:
    """The calls in an expression, with their arguments as JSON.

    Raises: :class:`NotACall` when it is anything else than calls with plain values.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in a model's strings
            body = ast.parse(text.strip(), mode="eval").body
        nodes = body.elts if isinstance(body, ast.List | ast.Tuple) else [body]
        calls = [_call(node, setting) for node in nodes]
        written = [(name, json.dumps(values, ensure_ascii=False, allow_nan=False)) for name, values in calls]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise NotACall from error
    if not written:
        raise NotACall
    return written


def _call(node: ast.expr, setting: Setting) -> tuple[str, dict[str, Any]]:
    if not isinstance(node, ast.Call):
        raise NotACall
    name = _dotted(node.func)
    if name not in setting.tools:
        raise NotACall
    properties = list(setting.tools[name].get("properties") or ())
    if len(node.args) > len(properties):
        raise NotACall
    arguments = {key: _value(item) for key, item in zip(properties, node.args, strict=False)}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise NotACall
        arguments[keyword.arg] = _value(keyword.value)
    return name, arguments


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    raise NotACall


def _value(node: ast.expr) -> Any:
    """A plain value; JSON's words are allowed at any depth."""
    if isinstance(node, ast.Name) and node.id in _WORDS:
        return _WORDS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {_key(key): _value(item) for key, item in zip(node.keys, node.values, strict=True)}
    found = ast.literal_eval(node)
    if isinstance(found, float | int | str | None):
        return found
    raise NotACall


def _key(node: ast.expr | None) -> str:
    found = None if node is None else ast.literal_eval(node)
    if not isinstance(found, str):
        raise NotACall
    return found
