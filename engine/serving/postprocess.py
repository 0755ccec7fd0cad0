"""The last word of a step: its logits become tokens, tokens become text, text becomes deltas for whoever waits.

A token is chosen under the sequence's constraint; text that the constraint then forces is put behind it and runs with
the next step, and behind that guesses by prompt lookup. The next step verifies them: each position is sampled with the
sequence's own sampler, and a guess stands as long as it is what was sampled. So guesses change the time, not the
distribution of the text.

What runs next is the scheduler's decision; when the deltas are handed over is the engine's. The engine's thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.errors import RequestError
from engine.llama.constrain import Grammar
from engine.llama.context import Logits
from engine.llama.sampler import Sampler, TokenLogprob
from engine.llama.tokens import Vocabulary
from engine.serving.kv import common_prefix
from engine.serving.metrics import Metrics
from engine.serving.scheduler import Scheduler, Step
from engine.serving.sequence import (
    Delta,
    DeltaSink,
    FinishReason,
    GenerationRequest,
    Sequence,
    ShownLogprob,
    Ticket,
)
from engine.serving.speculate import LONG_PROMPT_TOKENS, MOST_GUESSES, NO_GUESS, Lookup, StepCosts, best_length
from engine.serving.stop import TextStream

Outgoing = list[tuple[DeltaSink, Delta]]
"""A step's deltas, each with its receiver."""


