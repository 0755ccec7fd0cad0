"""The hardware probe child: ``python -m engine.hardware nvml|drm|disk|bandwidth``, one JSON line in, one JSON line out.

It ends when its standard input ends, so that it dies with its parent. The asking side is ``attempt.ask_child``.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from engine.errors import GatehouseError
from engine.hardware import bandwidth, disks, drm, nvidia
from engine.records import to_plain

_LINE_LIMIT: Final = 64 << 10

_PROBES: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    "nvml": lambda _question: nvidia.list_cards(),
    "drm": lambda question: drm.list_cards(Path(str(question["root"]))),
    "disk": lambda question: disks.measure(Path(str(question["folder"])), str(question["file_system"])),
    "bandwidth": lambda question: bandwidth.measure(
        int(question["threads"]), int(question["block_bytes"]), float(question["duration_s"])
    ),
}


def main(arguments: list[str]) -> int:
    """Answer one question."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a driver's library prints goes to the log
    raw = sys.stdin.readline(_LINE_LIMIT)
    threading.Thread(target=_end_with_parent, daemon=True, name="parent watch").start()
    try:
        reply = to_plain(_PROBES[arguments[0]](json.loads(raw)))
    except GatehouseError as error:
        reply = {"error": {"code": error.code, "sentence": error.sentence, "hint": error.hint}}
    answers.write(json.dumps(reply) + "\n")
    answers.flush()
    sys.stderr.flush()
    os._exit(0)  # drivers have been seen to crash in the interpreter's tear-down


def _end_with_parent() -> None:
    while sys.stdin.read(_LINE_LIMIT):
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
