"""What is generated and for whom: a request, its sequences, and the deltas that go back. No decisions here."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from engine.errors import RequestError
from engine.llama.constrain import Grammar, Matcher
from engine.llama.sampler import Sampler, SamplingSettings, TokenLogprob
from engine.serving.speculate import NO_GUESS, Guess, Lookup
from engine.serving.stop import TextStream

FinishReason = Literal["stop", "length", "cancelled", "error"]
Priority = Literal["interactive", "batch"]
"""*interactive*: somebody waits for the answer. *batch*: nobody does; it takes what is left."""

MOST_DECODE_ROWS: Final = 64
"""A decoding sequence has at most so many tokens pending; forced text beyond it is a prompt like any other."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One call of the API, ready to run: tokens, not text."""

    tokens: tuple[int, ...]
    sampling: SamplingSettings
    max_tokens: int | None = None
    """``None``: up to the end of the context."""
    choices: int = 1
    stops: tuple[str, ...] = ()
    ignore_end: bool = False
    """Never choose an end-of-text token; for benchmarks."""
    streamed: bool = True
    """Deltas with each step; otherwise one delta at the end."""
    reuse_prefix: bool = True
    priority: Priority = "interactive"
    user: str = ""
    """Users take turns; requests that name none are one user."""
    traced: bool = False
    """The steps that ran while it was here are told at the end."""
    cache_key: str = ""
    """Names the conversation, so that what is kept of it can be forgotten together."""
    grammar: Grammar | None = None
    """What the text must be."""
    lookup: bool | None = None
    """Whether to guess by prompt lookup; ``None``: under a constraint, and with long prompts, where it pays."""
    fast_forward: bool = True
    """Text that the grammar forces is not decoded token by token."""
    forced_logprobs: bool = True
    """Where log-probabilities are asked for, what is forced is verified for its own; otherwise it is told as certain,
    and costs no more than a prompt."""
    shown_controls: Mapping[int, str] = field(default_factory=dict)
    """Control tokens that are part of the text, each with its spelling there; others are not."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step of the engine, for looking at a slow request."""

    ended_at: float
    """On the monotonic clock."""
    n_rows: int
    n_decoding: int
    """Of the rows, those that went on with answers; the others were prompts."""
    decode_s: float
    """Inside llama_decode."""
    python_s: float
    """Ours, since the decode before: choosing tokens, handing them over, scheduling."""
    n_active: int
    n_waiting: int
    rows: tuple[tuple[int, int], ...] = ()
    """The traced requests in it: serial number and rows."""


@dataclass(frozen=True, slots=True)
class ShownLogprob:
    """A token's log-probability together with its bytes, for the API."""

    piece: bytes
    logprob: TokenLogprob
    top_pieces: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """Where one sequence's time and tokens went."""

    prompt_tokens: int
    cached_tokens: int
    """Of the prompt, taken from memory instead of computed."""
    completion_tokens: int
    queue_s: float
    prefill_s: float
    decode_s: float
    """From the first token to the last."""
    forced_tokens: int = 0
    """Of the completion, written by the constraint: prefilled, not decoded."""
    drafted_tokens: int = 0
    """Guessed by prompt lookup."""
    accepted_tokens: int = 0
    """Of the guesses, those that were right; they are part of the completion."""
    device: str = ""
    """Where the model computed, by ggml's names."""
    steps: tuple[StepRecord, ...] = ()
    """While it was here; only if they were asked for."""

    @property
    def ttft_s(self) -> float:
        """From the call to the first token."""
        return self.queue_s + self.prefill_s

    @property
    def tpot_s(self) -> float:
        """Between two tokens, on average; 0 when there are not two."""
        return self.decode_s / (self.completion_tokens - 1) if self.completion_tokens > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Delta:
    """News of one choice: text since the last delta, and with the last one how it ended."""

    choice: int
    text: str
    logprobs: tuple[ShownLogprob, ...] = ()
    finish: FinishReason | None = None
    timings: Timings | None = None
    """Present with ``finish``."""
    error: RequestError | None = None
    stopped_by: str | None = None
    """The stop string that ended it, with ``finish``."""


DeltaSink = Callable[[Delta], None]


