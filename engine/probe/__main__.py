"""The probe child: ``python -m engine.probe devices|compute|kernels``, one JSON line in, one JSON line out.

It ends when its standard input ends, so that it dies with its parent however that dies.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import TextIO

from engine.errors import GatehouseError
from engine.llama import bindings, devices
from engine.probe.compute import measure_compute
from engine.probe.kernels import measure_kernels
from engine.probe.records import (
    ComputeAnswer,
    ComputeQuestion,
    DevicesAnswer,
    DevicesQuestion,
    KernelsAnswer,
    KernelsQuestion,
)
from engine.records import from_plain, read_object, to_plain

_LINE_LIMIT = 1024 * 1024


def main(arguments: list[str]) -> int:
    """Answer one question. The exit code is 0 when the answer was written, even if the answer is an error."""
    answers = _take_over_stdout()
    lines: list[str] = []

    def note(_level: bindings.LogLevel, text: str) -> None:
        lines.append(text)
        sys.stderr.write(text + "\n")

    def note_abort(message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    bindings.install_log(note)
    bindings.install_abort(note_abort)
    raw = sys.stdin.readline(_LINE_LIMIT)
    threading.Thread(target=_end_with_parent, daemon=True, name="parent-watch").start()
    try:
        reply = _answer(arguments[0] if arguments else "", raw, lines)
    except GatehouseError as error:
        reply = {"error": {"code": error.code, "sentence": error.sentence, "hint": error.hint}}
    answers.write(json.dumps(reply) + "\n")
    answers.flush()
    # Skip the interpreter's tear-down: drivers have been seen to crash there after the answer was complete.
    sys.stderr.flush()
    os._exit(0)


def _answer(probe: str, raw: str, lines: list[str]) -> dict[str, object]:
    question = read_object(raw, _LINE_LIMIT)
    answer: DevicesAnswer | ComputeAnswer | KernelsAnswer
    if probe == "devices":
        for endpoint in from_plain(DevicesQuestion, question, probe).rpc_endpoints:
            bindings.add_rpc_server(endpoint)
        answer = DevicesAnswer(devices.list_devices())
    elif probe == "compute":
        answer = measure_compute(from_plain(ComputeQuestion, question, probe), lines)
    elif probe == "kernels":
        answer = measure_kernels(from_plain(KernelsQuestion, question, probe))
    else:
        raise SystemExit(f"unknown probe {probe!r}")
    plain: dict[str, object] = to_plain(answer)
    return plain


def _take_over_stdout() -> TextIO:
    """Keep standard output for the answer; whatever a driver prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _end_with_parent() -> None:
    while sys.stdin.read(65536):
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
