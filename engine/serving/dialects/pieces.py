"""What a parser says: content, reasoning, calls and their arguments, in order. White space around them is no one's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CONTROL_OPEN: Final = "\ud800"
CONTROL_CLOSE: Final = "\udfff"
"""Around the spelling of a control token. Half surrogates, which no bytes decode to: no text can pretend to be one."""


def control(spelling: str) -> str:
    """A control token as parsers see it."""
    return f"{CONTROL_OPEN}{spelling}{CONTROL_CLOSE}"


def spelled(text: str) -> str:
    """Text in which control tokens are only spelled, for people."""
    return text.replace(CONTROL_OPEN, "").replace(CONTROL_CLOSE, "") if _marked(text) else text


def _marked(text: str) -> bool:
    return CONTROL_OPEN in text or CONTROL_CLOSE in text


@dataclass(frozen=True, slots=True)
class Text:
    """Content."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call begins."""

    name: str
    id: str = ""
    """The model's own, if it gives one."""


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the call's arguments, the text of a JSON object."""

    text: str


Piece = Text | Thought | Call | Arguments


class Out:
    """Collects pieces. White space between content, reasoning and calls separates them and belongs to none."""

    def __init__(self) -> None:
        self._pieces: list[Piece] = []
        self._space = ""
        self._fresh = False
        """Nothing yet since reasoning or a call."""
        self._kind: type[Text] | type[Thought] | None = None
        self._argued = True
        self.calls = 0

    def take(self) -> list[Piece]:
        """What has come together since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def text(self, text: str) -> None:
        """Content."""
        self._say(Text, text)

    def thought(self, text: str) -> None:
        """Reasoning."""
        self._say(Thought, text)

    def _say(self, kind: type[Text] | type[Thought], text: str) -> None:
        if kind is not self._kind:
            self._fresh = self._kind is not None or kind is Thought or self.calls > 0
            self._kind, self._space = kind, ""
        text = self._space + spelled(text)
        if self._fresh:
            text = text.lstrip()
        kept = text.rstrip()
        self._space = text[len(kept) :]
        if kept:
            self._fresh = False
            self._pieces.append(kind(kept))

    def begin(self, name: str, call_id: str = "") -> None:
        """A call begins; what was said before it is complete."""
        self._kind, self._space = None, ""
        self._argued = False
        self.calls += 1
        self._pieces.append(Call(spelled(name), spelled(call_id)))

    def arguments(self, text: str) -> None:
        """More of the arguments."""
        if text:
            self._argued = True
            self._pieces.append(Arguments(spelled(text)))

    def done(self) -> None:
        """The call is complete; one that said nothing has no arguments."""
        if not self._argued:
            self._argued = True
            self._pieces.append(Arguments("{}"))

    def finish(self) -> None:
        """Nothing follows: white space at the very end of content belongs to it."""
        if self._kind is Text and self._space and not self.calls and not self._fresh:
            self._pieces.append(Text(self._space))
        self._space = ""
