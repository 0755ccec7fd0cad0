"""Runs one probe so that nothing it does can spoil the report: a failure becomes a line, a hang is cut off.

Probes that only read files of the kernel run here in the process; whatever talks to a driver, a card or a network
disk runs in a child (``engine.hardware.__main__``), because a thread that hangs in the kernel cannot be ended.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

from engine.errors import GatehouseError
from engine.hardware.profile import ProbeNote
from engine.probe.client import run_child
from engine.records import from_plain

T = TypeVar("T")
R = TypeVar("R")


def attempt(notes: list[ProbeNote], probe: str, call: Callable[[], T], describe: Callable[[T], str]) -> T | None:
    """Call a probe; its result, or ``None``. How it went is added to ``notes``."""
    before = time.monotonic()
    result: T | None = None
    try:
        found = call()
        ok, sentence, result = True, describe(found), found
    except GatehouseError as error:
        ok, sentence = False, str(error)
    except Exception as error:  # noqa: BLE001 — the promise of this module; the sentence keeps what was caught
        ok, sentence = False, f"{type(error).__name__}: {error}"
    notes.append(ProbeNote(probe, ok, time.monotonic() - before, _one_line(sentence)))
    return result


def ask_child(kind: type[R], probe: str, question: dict[str, object], timeout_s: float) -> R:
    """Ask ``python -m engine.hardware PROBE``. Raises ``ProbeFailed`` or ``RecordFault``."""
    command = [sys.executable, "-m", "engine.hardware", probe]
    return from_plain(kind, run_child(command, probe, question, timeout_s), probe)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:299] + "…"