class Ticket:
    """A request's handle: who receives its deltas, and whether anybody still wants them."""

    __slots__ = ("cancelled", "owner", "request", "serial", "sink", "steps", "submitted_at", "unfinished")
    _serials = itertools.count(1)

    def __init__(self, request: GenerationRequest, sink: DeltaSink) -> None:
        self.request = request
        self.sink = sink
        self.serial = next(Ticket._serials)
        self.owner = request.cache_key
        """As the cache knows it."""
        self.steps: Callable[[], tuple[StepRecord, ...]] | None = None
        """For a traced request: the steps since it came."""
        self.cancelled = False
        self.unfinished = request.choices
        self.submitted_at = time.monotonic()


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice of a request on its way through the engine. Belongs to the engine's thread.

    ``tokens`` is prompt and answer; the first ``n_past`` of them are in the KV cache. What is left over is pending:
    a whole prompt at first, one token while decoding, everything again after a preemption. A decoding sequence can
    have a few more pending: text that its constraint forces, and then ``n_draft`` guesses, which go into the batch
    together, with logits for the last ``n_logits`` rows. Guesses that turn out wrong are taken out of ``tokens`` and
    of the cache before the next step.
    """

    ticket: Ticket
    choice: int
    tokens: list[int]
    sampler: Sampler
    text: TextStream
    n_prompt: int
    limit_tokens: int
    """The sequence ends when it is so long: prompt and what may be written, within the context."""
    slot: int = -1
    """Its place in the KV cache, or -1."""
    n_past: int = 0
    cached_tokens: int = 0
    n_generated: int = 0
    n_draft: int = 0
    """So many tokens at the end are guesses that no step has verified yet."""
    n_logits: int = 1
    """So many of the pending rows, counted from the end, need logits: the last, and each before a guess."""
    matcher: Matcher | None = None
    """Where its text stands in its grammar; guesses are not counted."""
    lookup: Lookup | None = None
    guess: Guess = NO_GUESS
    """What lookup proposed for the step that runs, whether or not it was put behind the tokens."""
    forced_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0
    marks: list[int] = field(default_factory=list)
    """Where in its tokens a copy of the memory's state is to be kept."""
    sent_back: bool = False
    """It has run before and was put back into the queue, or its memory was lost."""
    yields: int = 0
    """How often it gave its slot to a more urgent one."""
    device: str = ""
    shown: bool = False
    """Some of its text has been handed over."""
    logprobs: list[ShownLogprob] = field(default_factory=list)
    """Not yet sent."""
    kept_text: list[str] = field(default_factory=list)
    """Of an answer that is not streamed."""
    started_at: float = 0.0
    first_token_at: float = 0.0
    last_token_at: float = 0.0

    @property
    def pending(self) -> int:
        """Tokens still to run through the model before the next one can be chosen."""
        return len(self.tokens) - self.n_past

    @property
    def decoding(self) -> bool:
        """The prompt is in the cache, and the few tokens that are pending can run in one step."""
        return self.n_past >= self.n_prompt and 0 < self.pending <= MOST_DECODE_ROWS

    @property
    def wants_logprobs(self) -> bool:
        """Whether the log-probability of each token is asked for."""
        return self.ticket.request.sampling.top_logprobs is not None

    @property
    def verifies_forced(self) -> bool:
        """Whether what the grammar forces needs logits too."""
        return self.wants_logprobs and self.ticket.request.forced_logprobs

    def put_draft(self, guesses: list[int]) -> None:
        """Put guesses behind the tokens, for the next step to verify."""
        self.tokens += guesses
        self.n_draft = len(guesses)
        self.n_logits = 1 + self.n_draft

    def take_draft(self) -> list[int]:
        """Take the guesses out of the tokens again."""
        n_settled = len(self.tokens) - self.n_draft
        guesses = self.tokens[n_settled:]
        del self.tokens[n_settled:]
        self.n_draft, self.n_logits = 0, 1
        return guesses

    def drop_draft(self) -> None:
        """Forget guesses that no step has verified; whenever the sequence does not run as planned."""
        self.take_draft()

    def timings(self) -> Timings:
        """What is known by now."""
        started = self.started_at or self.last_token_at or time.monotonic()
        first = self.first_token_at or started
        return Timings(
            prompt_tokens=self.n_prompt,
            cached_tokens=min(self.cached_tokens, self.n_prompt),  # forced text behind the prompt may be cached too
            completion_tokens=self.n_generated,
            queue_s=max(0.0, started - self.ticket.submitted_at),
            prefill_s=max(0.0, first - started),
            decode_s=max(0.0, self.last_token_at - first),
            forced_tokens=self.forced_tokens,
            drafted_tokens=self.drafted_tokens,
            accepted_tokens=self.accepted_tokens,
            device=self.device,
            steps=self.ticket.steps() if self.ticket.steps else (),
        )
