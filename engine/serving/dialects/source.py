"""Text that arrives in pieces, read as if it were there whole.

A parser is a generator: where it needs text that has not arrived it yields, and goes on when there is more. It asks
only questions whose answers cannot change with what follows, so its result does not depend on how the text was cut.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""A part of a parser that waits for text and results in ``T``."""

MAX_HELD_CHARS: Final = 1 << 18
"""What may be held back while it is not known whether it is a call."""

_SPACE: Final = re.compile(r"\s*")


class NotACall(Exception):
    """What looked like a call is none; what was read of it since :meth:`Source.hold` is read again, as content."""


class Source:
    """The text of one answer. Consumed from the front."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._ended = False
        self._held: list[str] | None = None
        self._held_size = 0

    def feed(self, text: str) -> None:
        """More text."""
        self._text = self._text[self._at :] + text
        self._at = 0

    def end(self) -> None:
        """No more text will come."""
        self._ended = True

    # Holding back

    def hold(self) -> None:
        """Keep what is consumed from here on, in case it turns out to be content."""
        self._held, self._held_size = [], 0

    def release(self) -> None:
        """Keep nothing any longer: what was consumed has been understood."""
        self._held = None

    def put_back(self) -> None:
        """Make what was consumed since :meth:`hold` unread again."""
        held, self._held = "".join(self._held or ()), None
        self.unread(held)

    def _consume(self, n_chars: int) -> str:
        taken = self._text[self._at : self._at + n_chars]
        self._at += len(taken)
        if self._held is not None:
            self._held.append(taken)
            self._held_size += len(taken)
            if self._held_size > MAX_HELD_CHARS:
                raise NotACall
        return taken

    def unread(self, text: str) -> None:
        """Put text back in front; it was consumed a moment ago, and nothing is held."""
        self._text = text + self._text[self._at :]
        self._at = 0

    # Asking

    def peek(self, n_chars: int = 1) -> Steps[str]:
        """The next characters, fewer at the end; they are not consumed."""
        while len(self._text) - self._at < n_chars and not self._ended:
            yield
        return self._text[self._at : self._at + n_chars]

    def space(self) -> Steps[str]:
        """Consume white space."""
        taken = ""
        while True:
            match = _SPACE.match(self._text, self._at)
            assert match is not None
            taken += self._consume(match.end() - self._at)
            if self._at < len(self._text) or self._ended:
                return taken
            yield

    def accept(self, *options: str) -> Steps[str | None]:
        """Consume the longest of these texts that comes next; ``None`` and nothing consumed when none does."""
        while True:
            following = self._text[self._at : self._at + max(map(len, options))]
            matching = [option for option in options if following.startswith(option)]
            longest = max(matching, key=len, default="")
            undecided = any(len(o) > max(len(following), len(longest)) and o.startswith(following) for o in options)
            if self._ended or not undecided:
                if not matching:
                    return None
                self._consume(len(longest))
                return longest
            yield

    def expect(self, *options: str) -> Steps[str]:
        """As :meth:`accept`. Raises: :class:`NotACall` when none comes next."""
        found = yield from self.accept(*options)
        if found is None:
            raise NotACall
        return found

    def until(self, ends: Sequence[str], sink: Callable[[str], object]) -> Steps[str | None]:
        """Consume and pass to ``sink`` what comes before the first of ``ends``, consume that, and tell which it was;
        ``None`` when the text ends first."""
        longest_first = sorted(ends, key=len, reverse=True)
        whole = re.compile("|".join(map(re.escape, longest_first)))
        beginnings = frozenset(end[:size] for end in ends for size in range(1, len(end)))
        longest = len(longest_first[0]) - 1
        while True:
            found = whole.search(self._text, self._at)
            safe = len(self._text) if self._ended else self._doubtful(beginnings, longest)
            if found is not None and found.start() < safe:
                sink(self._consume(found.start() - self._at))
                self._consume(found.end() - found.start())
                return found[0]
            if safe > self._at:
                sink(self._consume(safe - self._at))
            if self._ended:
                return None
            yield

    def rest(self, sink: Callable[[str], object]) -> Steps[None]:
        """Consume everything."""
        while True:
            sink(self._consume(len(self._text) - self._at))
            if self._ended:
                return
            yield

    def taken_until(self, *ends: str, most: int = MAX_HELD_CHARS) -> Steps[tuple[str, str]]:
        """The text before the first of ``ends``, and which it was.

        Raises: :class:`NotACall` when the text ends first or is longer than ``most``.
        """
        parts: list[str] = []
        room = most

        def keep(text: str) -> None:
            nonlocal room
            room -= len(text)
            if room < 0:
                raise NotACall
            parts.append(text)

        found = yield from self.until(ends, keep)
        if found is None:
            raise NotACall
        return "".join(parts), found

    def stretch(self, length_of: Callable[[str, int], int | None], sink: Callable[[str], object]) -> Steps[bool]:
        """Pass to ``sink`` all up to a place that only a scanner knows: ``length_of(text, start)`` is given each new
        piece once and says where in it the stretch ends, or ``None``. Whether it came to an end."""
        while True:
            end = length_of(self._text, self._at)
            sink(self._consume((len(self._text) if end is None else end) - self._at))
            if end is not None:
                return True
            if self._ended:
                return False
            yield

    def _doubtful(self, beginnings: frozenset[str], longest: int) -> int:
        """Where the longest end of the text begins that may become something looked for."""
        end = len(self._text)
        return next((at for at in range(max(self._at, end - longest), end) if self._text[at:] in beginnings), end)
