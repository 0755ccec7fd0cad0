"""The form of placeholders: ``[PERSON_1]``, and the ways in which models write them back. Pure.

A placeholder is a kind, the number of one thing of that kind, and a letter when the same thing is written in another
way: ``[PERSON_1]`` for *Anna Novák*, ``[PERSON_1B]`` for *NOVÁK*. A model sees who is who, and the way back is exact.
Which strings get one is ``redact.py``'s, putting them back ``restore.py``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LITERAL: Final = "TEXT"
"""The kind of what only looks like a placeholder in a person's own text."""
KINDS: Final = (
    "PERSON",
    "ORGANISATION",
    "PLACE",
    "ADDRESS",
    "EMAIL",
    "PHONE",
    "IBAN",
    "CARD",
    "TAX",
    "HEALTH",
    "ID",
    "ACCOUNT",
    "IP",
    "URL",
    "KEY",
    "DATE",
    "AGE",
    "ROLE",
    "TERM",
    LITERAL,
)
"""Every kind that this product gives out; the glossary may add names of its own, in the same form."""

MAX_TOKEN_CHARS: Final = 64
"""The longest spelling of a placeholder that is understood."""

_CODE_WORDS: Final = frozenset(
    {"ACCOUNT", "AGE", "DATE", "EMAIL", "ID", "IP", "KEY", "PHONE", "ROLE", "TERM", "TEXT", "URL"}
)
"""Kinds whose names are names in code and tables as well."""
_KIND: Final = re.compile(r"[A-Z]{2,24}")
_CANONICAL: Final = re.compile(r"\[([A-Z]{2,24})_([1-9][0-9]{0,6})([B-Z]?)\]")
LETTERS: Final = "BCDEFGHIJKLMNOPQRSTUVWXYZ"
"""For the other spellings of one thing, in order."""


@dataclass(frozen=True, slots=True, order=True)
class Token:
    """A placeholder taken apart."""

    kind: str
    number: int
    letter: str = ""

    def __str__(self) -> str:
        return f"[{self.kind}_{self.number}{self.letter}]"

    @property
    def base(self) -> Token:
        """The thing's first spelling."""
        return Token(self.kind, self.number)


def is_kind(name: str) -> bool:
    """Whether ``name`` can be a placeholder's kind: 2 to 24 capital letters."""
    return _KIND.fullmatch(name) is not None


def parse(placeholder: str) -> Token | None:
    """The token of exactly ``[KIND_1]`` or ``[KIND_1B]``."""
    found = _CANONICAL.fullmatch(placeholder)
    return Token(found[1], int(found[2]), found[3]) if found else None


@lru_cache(maxsize=64)
def spellings(kinds: frozenset[str]) -> re.Pattern[str]:
    """Finds tokens of ``kinds`` however a model writes them: lower-cased, escaped for Markdown, without brackets.

    :func:`read` says what a match names.
    """
    names = _names(kinds)
    tail = r"0{0,3}([1-9][0-9]{0,6})(?:\\?_?([A-Za-z]))?"
    gap = r"(?:\\?[_\-]|[ \t]){1,2}"
    escaped = rf"\\\[[ \t]?({names}){gap}{tail}[ \t]?\\\]"
    bracketed = rf"\[[ \t]?({names}){gap}{tail}[ \t]?\]"
    # Without brackets only with its line below or hyphen: "person 1" is ordinary English. And "id_1" or "key-1" are
    # names in code and tables: those kinds only as they were given out, in capitals with the line below.
    loose, strict = _names(kinds - _CODE_WORDS), _names(kinds & _CODE_WORDS)
    alone = rf"{loose}|(?-i:{strict})(?=\\?_)"
    bare = rf"(?<![\w\\])({alone})\\?[_\-]{tail}(?![A-Za-z0-9_])"
    inflected = rf"(?<![\w\\])({alone})\\?_0{{0,3}}([1-9][0-9]{{0,6}})()(?=[a-z]{{2,3}}(?![A-Za-z0-9_]))"
    return re.compile(f"{escaped}|{bracketed}|{bare}|{inflected}", re.IGNORECASE | re.ASCII)


@lru_cache(maxsize=64)
def mentions(kinds: frozenset[str]) -> re.Pattern[str]:
    """Finds kind and number of whatever comes near a token of ``kinds``, in any surroundings."""
    return re.compile(rf"({_names(kinds)})[\\ \t_\-]{{1,4}}0*([1-9][0-9]{{0,6}})", re.IGNORECASE | re.ASCII)


def read(match: re.Match[str]) -> tuple[Token, str]:
    """What a match of :func:`spellings` names, and the letter after the number, as written."""
    first = next(group for group in (1, 4, 7, 10) if match[group] is not None)
    return Token(match[first].upper(), int(match[first + 1])), match[first + 2] or ""


def resolve(match: re.Match[str], texts: Mapping[str, str]) -> str | None:
    """What stands for a match of :func:`spellings`; ``None`` when ``texts``, by placeholder, has nothing for it.

    A letter that names no other spelling is an ending: ``PERSON_1s``.
    """
    token, letter = read(match)
    if letter:
        other = texts.get(str(Token(token.kind, token.number, letter.upper())))
        if other is not None:
            return other
    base = texts.get(str(token))
    return None if base is None else base + letter


def _names(kinds: frozenset[str]) -> str:
    return "|".join(sorted(map(re.escape, kinds), key=len, reverse=True)) or "(?!)"


def kinds_of(placeholders: Iterable[str]) -> frozenset[str]:
    """The kinds that occur among well-formed placeholders."""
    return frozenset(token.kind for token in map(parse, placeholders) if token is not None)
