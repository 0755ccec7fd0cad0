"""The last look at the bytes that would leave: nothing that was hidden, planted or forbidden may be in them. Pure.

The body is undone in every way that a text may have been wrapped in, again and again, and what is sought is looked for
in all that comes out. Numbers with check digits are the scanner's to find in :func:`readable`. A find means that
nothing leaves.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final
from urllib.parse import unquote_plus

from app.gate import surfaces
from app.gate.placeholders import LITERAL, parse
from app.gate.records import Finding

_ESCAPED_DEPTH: Final = 6
"""How many escapes of escapes are undone; each halves what is left of them."""
_ENCODED_DEPTH: Final = 3
"""How many encodings within each other are undone."""
_MAX_CHARS: Final = 64 << 20
"""Of everything undone together."""
_MIN_SQUEEZED_CHARS: Final = 8
"""Strings below it are looked for as words only: their letters in a row occur in ordinary text."""
_MIN_BURIED_CHARS: Final = 5
"""Strings below it occur by chance in what only may be base64."""
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\U([0-9a-fA-F]{8})|\\(.)", re.DOTALL)
_PLAIN: Final = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " "}
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]{7,}(?:[ \t]*\r?\n[ \t]*[A-Za-z0-9+/_-]{7,})*")
_HEX: Final = re.compile(r"(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s:,-]?){4,}")
_TAGS: Final = {0xE0000 + code: code for code in range(0x20, 0x7F)}
"""Letters that nobody sees, and models read. Source: Unicode, block *Tags*."""
_USUAL: Final = frozenset("\u00ad\u200c\u200d\u200e\u200f\ufeff")
_SIGNS: Final = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that must not leave and is in the body all the same."""

    kind: str
    """A placeholder's kind, or ``CANARY``."""
    text: str
    where: str
    """``plain``, ``wrapped`` (escaped, encoded …) or ``squeezed`` (spaces and signs left out, or reversed)."""


@dataclass(frozen=True, slots=True)
class Views:
    """What a body says, in all ways of reading it."""

    plain: str
    wrapped: str
    """Undone escapes and encodings that were certainly there."""
    buried: str
    """What comes out if things that look encoded are."""
    folded: str
    """All of it in small letters, without accents …"""
    squeezed: str
    """… and without spaces and signs."""


class LeakFinder:
    """Looks for the same strings in any number of bodies."""

    def __init__(self, hidden: Mapping[str, str], canaries: Iterable[str] = ()) -> None:
        """``hidden``: placeholder to string, without those that are let through; ``canaries``: must never leave."""
        sought = {}
        for placeholder, text in hidden.items():
            token = parse(placeholder)
            kind = token.kind if token is not None else "ID"
            if kind != LITERAL and surfaces.repeats(kind, text):
                sought[text] = kind
        self._words = [(kind, text, _word_pattern(kind, text)) for text, kind in sought.items()]
        self._canaries = [text for text in canaries if squeeze(text)]
        self._squeezed = [
            (kind, text, squeeze(text)) for text, kind in sought.items() if len(squeeze(text)) >= _MIN_SQUEEZED_CHARS
        ]

    def find(self, body: bytes) -> tuple[Leak, ...]:
        """Every sought string that is in ``body``, once."""
        return self.find_in(views_of(body)) if self._words or self._canaries else ()

    def find_in(self, views: Views) -> tuple[Leak, ...]:
        """As :meth:`find`, in a body that was read already."""
        found = {}
        folded = "\n".join((views.plain, views.wrapped, views.buried)).casefold()
        for kind, text, pattern in self._words:
            if surfaces.beginning(kind, text) not in folded:
                continue
            where = _where(pattern, views, len(text) >= _MIN_BURIED_CHARS)
            if where:
                found[text] = Leak(kind, text, where)
        backwards = views.squeezed[::-1]
        for kind, text, squeezed in [*self._squeezed, *(("CANARY", text, squeeze(text)) for text in self._canaries)]:
            if text not in found and (_is_squeezed(kind, text, squeezed, views) or squeezed in backwards):
                found[text] = Leak(kind, text, "squeezed")
        return tuple(found.values())


