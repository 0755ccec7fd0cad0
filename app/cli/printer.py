"""What the command line writes: UTF-8 on every platform, results on standard output, sentences on standard error."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Sequence

Work = Callable[[], int]

_STEERING = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")
"""Controls but tabs and lines' ends; and what turns the direction of letters, which shows what is not there."""
_UNITS = ("B", "KB", "MB", "GB", "TB")


def speak_utf8() -> None:
    """Make both streams UTF-8; what cannot be written is replaced, never raised."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def harmless(text: str) -> str:
    """A text for a terminal: what would move its cursor, set its clipboard or turn letters is made visible."""
    return _STEERING.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def from_stranger(text: str) -> str:
    """What a model or a document says, for standard output: harmless on a terminal, and as it is in a file."""
    return harmless(text) if sys.stdout.isatty() else text


def line(text: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def piece(text: str) -> None:
    """Part of a line on standard output, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def as_json(value: object, *, one_line: bool = False) -> None:
    """``value`` as JSON on standard output."""
    line(json.dumps(value, ensure_ascii=False, indent=None if one_line else 2))


def tell(sentence: str) -> None:
    """One line on standard error that is no complaint: how far something is. It may name strangers' files."""
    sys.stderr.write(f"{_one_line(sentence)}\n")
    sys.stderr.flush()


def complain(sentence: str) -> None:
    """One sentence on standard error. It may name strangers' files."""
    sys.stderr.write(f"gatehouse: {_one_line(sentence)}\n")
    sys.stderr.flush()


def _one_line(sentence: str) -> str:
    return harmless(" ".join(sentence.splitlines()))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(head))]
    for cells in lines:
        line("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def size(count: int) -> str:
    """Bytes as a file manager writes them: decimal units, three digits."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    raise AssertionError(count)
