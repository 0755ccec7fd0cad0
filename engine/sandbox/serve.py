"""The child's side: confine, greet, then answer one question after the other until the input ends.

``serve`` takes over standard input and output; what libraries print goes to standard error, whose end the parent keeps.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from typing import Final, NoReturn

from engine.errors import GatehouseError
from engine.records import from_plain, read_object, to_plain
from engine.sandbox.confine import allow_cpu, confine
from engine.sandbox.frames import HEADER, FrameKind, pack, unpack_header
from engine.sandbox.limits import Limits
from engine.worker.lifeline import ParentGone

OUT_OF_MEMORY: Final = "out_of_memory"
CHILD_FAILED: Final = "child_failed"
_SETTINGS_BYTES: Final = 4096

Part = Callable[[bytes], None]
"""Sends one piece of an answer."""
Handler = Callable[[bytes, Part], bytes]
"""Answers a question; what it returns is the last piece. Raises ``GatehouseError`` for what the parent shall say."""


def serve(handler: Handler, settings: str) -> NoReturn:
    """Answer questions until there are no more, then end the process. ``settings``: from ``settings_of``."""
    answers = os.dup(1)
    os.dup2(2, 1)
    _speak_bytes(answers)
    fields = read_object(settings, _SETTINGS_BYTES)
    limits = from_plain(Limits, fields.get("limits"), "limits")
    parent = fields.get("parent")
    try:
        confinement = confine(limits, parent if isinstance(parent, int) else os.getppid())
    except ParentGone:
        os._exit(0)
    _write(answers, pack(FrameKind.HELLO, json.dumps(to_plain(confinement)).encode()))
    while (question := _read_question()) is not None:
        _answer(handler, question, answers, limits)
    # Libraries of native code have been seen to crash while Python ends, after all work was done.
    os._exit(0)


def settings_of(limits: Limits) -> str:
    """The argument that the parent gives to the child."""
    return json.dumps({"limits": to_plain(limits), "parent": os.getpid()})


def _answer(handler: Handler, question: bytes, answers: int, limits: Limits) -> None:
    def part(body: bytes) -> None:
        _write(answers, pack(FrameKind.PART, body))
        allow_cpu(limits.cpu_s)

    allow_cpu(limits.cpu_s)
    try:
        reply = pack(FrameKind.END, handler(question, part))
    except GatehouseError as error:
        reply = _fault(error.code, error.sentence, error.hint)
    except (MemoryError, RecursionError) as error:
        what = "memory" if isinstance(error, MemoryError) else "nesting"
        _write(answers, _fault(OUT_OF_MEMORY, f"It needs more {what} than it may have.", ""))
        os._exit(0)  # what is left of the heap is not to be built upon
    except Exception as error:
        logging.getLogger(__name__).exception("The question could not be answered.")
        last = str(error).strip().splitlines()[-1:]
        reply = _fault(CHILD_FAILED, ": ".join([type(error).__name__, *last])[:500], "")
    _write(answers, reply)


if sys.platform == "win32":

    def _speak_bytes(answers: int) -> None:
        """Frames are not text: no line ends are to be changed in them."""
        import msvcrt

        for descriptor in (0, answers):
            msvcrt.setmode(descriptor, os.O_BINARY)

else:

    def _speak_bytes(answers: int) -> None:
        """There is no other way here."""


def _fault(code: str, sentence: str, hint: str) -> bytes:
    return pack(FrameKind.FAULT, json.dumps({"code": code, "sentence": sentence, "hint": hint}).encode())


def _read_question() -> bytes | None:
    header = _read_exactly(HEADER.size)
    if header is None:
        return None
    kind, length = unpack_header(header)
    body = _read_exactly(length)
    return body if kind is FrameKind.QUESTION else None


def _read_exactly(count: int) -> bytes | None:
    """From the bare descriptor; ``None`` when the input ended."""
    data = bytearray()
    while len(data) < count:
        piece = os.read(0, min(count - len(data), 1 << 20))
        if not piece:
            return None
        data += piece
    return bytes(data)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BrokenPipeError:
            sys.stderr.flush()
            os._exit(0)  # the parent is gone