class Postprocessor:
    """Chooses tokens for the sequences of a step, and collects what their clients get to see."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        scheduler: Scheduler,
        metrics: Metrics,
        logits: Callable[[int], Logits],
        *,
        rewindable_tokens: int = 0,
        most_logits: int = 1,
    ) -> None:
        """``logits`` gives those of a row of the last step, (n_vocab,), to be written into freely. Sequences up to
        ``rewindable_tokens`` long can take back wrong guesses. A step has logits for ``most_logits`` rows."""
        self._vocabulary = vocabulary
        self._scheduler = scheduler
        self._metrics = metrics
        self._logits = logits
        self._rewindable_tokens = rewindable_tokens
        self._most_logits = most_logits
        self._outgoing: Outgoing = []
        self.costs = StepCosts()
        self.urgent = False
        """Something begins or ends with what is outgoing."""

    def take_outgoing(self) -> Outgoing:
        """What has come together since the last call."""
        outgoing, self._outgoing = self._outgoing, []
        self.urgent = False
        return outgoing

    def note_cost(self, step: Step, elapsed_s: float) -> None:
        """Learn what guesses cost from what computing a step took."""
        if step.n_rows == step.n_decoding:
            self.costs.note(step.n_rows, elapsed_s)

    def run(self, step: Step) -> None:
        """Choose tokens for each slice that has logits."""
        row = 0
        now = time.monotonic()
        for part in step.slices:
            row += part.count
            if part.wants_logits:
                try:
                    self._go_on(part.sequence, row, now)
                except RequestError as error:
                    self.finish(part.sequence, "error", error)
        if len(self._scheduler.active) == 1:  # guesses of one would make the others wait
            self._guess(self._scheduler.active[0])

    # Choosing

    def _go_on(self, sequence: Sequence, end_row: int, now: float) -> None:
        """Choose the token behind what is settled, and go on for as long as guesses turn out right.

        ``end_row`` is the row after the sequence's last one.
        """
        guesses = sequence.take_draft()
        row = end_row - 1 - len(guesses)
        n_right = 0
        while True:
            n_before = len(sequence.tokens)
            token, logprob = sequence.sampler.sample(self._logits(row), sequence.matcher)
            if token in guesses[n_right : n_right + 1]:
                _count_right(sequence)
            if not self._take_chosen(sequence, token, logprob, now):
                return
            new = sequence.tokens[n_before:]
            n_same = common_prefix(new, guesses[n_right:], len(new))
            n_right += n_same
            row += n_same
            if n_same < len(new):
                break
        self._learn(sequence, guesses, n_right)
        if guesses:
            self._scheduler.rewind(sequence, n_before + n_same)

    def _take_chosen(self, sequence: Sequence, token: int, logprob: TokenLogprob | None, now: float) -> bool:
        """Append a chosen token, and what the constraint forces after it; whether the sequence goes on."""
        sequence.last_token_at = now
        if not sequence.first_token_at:
            sequence.first_token_at = now
        if token in self._vocabulary.end_tokens and not sequence.ticket.request.ignore_end:
            sequence.n_generated += 1
            self.finish(sequence, "stop")
            return False
        matcher = sequence.matcher
        if matcher is not None:
            matcher.advance(token)
        if not self._take(sequence, [token], logprob):
            return False
        if matcher is None:
            return True
        if sequence.ticket.request.fast_forward and not sequence.verifies_forced:
            forced = matcher.forced(sequence.limit_tokens - len(sequence.tokens))
            sequence.sampler.observe(forced)
            sequence.forced_tokens += len(forced)
            _tell_certain(sequence, forced, self._vocabulary)
            if forced and not self._take(sequence, forced, None):
                return False
        if matcher.stopped:
            self.finish(sequence, "stop")
            return False
        return True

    def _take(self, sequence: Sequence, tokens: list[int], logprob: TokenLogprob | None) -> bool:
        """Append tokens and their text; whether the sequence goes on."""
        sequence.n_generated += len(tokens)
        sequence.tokens += tokens
        if logprob is not None:
            top = tuple(self._vocabulary.piece(other) for other, _ in logprob.top)
            sequence.logprobs.append(ShownLogprob(self._vocabulary.piece(tokens[-1]), logprob, top))
        controls = sequence.ticket.request.shown_controls
        text, stopped = sequence.text.feed_tokens(tokens, self._vocabulary.piece, controls)
        if text or stopped:
            self._emit(sequence, text)
        if stopped:
            self.finish(sequence, "stop")
            return False
        if len(sequence.tokens) >= sequence.limit_tokens:
            complete = sequence.matcher is not None and sequence.matcher.stopped
            self.finish(sequence, "stop" if complete else "length")
            return False
        return True

    # Guessing

    def _guess(self, sequence: Sequence) -> None:
        """Put guesses behind what is settled, if they are likely to pay."""
        most = min(MOST_GUESSES, self._most_logits - 1, sequence.limit_tokens - len(sequence.tokens) - 1)
        if most < 1 or not sequence.decoding or len(sequence.tokens) + most > self._rewindable_tokens:
            return
        if sequence.verifies_forced and sequence.matcher is not None and sequence.ticket.request.fast_forward:
            # What is forced is verified like a guess then, because its probabilities are wanted too.
            certain = sequence.matcher.upcoming(most)
            if certain:
                sequence.put_draft(certain)
                return
        lookup = sequence.lookup
        if lookup is None:
            return
        lookup.extend(sequence.tokens[lookup.size :])
        sequence.guess = guess = lookup.guess(most)
        most = len(guess.tokens) if sequence.matcher is None else sequence.matcher.longest(guess.tokens)
        length = best_length(lookup.chance(guess), self.costs, sequence.pending, most)
        if length:
            sequence.put_draft(guess.tokens[:length])
            sequence.drafted_tokens += length

    def _learn(self, sequence: Sequence, guesses: list[int], n_right: int) -> None:
        lookup, guess = sequence.lookup, sequence.guess
        sequence.guess = NO_GUESS
        if lookup is None or not guess.tokens:
            return
        if guesses:
            lookup.learn(guess, n_right, min(n_right + 1, len(guesses)))
        else:  # none were made; what would have become of the first is known all the same
            came = sequence.tokens[lookup.size] if lookup.size < len(sequence.tokens) else -1
            lookup.learn(guess, int(came == guess.tokens[0]), 1)

    # Telling

    def _emit(self, sequence: Sequence, text: str) -> None:
        ticket = sequence.ticket
        if not ticket.request.streamed:
            sequence.kept_text.append(text)
            return
        if sequence.kept_text:
            text = "".join(sequence.kept_text) + text
            sequence.kept_text.clear()
        logprobs = tuple(sequence.logprobs)
        sequence.logprobs.clear()
        self.urgent |= not sequence.shown
        sequence.shown = True
        self._outgoing.append((ticket.sink, Delta(sequence.choice, text, logprobs)))

    def finish(self, sequence: Sequence, reason: FinishReason, error: RequestError | None = None) -> None:
        """End a sequence, wherever it is, and send the last delta with what was held back."""
        self._scheduler.remove(sequence, keep=reason != "error")
        sequence.ticket.unfinished -= 1
        text = "".join(sequence.kept_text) + sequence.text.finish()
        timings = sequence.timings()
        self._metrics.note_request(timings, reason)
        stopped_by = sequence.text.found_stop
        delta = Delta(sequence.choice, text, tuple(sequence.logprobs), reason, timings, error, stopped_by)
        self._outgoing.append((sequence.ticket.sink, delta))
        self.urgent = True


def _count_right(sequence: Sequence) -> None:
    """A token was known before it was chosen: by lookup, or, when nothing was looked up, by the constraint."""
    if sequence.guess.tokens:
        sequence.accepted_tokens += 1
    else:
        sequence.forced_tokens += 1


def _tell_certain(sequence: Sequence, tokens: list[int], vocabulary: Vocabulary) -> None:
    """What could not have been otherwise, where the probability of each token is told."""
    if sequence.wants_logprobs:
        masked = 0.0 if sequence.ticket.request.sampling.masked_logprobs else None
        for token in tokens:
            sequence.logprobs.append(ShownLogprob(vocabulary.piece(token), TokenLogprob(token, 0.0, (), masked), ()))


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
        sequence = Sequence(ticket, choice, list(tokens), sampler, text, len(tokens), limit_tokens)
        if request.grammar is not None:
            _constrain(sequence, request.grammar, vocabulary)
        if _may_look_up(request):
            sequence.lookup = Lookup(tokens)
        sequences.append(sequence)
    return sequences


def _constrain(sequence: Sequence, grammar: Grammar, vocabulary: Vocabulary) -> None:
    """Give a sequence its matcher, and put what the text must begin with behind the prompt."""
    sequence.matcher = grammar.matcher()
    if sequence.verifies_forced or not sequence.ticket.request.fast_forward:
        return
    try:
        opening = sequence.matcher.forced(sequence.limit_tokens - len(sequence.tokens) - 1)
    except RequestError:
        sequence.matcher = grammar.matcher()  # it will give up again, when there is somebody to tell
        return
    trial = TextStream(sequence.ticket.request.stops)
    text, stopped = trial.feed_tokens(opening, vocabulary.piece, sequence.ticket.request.shown_controls)
    if stopped or sequence.matcher.stopped:
        sequence.matcher = grammar.matcher()  # ends before anything is chosen: let it happen with the first token
        return
    sequence.text = trial
    sequence.kept_text.append(text)
    sequence.tokens += opening
    sequence.sampler.observe(opening)
    sequence.n_generated = sequence.forced_tokens = len(opening)
    _tell_certain(sequence, opening, vocabulary)


def _may_look_up(request: GenerationRequest) -> bool:
    if request.lookup is not None:
        return request.lookup
    return request.grammar is not None or len(request.tokens) >= LONG_PROMPT_TOKENS
