"""Puts the strings back for placeholders while an answer streams in. Pure.

A model may write a placeholder lower-cased, escaped, without brackets, inflected, or cut in two by the stream; what it
invents is left as it is and reported.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from app.gate.placeholders import MAX_TOKEN_CHARS, kinds_of, read, resolve, spellings

_OPEN_END: Final = re.compile(
    r"(?:\\?\[[ \t]?|(?<![\w\\]))(?P<name>[A-Za-z]*)(?P<rest>[\\_\- \t]*[0-9]*(?:\\?_?[A-Za-z]{0,3})[ \t]?\\?)\Z",
    re.ASCII,
)
"""What a token may have begun as at the end of what has come so far."""


class StreamRestorer:
    """One answer's way back. Feed it the stream's pieces; what may become a placeholder is held until that is known."""

    def __init__(self, known: Mapping[str, str]) -> None:
        """``known``: placeholder to string, the whole map of the conversation."""
        self._known = known
        self._kinds = kinds_of(known)
        self._pattern = spellings(self._kinds)
        self._waiting = ""
        self._before = ""
        """The last character that was given out, as it came: a token without brackets needs to know it."""
        self._unrestored: dict[str, int] = {}
        self.restored = 0
        """How many placeholders were put back."""

    @property
    def unrestored(self) -> Mapping[str, int]:
        """Tokens that look like ours and stand for nothing, with how often they came."""
        return self._unrestored

    def feed(self, text: str) -> str:
        """The next piece of the answer, with strings for placeholders; may be shorter or longer than what was fed."""
        self._waiting += text
        return self._take(self._settled())

    def end(self) -> str:
        """What was held back; the stream is over."""
        return self._take(len(self._waiting))

    def _take(self, stop: int) -> str:
        if not stop:
            return ""
        text = self._before + self._waiting[:stop]
        self._waiting = self._waiting[stop:]
        start = len(self._before)
        self._before = text[-1:]
        pieces = []
        for match in self._pattern.finditer(text, start):
            original = resolve(match, self._known)
            if original is None:
                token = str(read(match)[0])
                self._unrestored[token] = self._unrestored.get(token, 0) + 1
                continue
            pieces += [text[start : match.start()], original]
            start = match.end()
            self.restored += 1
        pieces.append(text[start:])
        return "".join(pieces)

    def _settled(self) -> int:
        """How much of what waits cannot become another token by what follows."""
        if not self._kinds:
            return len(self._waiting)
        first = max(len(self._waiting) - MAX_TOKEN_CHARS, 0)
        stop = len(self._waiting)
        for place in range(first, stop):
            match = _OPEN_END.match(self._before + self._waiting, place + len(self._before))
            if match is not None and self._may_go_on(match):
                return place
        return stop

    def _may_go_on(self, match: re.Match[str]) -> bool:
        name = match["name"].upper()
        if not name:
            return "[" in match[0] or match["rest"] == "\\"
        if match["rest"].strip():
            return name in self._kinds
        return any(kind.startswith(name) for kind in self._kinds)


def restore(text: str, known: Mapping[str, str]) -> str:
    """A whole text at once."""
    restorer = StreamRestorer(known)
    return restorer.feed(text) + restorer.end()
