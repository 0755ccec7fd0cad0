"""A prepared call on its way: tickets to the engine, and its deltas read as events. The event loop's thread only.

What the text means is the reader's to say (``reading.py``); JSON is made by each protocol's encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from engine.llama.constrain import Constraint, Grammar
from engine.serving.engine import Engine
from engine.serving.http.events import Event, Outcome, fold
from engine.serving.http.mailbox import Mailbox
from engine.serving.http.reading import PlainReader, Reader
from engine.serving.openai.wire_options import Options
from engine.serving.sequence import GenerationRequest, Ticket


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that is ready to run: prompts in tokens, how they are to be answered, how the answers are to be read."""

    prompts: tuple[tuple[int, ...], ...]
    options: Options
    make_reader: Callable[[int], Reader] = PlainReader
    """A reader for the choice of this number."""
    shown_controls: Mapping[int, str] = field(default_factory=dict)
    """Control tokens that the readers want to see, and as what."""
    constraint: Constraint | None = None
    """What the text must be, besides or instead of what the options say: the form of a tool call, say."""
    grammar: Grammar | None = None
    """The constraint compiled, by ``Frontend.constrained``."""

    @property
    def n_choices(self) -> int:
        """Of all prompts."""
        return len(self.prompts) * self.options.choices

    @property
    def prompt_tokens(self) -> int:
        """Of all prompts."""
        return sum(map(len, self.prompts))


class Generation:
    """One answer being generated: a ticket for each prompt, events for whoever asks. Must be closed."""

    def __init__(self, engine: Engine, prepared: Prepared, on_end: Callable[[], None]) -> None:
        """``on_end`` is called once, when all is finished or nobody waits any longer."""
        self._engine = engine
        self._on_end = on_end
        self._mailbox = Mailbox(on_overflow=self._cancel)
        self._readers = [prepared.make_reader(choice) for choice in range(prepared.n_choices)]
        self._unfinished = prepared.n_choices
        self._ended = False
        per_prompt = prepared.options.choices
        self._tickets = [
            Ticket(_request(tokens, prepared), self._mailbox.sink(index * per_prompt))
            for index, tokens in enumerate(prepared.prompts)
        ]
        for ticket in self._tickets:
            engine.submit(ticket)

    @property
    def finished(self) -> bool:
        """Whether every choice has had its last event."""
        return self._unfinished == 0

    async def take(self) -> list[Event]:
        """All events that have come together, at least one of the engine's hand-overs; possibly none came of it.

        Raises: ``RequestError`` when the engine refuses or the reader fell too far behind.
        """
        events: list[Event] = []
        for choice, delta in await self._mailbox.take():
            if delta.error is not None:
                raise delta.error
            self._readers[choice].read(delta, events)
            self._unfinished -= delta.finish is not None
        if self.finished:
            self.close()
        return events

    async def outcomes(self) -> list[Outcome]:
        """Wait for everything, as whole choices. Raises: as :meth:`take`."""
        events: list[Event] = []
        while not self.finished:
            events += await self.take()
        return fold(events, len(self._readers))

    def close(self) -> None:
        """Nobody waits any longer; does nothing to what has ended."""
        if not self._ended:
            self._ended = True
            self._cancel()
            self._on_end()

    def _cancel(self) -> None:
        for ticket in self._tickets:
            self._engine.cancel(ticket)


def _request(tokens: tuple[int, ...], prepared: Prepared) -> GenerationRequest:
    options = prepared.options
    return GenerationRequest(
        tokens=tokens,
        sampling=options.sampling,
        max_tokens=options.max_tokens,
        choices=options.choices,
        stops=options.stops,
        ignore_end=options.ignore_end,
        streamed=options.stream,
        reuse_prefix=options.reuse_prefix,
        shown_controls=prepared.shown_controls,
        grammar=prepared.grammar,
        lookup=options.lookup,
        fast_forward=options.fast_forward,
        forced_logprobs=options.forced_logprobs,
        cache_key=options.cache_key,
        priority=options.priority,
        user=options.user,
        traced=options.traced,
    )
