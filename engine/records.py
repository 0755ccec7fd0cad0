"""Frozen dataclasses to JSON and back, strictly: what comes from a child or a file is bounded and typed before use.

Records are described by their annotations alone: numbers, texts, paths, enums, literals, tuples, options and records
within records. Which records travel where is decided by the rooms that send them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar, Union

_MAX_TEXT: Final = 32 << 10
_MAX_ITEMS: Final = 4096
_MAX_WHOLE: Final = 1 << 62

R = TypeVar("R")


class RecordFault(ValueError):
    """JSON that is not the record it should be; the sentence names the field."""


def to_plain(value: Any) -> Any:
    """The JSON form of a record: objects, lists, texts and numbers."""
    if dataclasses.is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def from_plain(kind: type[R], fields: Any, where: str) -> R:
    """Build a record from exactly its fields; those with a default may be absent. Raises ``RecordFault``."""
    if not isinstance(fields, dict):
        raise RecordFault(f"{where} is not an object.")
    hints = typing.get_type_hints(kind)
    declared = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = fields.keys() - declared.keys()
    if unknown:
        raise RecordFault(f"{where} has the unknown field {min(unknown)[:40]!r}.")
    values: dict[str, Any] = {}
    for name, field in declared.items():
        if name in fields:
            values[name] = _value(hints[name], fields[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RecordFault(f"{where} lacks the field {name!r}.")
    return kind(**values)


def write_line(payload: dict[str, Any], limit_bytes: int) -> str:
    """One line of JSON without its end. Raises ``RecordFault`` when it is longer than ``limit_bytes``."""
    line = json.dumps(payload, allow_nan=False, separators=(",", ":"))  # ASCII: sizes in characters are sizes in bytes
    if len(line) > limit_bytes:
        raise RecordFault(f"A line of {len(line)} bytes is longer than the {limit_bytes} allowed.")
    return line


def read_object(text: str | bytes, limit_bytes: int) -> dict[str, Any]:
    """The JSON object in a text. Raises ``RecordFault`` for anything else."""
    if len(text) > limit_bytes:
        raise RecordFault(f"A line of {len(text)} bytes is longer than the {limit_bytes} allowed.")
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        parsed = json.loads(decoded, parse_constant=_refuse_constant)
    except RecordFault:
        raise
    except (ValueError, RecursionError) as error:
        raise RecordFault(f"The line is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise RecordFault("The line is JSON, but not an object.")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise RecordFault(f"{name} is not a number that may travel.")


def _value(kind: Any, value: Any, where: str) -> Any:
    """``value`` as the annotation ``kind`` wants it, or ``RecordFault``."""
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _items(typing.get_args(kind), value, where)
    if origin is Literal:
        if isinstance(value, str) and value in typing.get_args(kind):
            return value
        raise RecordFault(f"{where} is not one of {', '.join(map(str, typing.get_args(kind)))}.")
    if origin in (Union, types.UnionType):
        return _optional(typing.get_args(kind), value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return from_plain(kind, value, where)
    return _scalar(kind, value, where)


def _items(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        raise RecordFault(f"{where} is not a list of at most {_MAX_ITEMS} items.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(kinds[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(kinds) != len(value):
        raise RecordFault(f"{where} has {len(value)} items instead of {len(kinds)}.")
    pairs = zip(kinds, value, strict=True)
    return tuple(_value(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(pairs))


def _optional(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    fault = RecordFault(f"{where} has no acceptable type.")
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return _value(kind, value, where)
            except RecordFault as found:
                fault = found
    raise fault


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and type(value) is int and abs(value) <= _MAX_WHOLE:
        return value
    if kind is float and type(value) in (int, float) and abs(value) <= _MAX_WHOLE and math.isfinite(value):
        return float(value)
    if isinstance(value, str) and len(value) <= _MAX_TEXT:
        if kind is str:
            return value
        if kind is Path:
            return Path(value)
        if isinstance(kind, type) and issubclass(kind, Enum):
            try:
                return kind(value)
            except ValueError as error:
                raise RecordFault(f"{where} has an unknown value.") from error
    raise RecordFault(f"{where} is not {getattr(kind, '__name__', str(kind))}, or too large.")
