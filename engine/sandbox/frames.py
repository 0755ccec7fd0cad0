"""Messages between a sandboxed child and its parent: a kind, a length, that many bytes. Every length is bounded."""

from __future__ import annotations

import struct
from enum import Enum
from typing import Final

MAX_FRAME_BYTES: Final = 32 << 20
HEADER: Final = struct.Struct(">cI")


class FrameKind(bytes, Enum):
    """What a frame is."""

    QUESTION = b"q"
    PART = b"p"
    """A piece of an answer; any number of them."""
    END = b"e"
    """The last piece of an answer."""
    FAULT = b"f"
    """Instead of an answer: a JSON object of code, sentence and hint."""
    HELLO = b"h"
    """First of all: the child's ``Confinement``."""


class FrameFault(ValueError):
    """Bytes that are no frame, or a frame that is too long."""


def pack(kind: FrameKind, body: bytes) -> bytes:
    """The frame on the wire. Raises ``FrameFault``."""
    if len(body) > MAX_FRAME_BYTES:
        raise FrameFault(f"A message of {len(body)} bytes is longer than the {MAX_FRAME_BYTES} allowed.")
    return HEADER.pack(kind.value, len(body)) + body


def unpack_header(header: bytes) -> tuple[FrameKind, int]:
    """Kind and length of the body. Raises ``FrameFault``."""
    kind, length = HEADER.unpack(header)
    if length > MAX_FRAME_BYTES:
        raise FrameFault(f"A message announces {length} bytes; {MAX_FRAME_BYTES} are allowed.")
    try:
        return FrameKind(kind), length
    except ValueError as error:
        raise FrameFault(f"{kind!r} is no kind of message.") from error
