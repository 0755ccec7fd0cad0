"""A short title from a conversation's first message. Pure; asking a model for one is left to later."""

from __future__ import annotations

import re

DEFAULT_TITLE = "New conversation"
"""Of a conversation that has no message yet."""

_MAX_CHARACTERS = 48
_MARKS = re.compile(r"^\s*(?:#{1,6}\s+|[-*+>]\s+|\d+[.)]\s+)+|[*_`~]+")


def title_from(text: str) -> str:
    """The first line that says something, without Markdown's marks, cut between words."""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            continue
        plain = " ".join(_MARKS.sub("", line).split())
        if any(character.isalnum() for character in plain):
            return shorten(plain)
    return DEFAULT_TITLE


def shorten(title: str) -> str:
    """``title`` in at most 48 characters, with an ellipsis when something was cut."""
    title = " ".join(title.split())
    if len(title) <= _MAX_CHARACTERS:
        return title
    cut = title[: _MAX_CHARACTERS - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > _MAX_CHARACTERS // 2 else cut).rstrip(" ,.;:-–—") + "…"
