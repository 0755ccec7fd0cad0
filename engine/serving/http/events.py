"""What an answer consists of while it grows, whatever protocol carries it. No bytes and no names of any protocol here.

Text that the model wrote is divided by the model's dialect (``dialects/``) into content, reasoning and tool calls.
Each protocol makes its own JSON of these events, or folds them into outcomes first when it answers in one piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.serving.sequence import ShownLogprob, Timings

EndReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """More of the answer itself."""

    choice: int
    text: str
    logprobs: tuple[ShownLogprob, ...] = ()
    """Of the tokens since the last one, whatever they became; the text may be empty then."""


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More of what the model thinks before it answers."""

    choice: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A tool call begins (``id`` and ``name`` are set), or more of its arguments."""

    choice: int
    index: int
    """0-based, among the calls of its choice."""
    arguments: str
    """More of a JSON object's text. The model wrote it: it may be broken, and is cut off when the answer is."""
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a choice."""

    choice: int
    reason: EndReason
    timings: Timings
    stopped_by: str | None = None
    """The stop string that was reached; it is not part of the text."""


Event = ContentDelta | ReasoningDelta | ToolCallDelta | Finished


@dataclass(slots=True)
class ToolCall:
    """A call as a whole."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Outcome:
    """A choice as a whole."""

    content: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    logprobs: tuple[ShownLogprob, ...] = ()
    reason: EndReason = "stop"
    timings: Timings | None = None
    stopped_by: str | None = None


def fold(events: Iterable[Event], n_choices: int) -> list[Outcome]:
    """The choices, from all their events."""
    outcomes = [Outcome() for _ in range(n_choices)]
    for event in events:
        outcome = outcomes[event.choice]
        if isinstance(event, ContentDelta):
            outcome.content += event.text
            outcome.logprobs += event.logprobs
        elif isinstance(event, ReasoningDelta):
            outcome.reasoning += event.text
        elif isinstance(event, ToolCallDelta):
            if event.id:
                outcome.tool_calls.append(ToolCall(event.id, event.name, event.arguments))
            else:
                outcome.tool_calls[event.index].arguments += event.arguments
        else:
            outcome.reason, outcome.timings = event.reason, event.timings
            outcome.stopped_by = event.stopped_by
    return outcomes


def total_timings(timings: Sequence[Timings], choices_per_prompt: int = 1) -> Timings:
    """All choices' timings as one: a prompt counts once, tokens add up, times are those of the longest."""
    if len(timings) == 1:
        return timings[0]
    prompts = timings[::choices_per_prompt]
    return Timings(
        prompt_tokens=sum(t.prompt_tokens for t in prompts),
        cached_tokens=sum(t.cached_tokens for t in prompts),
        completion_tokens=sum(t.completion_tokens for t in timings),
        queue_s=max((t.queue_s for t in timings), default=0.0),
        prefill_s=max((t.prefill_s for t in timings), default=0.0),
        decode_s=max((t.decode_s for t in timings), default=0.0),
        forced_tokens=sum(t.forced_tokens for t in timings),
        drafted_tokens=sum(t.drafted_tokens for t in timings),
        accepted_tokens=sum(t.accepted_tokens for t in timings),
        device=timings[0].device if timings else "",
        steps=max((t.steps for t in timings), key=len, default=()),
    )
