"""A dialect: how one family of models writes, and the parser that reads it as it comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.serving.dialects.pieces import Out, Piece, control
from engine.serving.dialects.source import NotACall, Source, Steps

THINK: Final = ("<think>", "</think>")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a parser knows about the answer before it begins."""

    tools: Mapping[str, Mapping[str, Any]]
    """JSON schema of the parameters, by the function's name. Empty: nothing is a call."""
    prompt_end: str
    """The end of the prompt, as far as the template wrote it after the last message."""
    controls: frozenset[str]
    """Tags that are control tokens of this vocabulary, and are seen as such; others are plain text."""

    def tag(self, spelling: str) -> str:
        """A tag as it stands in the source."""
        return control(spelling) if spelling in self.controls else spelling


ReadCall = Callable[[Source, Out, Setting, str], Steps[None]]
"""Reads one call, or several, after its opening tag, which is the last argument. Raises: ``NotACall``."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a family writes."""

    name: str
    parse: Callable[[Source, Out, Setting], Steps[None]]
    tags: tuple[str, ...]
    """What the parser looks for; those that are control tokens have to be shown to it."""
    thinks: bool = False
    """Whether answers may hold reasoning."""


class Parser:
    """Reads one answer."""

    def __init__(self, dialect: Dialect, setting: Setting) -> None:
        self._source = Source()
        self._out = Out()
        self._steps = self._all(dialect.parse(self._source, self._out, setting))
        self._advance()

    def feed(self, text: str) -> list[Piece]:
        """More of the answer; what it says."""
        self._source.feed(text)
        self._advance()
        return self._out.take()

    def finish(self) -> list[Piece]:
        """The rest, once the answer is over."""
        self._source.end()
        self._advance()
        self._out.finish()
        return self._out.take()

    def _all(self, steps: Steps[None]) -> Steps[None]:
        """Whatever a dialect leaves is content."""
        yield from steps
        yield from self._source.rest(self._out.text)

    def _advance(self) -> None:
        next(self._steps, None)


def tagged(
    openings: tuple[str, ...], read_call: ReadCall, think: tuple[str, str] | None = THINK
) -> Callable[[Source, Out, Setting], Steps[None]]:
    """A parser for reasoning between two tags, then content in which calls are announced by opening tags."""

    def parse(source: Source, out: Out, setting: Setting) -> Steps[None]:
        if think is not None:
            yield from reasoning(source, out, setting, think)
        if not setting.tools:
            yield from source.rest(out.text)
            return
        tags = tuple(map(setting.tag, openings))
        while (opening := (yield from source.until(tags, out.text))) is not None:
            yield from attempt(source, out, setting, read_call, opening)

    return parse


def attempt(source: Source, out: Out, setting: Setting, read_call: ReadCall, opening: str) -> Steps[None]:
    """Read calls after ``opening``; what turns out to be none is content, its tag included."""
    calls = out.calls
    source.hold()
    try:
        yield from read_call(source, out, setting, opening)
    except NotACall:
        if out.calls == calls:
            out.text(opening)
        source.put_back()
    else:
        source.release()


def section(
    source: Source, setting: Setting, begin: str, end: str, last: str, read_one: Callable[[], Steps[None]]
) -> Steps[None]:
    """Calls one after the other, each between ``begin`` and ``end``, up to the tag that is ``last``."""
    opening = setting.tag(begin)
    yield from source.space()
    yield from source.expect(opening)
    following: str | None = opening
    while following == opening:
        yield from read_one()
        yield from source.space()
        yield from source.accept(setting.tag(end))
        yield from source.space()
        following = yield from source.accept(opening, setting.tag(last))
    source.hold()


def begin_call(source: Source, out: Out, name: str, call_id: str = "") -> None:
    """From here on it is a call, whatever follows."""
    source.release()
    out.begin(name, call_id)


def end_call(source: Source, out: Out) -> None:
    """The call is complete; what follows may be another."""
    out.done()
    source.hold()


def reasoning(source: Source, out: Out, setting: Setting, think: tuple[str, str]) -> Steps[None]:
    """Reasoning at the beginning of an answer, which the prompt or the answer itself has opened."""
    opening, closing = map(setting.tag, think)
    if not setting.prompt_end.rstrip().endswith(think[0]):
        space = yield from source.space()
        if (yield from source.accept(opening)) is None:
            out.text(space)
            return
    else:
        # Some models repeat the tag that the template has written.
        yield from source.space()
        yield from source.accept(opening)
    yield from source.until((closing,), out.thought)
