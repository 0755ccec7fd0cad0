"""The JSON lines between the supervisor and a worker: ``WorkerSpec`` in, lifecycle events out.

Both directions are decoded strictly by ``engine.records``; the ranges of what a worker tells are checked here. A field
added to ``Plan`` or ``WorkerSpec`` travels without a change. The HTTP API of the worker is ``engine.serving``'s.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from engine.records import RecordFault, from_plain, read_object, to_plain, write_line
from engine.worker.spec import Alive, Failed, Loading, Ready, Starting, Stopped, WorkerEvent, WorkerSpec

MAX_SPEC_BYTES: Final = 1 << 20
MAX_EVENT_BYTES: Final = 256 << 10

STOP_LINE: Final = "stop"
"""Written by the supervisor to ask for a graceful end."""

WireFault = RecordFault
"""A line that is not what the protocol says; the sentence names the field."""

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


def encode_spec(spec: WorkerSpec) -> str:
    """One line of JSON, without the line's end. Raises ``WireFault`` when it would be longer than the limit."""
    return write_line(to_plain(spec), MAX_SPEC_BYTES)


def decode_spec(line: str | bytes) -> WorkerSpec:
    """The configuration in a line. Raises ``WireFault``."""
    return from_plain(WorkerSpec, read_object(line, MAX_SPEC_BYTES), "spec")


def encode_state(event: WorkerEvent) -> str:
    """One line of JSON, without the line's end. Over-long texts of a ``Failed`` are cut."""
    if isinstance(event, Failed):
        event = replace(
            event,
            code=event.code[:64],
            sentence=event.sentence[:2000],
            hint=event.hint[:2000],
            evidence=event.evidence[-16_000:],
        )
    return write_line({"event": _EVENT_NAMES[type(event)], **to_plain(event)}, MAX_EVENT_BYTES)


def decode_state(line: str | bytes) -> WorkerEvent:
    """The event in a line that a worker wrote. Raises ``WireFault`` for anything else."""
    fields = read_object(line, MAX_EVENT_BYTES)
    name = fields.pop("event", None)
    kind = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WireFault("The line names no known event.")
    event = from_plain(kind, fields, str(name))
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
        sizes = [*(size for _, _, size in event.buffers), *(size for _, size in event.allowances)]
        if event.load_s < 0 or any(size < 0 for size in sizes):
            raise WireFault("ready names a negative time or size.")
