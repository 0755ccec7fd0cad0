"""The JSON lines between the supervisor and a worker: ``WorkerSpec`` in, lifecycle events out.

Both directions are decoded strictly: sizes are bounded before parsing, every field must be there with its declared
type, unknown fields are refused. Records are described by their dataclasses alone, so a field added to ``Plan`` or
``WorkerSpec`` travels without a change here. The HTTP API of the worker is ``engine.serving``'s.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeVar, Union

from engine.worker.spec import Alive, Failed, Loading, Ready, Starting, Stopped, WorkerEvent, WorkerSpec

MAX_SPEC_BYTES: Final = 1 << 20
MAX_EVENT_BYTES: Final = 256 << 10
_MAX_TEXT: Final = 32 << 10
_MAX_ITEMS: Final = 4096
_MAX_WHOLE: Final = 1 << 62

STOP_LINE: Final = "stop"
"""Written by the supervisor to ask for a graceful end."""

_EVENTS: Final[dict[str, type[WorkerEvent]]] = {
    "starting": Starting,
    "loading": Loading,
    "ready": Ready,
    "failed": Failed,
    "stopped": Stopped,
    "alive": Alive,
}
_EVENT_NAMES: Final = {record: name for name, record in _EVENTS.items()}
_ADDRESS: Final = re.compile(r"http://(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]):([0-9]{1,5})")

R = TypeVar("R")


class WireFault(ValueError):
    """A line that is not what the protocol says; the sentence names the field."""


def encode_spec(spec: WorkerSpec) -> str:
    """One line of JSON, without the line's end. Raises ``WireFault`` when it would be longer than the limit."""
    return _encode(_plain(spec), MAX_SPEC_BYTES)


def decode_spec(line: str | bytes) -> WorkerSpec:
    """The configuration in a line. Raises ``WireFault``."""
    return _record(WorkerSpec, _parse(line, MAX_SPEC_BYTES), "spec")


def encode_state(event: WorkerEvent) -> str:
    """One line of JSON, without the line's end. Over-long texts of a ``Failed`` are cut at their beginning."""
    if isinstance(event, Failed):
        event = Failed(event.code[:64], event.sentence[:2000], event.hint[:2000], event.evidence[-16_000:])
    return _encode({"event": _EVENT_NAMES[type(event)], **_plain(event)}, MAX_EVENT_BYTES)


def decode_state(line: str | bytes) -> WorkerEvent:
    """The event in a line that a worker wrote. Raises ``WireFault`` for anything else."""
    fields = _parse(line, MAX_EVENT_BYTES)
    name = fields.pop("event", None)
    kind = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WireFault("The line names no known event.")
    event = _record(kind, fields, str(name))
    _check_ranges(event)
    return event


def _check_ranges(event: WorkerEvent) -> None:
    match event:
        case Loading(progress_ratio) if not 0.0 <= progress_ratio <= 1.0:
            raise WireFault("loading.progress_ratio lies outside 0 to 1.")
        case Starting(pid) | Ready(pid=pid) if pid <= 0:
            raise WireFault("The worker names an impossible process id.")
        case Alive(steps=steps) if steps < 0:
            raise WireFault("alive.steps is negative.")
        case _:
            pass
    if isinstance(event, Ready):
        found = _ADDRESS.fullmatch(event.address)
        if found is None or not 0 < int(found[1]) < 65_536:
            raise WireFault("ready.address is not of the form http://HOST:PORT.")
        if event.load_s < 0 or any(size < 0 for _, _, size in event.buffers):
            raise WireFault("ready names a negative time or size.")


def _encode(payload: dict[str, Any], limit: int) -> str:
    line = json.dumps(payload, allow_nan=False, separators=(",", ":"))  # ASCII: sizes in characters are sizes in bytes
    if len(line) > limit:
        raise WireFault(f"A line of {len(line)} bytes is longer than the {limit} allowed.")
    return line


def _plain(value: Any) -> Any:  # the JSON form of a record
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _parse(line: str | bytes, limit: int) -> dict[str, Any]:
    if len(line) > limit:
        raise WireFault(f"A line of {len(line)} bytes is longer than the {limit} allowed.")
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
        parsed = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise WireFault(f"The line is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise WireFault("The line is JSON, but not an object.")
    return parsed


def _refuse_constant(name: str) -> NoReturn:
    raise WireFault(f"{name} is not a number that may travel.")


def _record(kind: type[R], fields: dict[str, Any], where: str) -> R:
    """Build a dataclass from exactly its fields; those with a default may be absent."""
    hints = typing.get_type_hints(kind)
    declared = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = fields.keys() - declared.keys()
    if unknown:
        raise WireFault(f"{where} has the unknown field {min(unknown)[:40]!r}.")
    values: dict[str, Any] = {}
    for name, field in declared.items():
        if name in fields:
            values[name] = _value(hints[name], fields[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise WireFault(f"{where} lacks the field {name!r}.")
    return kind(**values)


def _value(kind: Any, value: Any, where: str) -> Any:
    """``value`` as the annotation ``kind`` wants it, or ``WireFault``."""
    origin = typing.get_origin(kind)
    if origin is tuple:
        return _items(typing.get_args(kind), value, where)
    if origin is Literal:
        if isinstance(value, str) and value in typing.get_args(kind):
            return value
        raise WireFault(f"{where} is not one of {', '.join(map(str, typing.get_args(kind)))}.")
    if origin in (Union, types.UnionType):
        return _optional(typing.get_args(kind), value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if isinstance(value, dict):
            return _record(kind, value, where)
        raise WireFault(f"{where} is not an object.")
    return _scalar(kind, value, where)


def _items(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list) or len(value) > _MAX_ITEMS:
        raise WireFault(f"{where} is not a list of at most {_MAX_ITEMS} items.")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_value(kinds[0], item, f"{where}[{index}]") for index, item in enumerate(value))
    if len(kinds) != len(value):
        raise WireFault(f"{where} has {len(value)} items instead of {len(kinds)}.")
    pairs = zip(kinds, value, strict=True)
    return tuple(_value(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(pairs))


def _optional(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    fault = WireFault(f"{where} has no acceptable type.")
    for kind in kinds:
        if kind is not types.NoneType:
            try:
                return _value(kind, value, where)
            except WireFault as found:
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
                raise WireFault(f"{where} has an unknown value.") from error
    raise WireFault(f"{where} is not {getattr(kind, '__name__', str(kind))}, or too large.")
