"""How one string may be written: in other case, broken over lines, inflected, grouped, or escaped. Pure.

Used twice: to hide a found string everywhere it occurs, and to look for it again in the bytes that would leave.
"""

from __future__ import annotations

import json
import re
import unicodedata
from functools import lru_cache
from typing import Final
from urllib.parse import quote, quote_plus

NUMBERED: Final = frozenset({"IBAN", "CARD", "TAX", "HEALTH", "ID", "PHONE", "ACCOUNT"})
"""Kinds that are digits and letters, grouped as anybody likes."""
_FIXED: Final = NUMBERED | {"EMAIL", "URL", "KEY", "IP", "DATE", "ADDRESS", "AGE", "TEXT"}
"""Kinds that take no endings; names do, and what a person's glossary calls otherwise."""
_MIN_REPEATED_CHARS: Final = 3
_WORDS: Final = """
    will may mark rose grant bill art hope faith joy dean chase drew sue pat rob frank grace miles penny rich ray max
    bob jack june april august summer dawn eve ivy lily daisy ruby pearl amber violet iris olive ginger angel
    christian
    king page hunter baker cook smith young long brown black white green gray day love case banks stone wood woods
    field hall hill lake rivers bush price cash sharp strong wise swift small little more best moss lane park ford
    nick tony peg josh carol harry jean don van von den der das die des del dos los las san sun and the not for nan
    gut gold kurz lang klein gross jung wolf vogel bach berg stein sommer winter herbst kaiser koch bauer reich
    us it in on an so me my he we is as at be do no
"""
_TELLING_CHARS: Final = 8
"""Words from this length on are hidden also where they begin a compound."""
_ALSO_WORDS: Final = frozenset(_WORDS.split())
"""Names that are words too: in small letters they are taken for the word."""
_VOWELS: Final = "aeiouyáéíóúýěůąęäöü"
_ASCII: Final = re.compile(r"[a-z0-9]{3,}")
_PARTICLES: Final = frozenset(("von", "van", "der", "den", "del", "della", "ten", "ter", "bin", "ibn", "mac", "the"))
_ENDINGS: Final = "ov[aáiéěouy][aeiouhmj]?|ego|emu|ého|ému|ych|ými|ami|ovič"


def fold(kind: str, text: str) -> str:
    """What is the same for all writings of one string: caseless, NFKC, single spaces; of numbers letters and digits."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    if kind in NUMBERED:
        return "".join(character for character in plain if character.isalnum())
    return " ".join(plain.split())


def repeats(kind: str, text: str) -> bool:
    """Whether the string is telling enough to be hidden wherever it occurs, not only where it was found."""
    return kind != "AGE" and sum(character.isalnum() for character in text) >= _MIN_REPEATED_CHARS


def parts(kind: str, text: str) -> tuple[str, ...]:
    """First and last names within a person's full name, which may stand alone elsewhere."""
    words = text.split()
    if kind != "PERSON" or len(words) < 2:
        return ()
    bare = (word.strip(".,;:'\"()") for word in words)
    return tuple(word for word in bare if len(word) >= 3 and word.casefold() not in _PARTICLES)


@lru_cache(maxsize=4096)
def pattern(kind: str, text: str, *, whole: bool = True) -> str:
    """A regular expression, to be used with ``re.IGNORECASE``, for all writings of ``text``.

    An ending is asked for, but not in the match. ``whole=False``: a part of a name, which needs a capital letter.
    """
    if kind in NUMBERED:
        return _numbered(text)
    words = unicodedata.normalize("NFC", text).split()
    body = r"\s+".join(_word(word) for word in words)
    if kind == "PERSON":
        body = _declined(body, words[-1])
    if not whole or (len(words) == 1 and words[0].casefold() in _ALSO_WORDS):
        body = f"(?=(?-i:[^a-zß-öø-ÿ])){body}"
    before = r"(?<!\w)" if words[0][0].isalnum() else ""
    others = [re.escape(other) for other in _escaped(text)]
    return f"(?:{'|'.join([before + body + _end(kind, words[-1]), *others])})"


def beginning(kind: str, text: str) -> str:
    """What every match of :func:`pattern` begins with, caseless; empty when that cannot be said.

    Looking for it first is much quicker than the pattern.
    """
    if kind in NUMBERED:
        return ""
    found = _ASCII.match(unicodedata.normalize("NFC", text).casefold())
    # The last letter may be declined, or be one half of a letter with an accent.
    return found[0][:-1][:4] if found is not None else ""


def _word(word: str) -> str:
    forms = dict.fromkeys((word, unicodedata.normalize("NFD", word), word.upper(), word.replace("’", "'")))
    kept = [form for form in forms if form.casefold() != word.casefold() or form == word]
    if "ß" in word:
        kept.append(word.replace("ß", "ss"))
    return re.escape(kept[0]) if len(kept) == 1 else f"(?:{'|'.join(map(re.escape, kept))})"


def _declined(body: str, last: str) -> str:
    """*Anna* is *Annu* and *Anny* where names are declined."""
    if len(last) < 4 or last[-1].casefold() not in "aeo" or not last.isalpha():
        return body
    return f"{body.removesuffix(last[-1])}[{_VOWELS}]" if body.endswith(last[-1]) else body


def _end(kind: str, last: str) -> str:
    """What may follow: an ending, the longer the longer the word is; of other kinds nothing."""
    if not last[-1].isalnum():
        return ""
    if kind in _FIXED or not last.isalpha():
        return r"(?!\w)"
    longest = min(max(len(last) - 3, 0), 3) if len(last) < _TELLING_CHARS else ""
    return rf"(?=(?:[^\W\d_]{{0,{longest}}}|{_ENDINGS})(?!\w))" if longest != 0 else r"(?!\w)"


def _numbered(text: str) -> str:
    marks = [character for character in unicodedata.normalize("NFKC", text) if character.isalnum()]
    lead = r"\+" if text.startswith("+") else ""
    body = r"[\s.\-/()\u2010-\u2015]{0,3}".join(re.escape(mark) for mark in marks)
    return rf"(?<!\w)(?:{lead}{'?' if lead else ''}){body}(?!\w)"


def _escaped(text: str) -> list[str]:
    """The string as it stands in JSON, in an address, or in a web page."""
    forms = (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1], quote(text, safe=""), quote_plus(text))
    import html  # its table of entities is large, and the gate seldom opens

    return [form for form in dict.fromkeys((*forms, html.escape(text))) if form != text]
