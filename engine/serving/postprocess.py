"""The last word of a step: its logits become tokens, tokens become text, text becomes deltas for whoever waits.

What runs next is the scheduler's decision; when the deltas are handed over is the engine's. The engine's thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.errors import RequestError
from engine.llama.context import Logits
from engine.llama.sampler import Sampler, TokenLogprob
from engine.llama.tokens import Vocabulary
from engine.serving.metrics import Metrics
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import Delta, DeltaSink, FinishReason, Sequence, ShownLogprob, Ticket
from engine.serving.stop import TextStream

Outgoing = list[tuple[DeltaSink, Delta]]
"""A step's deltas, each with its receiver."""


class Postprocessor:
    """Chooses tokens for the sequences of a step, and collects what their clients get to see."""

    def __init__(
        self, vocabulary: Vocabulary, scheduler: Scheduler, metrics: Metrics, logits: Callable[[int], Logits]
    ) -> None:
        """``logits`` gives those of a row of the last step, (n_vocab,), to be written into freely."""
        self._vocabulary = vocabulary
        self._scheduler = scheduler
        self._metrics = metrics
        self._logits = logits
        self._outgoing: Outgoing = []
        self.urgent = False
        """Something begins or ends with what is outgoing."""

    def take_outgoing(self) -> Outgoing:
        """What has come together since the last call."""
        outgoing, self._outgoing = self._outgoing, []
        self.urgent = False
        return outgoing

    def run(self, step: Step) -> None:
        """Choose a token for each slice that reached its end."""
        row = 0
        now = time.monotonic()
        for part in step.slices:
            row += part.count
            if part.wants_logits:
                sequence = part.sequence
                try:
                    token, logprob = sequence.sampler.sample(self._logits(row - 1))
                except RequestError as error:
                    self.finish(sequence, "error", error)
                    continue
                self._take_token(sequence, token, logprob, now)

    def _take_token(self, sequence: Sequence, token: int, logprob: TokenLogprob | None, now: float) -> None:
        sequence.n_generated += 1
        sequence.last_token_at = now
        if sequence.n_generated == 1:
            sequence.first_token_at = now
        if token in self._vocabulary.end_tokens and not sequence.ticket.request.ignore_end:
            self.finish(sequence, "stop")
            return
        sequence.tokens.append(token)
        piece = self._vocabulary.piece(token)
        if logprob is not None:
            top = tuple(self._vocabulary.piece(other) for other, _ in logprob.top)
            sequence.logprobs.append(ShownLogprob(piece, logprob, top))
        text, stopped = sequence.text.feed(piece)
        if stopped:
            self._emit(sequence, text)
            self.finish(sequence, "stop")
            return
        if text:
            self._emit(sequence, text)
        if len(sequence.tokens) >= sequence.limit_tokens:
            self.finish(sequence, "length")

    def _emit(self, sequence: Sequence, text: str) -> None:
        ticket = sequence.ticket
        if not ticket.request.streamed:
            sequence.kept_text.append(text)
            return
        logprobs = tuple(sequence.logprobs)
        sequence.logprobs.clear()
        self.urgent |= not sequence.shown
        sequence.shown = True
        self._outgoing.append((ticket.sink, Delta(sequence.choice, text, logprobs)))

    def finish(self, sequence: Sequence, reason: FinishReason, error: RequestError | None = None) -> None:
        """End a sequence, wherever it is, and send the last delta with what was held back."""
        self._scheduler.remove(sequence)
        sequence.ticket.unfinished -= 1
        text = "".join(sequence.kept_text) + sequence.text.finish()
        timings = sequence.timings()
        self._metrics.note_request(timings, reason)
        delta = Delta(sequence.choice, text, tuple(sequence.logprobs), reason, timings, error)
        self._outgoing.append((sequence.ticket.sink, delta))
        self.urgent = True


def open_sequences(ticket: Ticket, vocabulary: Vocabulary, limit_tokens: int) -> list[Sequence]:
    """A sequence for each choice of a request, none longer than ``limit_tokens``."""
    request = ticket.request
    tokens = list(request.tokens)
    if request.max_tokens is not None:
        limit_tokens = min(limit_tokens, len(tokens) + request.max_tokens)
    banned = vocabulary.end_tokens if request.ignore_end else ()
    sequences = []
    for choice in range(request.choices):
        sampler = Sampler(request.sampling, banned=banned, stream=choice)
        sampler.observe(tokens)
        text = TextStream(request.stops)
        sequences.append(Sequence(ticket, choice, list(tokens), sampler, text, len(tokens), limit_tokens))
    return sequences
