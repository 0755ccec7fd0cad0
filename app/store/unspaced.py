"""Writing without spaces between words, made searchable: every character a word of its own, found as a phrase.

Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese. SQLite's tokeniser takes a whole sentence of these for one word.
Only texts that hold such characters are indexed so, beside the index of words, in tables without a content of their
own: triggers drop a row when its text changes or goes, whoever writes the text adds it anew with ``add``. Pure but for
that. What is asked of the tables is ``app.store.{search,passages}``'s.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final, Literal

from app.store.driver import Connection

Table = Literal["messages_characters", "conversations_characters", "passages_characters"]

_CHARACTERS: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u302f\u3031-\u3035\u303b"
    "\u3040-\u30ff\u3100-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\ua9e0-\ua9ff"
    "\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\uff65-\uffdc\U0001aff0-\U0001b16f\U00020000-\U000323af"
)
"""Thai, Lao, Burmese, Korean, Khmer, Chinese, Japanese: what is split, as the inside of a class of characters."""
_MARKS: Final = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059\u105e-\u1060"
    "\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f\u109a-\u109d\u17b4-\u17d3\u17dd\u302a-\u302f\u3099"
    "\u309a\ua9e5\uaa7b-\uaa7d"
)
"""Vowels and tones that stand on, under or around the letter before them, and stay with it."""
_SELECTORS: Final = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""Choose between shapes of one character."""

_HELD = re.compile(f"[{_CHARACTERS}]")
_CHARACTER = re.compile(f"[{_CHARACTERS}][{_MARKS}]*")
_TOKEN = re.compile(rf"[{_CHARACTERS}][{_MARKS}]*|[^\W_{_CHARACTERS}]+")
_RUN = re.compile(f"(?:[{_CHARACTERS}][{_MARKS}]*)+")
_GLUE = re.compile("[\u3040-\u309f\u30fc]+")
"""Hiragana: what holds a Japanese sentence together, and in a question asks."""
_LONG_WORDS = re.compile("[\u0e00-\u10ff\u1780-\u17ff]")
"""Alphabets: two letters of Thai or Khmer say no more than two of ours."""
_NARROW = re.compile("[\uff65-\uffdc]+")
_SELECTED = re.compile(f"[{_SELECTORS}]")
_UNEVEN = re.compile(f"[\uff65-\uffdc{_SELECTORS}]")
_CLUSTER = re.compile(f".[{_MARKS}{_SELECTORS}\u0300-\u036f\u1160-\u11ff\uff9e\uff9f]*", re.DOTALL)


def holds(text: str) -> bool:
    """Whether anything in a text is written without spaces."""
    return not text.isascii() and _HELD.search(text) is not None


def spaced(text: str) -> str:
    """A text as it is indexed and asked for: each such character between spaces, other words as they are."""
    return _CHARACTER.sub(r" \g<0> ", fold(text))


def tokens(text: str) -> list[str]:
    """The words of ``spaced``, without what is no letter and no figure."""
    return [token for token in _TOKEN.findall(fold(text)) if any(character.isalnum() for character in token)]


def parts(text: str) -> list[str]:
    """For a question, of which not every word need occur: each two neighbours of such writing (three of an alphabet).

    Each as ``spaced`` has it. Without glue, if there is anything else.
    """
    found: list[str] = []
    for run in _RUN.findall(fold(text)):
        characters = [one for one in _CHARACTER.findall(run) if any(part.isalnum() for part in one)]
        length = 3 if _LONG_WORDS.match(run) else 2
        starts = range(max(len(characters) - length + 1, 1 if characters else 0))
        found += [" ".join(characters[start : start + length]) for start in starts]
    found = list(dict.fromkeys(found))
    return [part for part in found if not _GLUE.fullmatch(part.replace(" ", ""))] or found


def fold(text: str) -> str:
    """One way of writing for what reads the same: ﾃﾞ is デ, Ａ is A, a radical is its character."""
    if text.isascii():
        return text
    if _UNEVEN.search(text):
        text = _NARROW.sub(lambda narrow: unicodedata.normalize("NFKC", narrow[0]), _SELECTED.sub("", text))
    return unicodedata.normalize("NFC", text).translate(_even())


def fold_with_places(text: str) -> tuple[str, Sequence[int]]:
    """A text folded, and where each of its characters begins in ``text``; one place more for its end."""
    if unicodedata.is_normalized("NFC", text) and not _UNEVEN.search(text):
        return fold(text), range(len(text) + 1)
    parts: list[str] = []
    places: list[int] = []
    for cluster in _CLUSTER.finditer(text):
        folded = fold(cluster[0])
        parts.append(folded)
        is_even = len(folded) == len(cluster[0])
        places += range(*cluster.span()) if is_even else [cluster.start()] * len(folded)
    return "".join(parts), [*places, len(text)]


def pattern(phrase: Sequence[str], *, unfinished: bool) -> str:
    """The regular expression that finds in a folded text what the index finds for a phrase of ``tokens``.

    ``unfinished``: the last token may go on. To be compiled without regard to case.
    """
    last = len(phrase) - 1
    return r"[\W_]*".join(
        _one(token, unfinished=unfinished and place == last, first=place == 0) for place, token in enumerate(phrase)
    )


def _one(token: str, *, unfinished: bool, first: bool) -> str:
    said, word = re.escape(token), f"[^\\W_{_CHARACTERS}]"
    if _HELD.match(token):
        return said + (f"[{_MARKS}]*" if unfinished else f"(?![{_MARKS}])")
    return (f"(?<!{word})" if first else "") + said + (f"{word}*" if unfinished else f"(?!{word})")


def add(connection: Connection, table: Table, rows: Iterable[tuple[int, str]]) -> None:
    """Index those of some texts, each with its row's number, that hold such characters."""
    kept = [(number, spaced(text)) for number, text in rows if holds(text)]
    if kept:
        connection.executemany(f"INSERT OR REPLACE INTO {table} (rowid, text) VALUES (?, ?)", kept)  # noqa: S608


@cache
def _even() -> dict[int, int]:
    """Full-width letters, figures and signs as plain ones; radicals as the characters that they are."""
    wide = {0xFF01 + step: 0x21 + step for step in range(94)}
    radicals = {one: unicodedata.normalize("NFKC", chr(one)) for one in range(0x2E80, 0x2FE0)}
    return wide | {0x3000: 0x20} | {one: ord(same) for one, same in radicals.items() if len(same) == 1}