def readable(body: bytes) -> tuple[str, ...]:
    """The texts in a request's body for the scanner: its strings where it is JSON, and itself where it is not."""
    text = body.decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return (text,)
    texts: list[str] = []
    waiting = [parsed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            texts.append(value)
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            texts.append(str(value))
    return tuple(texts)


def unseen(texts: Iterable[str]) -> int:
    """How many characters in them nobody sees. What joins emoji and letters, and steers lines, is not counted."""
    return sum(unicodedata.category(one) == "Cf" and one not in _USUAL for text in texts for one in text)


def unconsented(found: Iterable[Finding], let_through: Iterable[str]) -> tuple[Finding, ...]:
    """Numbers with right check digits in what would leave that nobody let through."""
    allowed = [squeeze(text) for text in let_through]
    checked = (one for one in found if one.detector == "checksum")
    return tuple(one for one in checked if not any(squeeze(one.text) in text for text in allowed))


def _word_pattern(kind: str, text: str) -> re.Pattern[str]:
    return re.compile(surfaces.pattern(kind, unicodedata.normalize("NFKC", text)), re.IGNORECASE)


def _where(pattern: re.Pattern[str], views: Views, long_enough: bool) -> str:
    if pattern.search(views.plain):
        return "plain"
    if pattern.search(views.wrapped) or (long_enough and pattern.search(views.buried)):
        return "wrapped"
    return ""


def views_of(body: bytes) -> Views:
    """Read a body in all ways."""
    raw = body.decode("utf-8", "replace")
    readings = [raw]
    for _ in range(_ESCAPED_DEPTH):
        undone = _undo(readings[-1])
        if undone == readings[-1]:
            break
        readings.append(undone)
    buried = _buried(readings)
    all_of_it = "\n".join([*readings, *buried])
    if len(all_of_it) > _MAX_CHARS:
        all_of_it = all_of_it[:_MAX_CHARS]
    folded = _fold(_clean(all_of_it))
    return Views(
        _clean(raw), _clean("\n".join(readings[1:])), _clean("\n".join(buried)), folded, _SIGNS.sub("", folded)
    )


def _buried(readings: list[str]) -> list[str]:
    """What base64 and hexadecimal digits say, and what those say in turn."""
    found: list[str] = []
    fresh = readings
    room = _MAX_CHARS
    for _ in range(_ENCODED_DEPTH):
        decoded = [piece for text in fresh for piece in _decoded(text)]
        fresh = [form for piece in dict.fromkeys(decoded) for form in dict.fromkeys((piece, _undo(piece)))]
        room -= sum(map(len, fresh))
        if not fresh or room < 0:
            break
        found += fresh
    return found


def _undo(text: str) -> str:
    """Escapes of JSON, of addresses and of web pages turned into what they stand for."""

    def plain(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3]
        if digits is None:
            return _PLAIN.get(match[4], match[4])
        return chr(int(digits, 16)) if int(digits, 16) <= 0x10FFFF else ""

    import html  # its table of entities is large, and the gate seldom opens

    undone = html.unescape(unquote_plus(_ESCAPE.sub(plain, text), errors="replace"))
    undone = undone if undone.isascii() else undone.translate(_TAGS)
    return undone.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _decoded(text: str) -> Iterable[str]:
    for match in _BASE64.finditer(text):
        letters = re.sub(r"\s", "", match[0]).translate({ord("-"): "+", ord("_"): "/"})
        for start in range(4):
            piece = letters[start : start + (len(letters) - start) // 4 * 4] or ""
            rest = letters[start + len(piece) :]
            if len(rest) >= 2:
                piece += rest + "=" * (4 - len(rest))
            yield from _texts(base64.b64decode(piece))
    for match in _HEX.finditer(text):
        digits = re.sub(r"0x|\\x|[\s:,-]", "", match[0])
        for start in (0, 1):
            piece = digits[start : start + (len(digits) - start) // 2 * 2]
            try:
                yield from _texts(binascii.unhexlify(piece))
            except binascii.Error:
                continue


def _texts(data: bytes) -> Iterable[str]:
    """Bytes as UTF-8 where they are that in good part, and as UTF-16 when every other one is zero."""
    text = data.decode("utf-8", "ignore")
    if len(text) >= 3:
        yield text
    if len(data) >= 6 and data.count(0) * 3 >= len(data):
        yield data.decode("utf-16-le", "ignore")
        yield data.decode("utf-16-be", "ignore")


def _clean(text: str) -> str:
    """NFKC, without characters that nobody sees."""
    normal = unicodedata.normalize("NFKC", text)
    if normal.isascii():
        return normal
    return normal.translate(_unseen())


@cache
def _unseen() -> dict[int, None]:
    """Marks on letters, and characters that only steer how others are shown; for ``str.translate``."""
    return {one: None for one in range(sys.maxunicode + 1) if unicodedata.category(chr(one)) in ("Cf", "Mn")}


def _is_squeezed(kind: str, text: str, squeezed: str, views: Views) -> bool:
    """Whether it is there once spaces and signs are taken out. A single word within a longer one is another word."""
    if kind == "CANARY" or not text.isalpha():
        return squeezed in views.squeezed
    return views.squeezed.count(squeezed) > views.folded.count(squeezed)


def _fold(text: str) -> str:
    """In small letters, without their accents."""
    plain = unicodedata.normalize("NFKD", text)
    if not plain.isascii():
        plain = plain.translate(_unseen())
    return plain.casefold()


def squeeze(text: str) -> str:
    """Letters and digits alone, without their accents, in small letters."""
    return _SIGNS.sub("", _fold(text))
