"""From logits to a token, in the order that costs least: the few best are found first, all else works on those few.

Order: logit bias, penalties, top-k, top-p, min-p, temperature, draw; the same as llama-server's default chain. A token
that a constraint refuses is drawn again, from what it allows. Pure numpy on a view of the logits; no memory of the size
of the vocabulary is made when ``top_k`` is set. Whether a token ends the text is the scheduler's question.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import RequestError
from engine.llama.context import Logits

_ROWS: Final = 64
_BINS: Final = 512
_BINS_PER_UNIT: Final = 16.0
_FEW: Final = 256
"""Up to so many candidates are worked on in plain Python. Between two steps of a model the caches are cold, and a dozen
calls into numpy cost more there than the arithmetic itself."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """What one request asks of sampling. Neutral values switch a step off."""

    temperature: float = 0.8
    """0 is greedy."""
    top_k: int = 40
    """0 is off."""
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    penalty_tokens: int = 64
    """The penalties look back so far, prompt included; -1 for all."""
    seed: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    top_logprobs: int | None = None
    """``None``: no log-probabilities; 0: of the chosen token alone."""
    masked_logprobs: bool = False
    """Together with the model's own log-probabilities, those under the constraint."""

    @property
    def penalised(self) -> bool:
        """Whether any penalty does anything."""
        return self.penalty_tokens != 0 and (
            self.repeat_penalty != 1.0 or self.frequency_penalty != 0.0 or self.presence_penalty != 0.0
        )


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """The log-probability of a chosen token, and of the best alternatives, under the model's own distribution."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]
    masked_logprob: float | None = None
    """Under the model's distribution over what the constraint allows. The difference to ``logprob`` is the logarithm of
    the probability that the model gives to all that is allowed: far apart, the constraint fights the model."""


class Allowance(Protocol):
    """The part of ``engine.llama.constrain.Matcher`` that decides what may come next."""

    def allows(self, token: int) -> bool: ...
    def allowed(self) -> NDArray[np.bool_]: ...


@dataclass(frozen=True, slots=True)
class _Distribution:
    """What the model gave to every token, kept while the logits are altered."""

    logprobs: Logits
    top: tuple[tuple[int, float], ...]
    allowed: float | None = None
    """Logarithm of what it gave to all that the constraint allows; ``None`` when nobody asked."""

    def of(self, token: int) -> TokenLogprob:
        own = float(self.logprobs[token])
        # Nothing that rounding would make more likely than certain.
        masked = None if self.allowed is None else min(0.0, own - self.allowed) if self.allowed > -math.inf else own
        return TokenLogprob(token, own, self.top, masked)


class Sampler:
    """The sampling state of one sequence: its random numbers and its penalty window.

    Results depend on settings, seed and logits alone, never on other sequences. One thread.
    """

    def __init__(self, settings: SamplingSettings, *, banned: Iterable[int] = (), stream: int = 0) -> None:
        """``banned`` tokens are never chosen; ``stream`` numbers the choices that share a seed."""
        self._settings = settings
        self._random = random.Random(f"{settings.seed}/{stream}")
        # What 32 bits cannot tell from 0 would be divided by.
        self._greedy = settings.temperature < float(np.finfo(np.float32).tiny)
        bias = dict(settings.logit_bias)
        bias.update((token, -math.inf) for token in banned)
        self._bias_tokens = np.fromiter(bias.keys(), np.intp, len(bias))
        self._bias_values = np.fromiter(bias.values(), np.float32, len(bias))
        self._penalised = settings.penalised
        self._window: deque[int] = deque(maxlen=settings.penalty_tokens if settings.penalty_tokens > 0 else None)
        self._counts: dict[int, int] = {}

    def observe(self, tokens: Sequence[int]) -> None:
        """Put the prompt's tokens into the penalty window."""
        if self._penalised:
            for token in tokens[-self._window.maxlen :] if self._window.maxlen else tokens:
                self._remember(token)

    def sample(self, logits: Logits, constraint: Allowance | None = None) -> tuple[int, TokenLogprob | None]:
        """Choose a token that the constraint allows. Alters ``logits`` in place when there is a bias, a penalty, or a
        token that is not allowed.

        Raises: ``RequestError`` when the model's numbers are none, or the constraint gives up.
        """
        distribution = self._distribution(logits, constraint) if self._settings.top_logprobs is not None else None
        if self._bias_tokens.size:
            logits[self._bias_tokens] += self._bias_values
        if self._penalised:
            self._penalise(logits)
        token = self._choose(logits)
        if constraint is not None and not constraint.allows(token):
            np.copyto(logits, -np.inf, where=~constraint.allowed())
            token = self._choose(logits)
            if logits[token] == -np.inf:
                raise RequestError("constraint_failed", "The constraint allows nothing that could be chosen here.")
        if self._penalised:
            self._remember(token)
        return token, distribution.of(token) if distribution is not None else None

    def logprob(self, logits: Logits, token: int, constraint: Allowance | None = None) -> TokenLogprob | None:
        """Of a token that was not chosen but given; ``None`` when nobody asked. Leaves everything as it is."""
        if self._settings.top_logprobs is None:
            return None
        return self._distribution(logits, constraint).of(token)

    def _choose(self, logits: Logits) -> int:
        token = int(logits.argmax()) if self._greedy else self._draw(logits)
        if math.isnan(logits[token]):
            raise RequestError("model_broken", "The model computed something that is not a number.", status=500)
        return token

    def _distribution(self, logits: Logits, constraint: Allowance | None) -> _Distribution:
        logprobs, top = self._logprobs(logits)
        if not self._settings.masked_logprobs:
            return _Distribution(logprobs, top)
        if constraint is None:
            return _Distribution(logprobs, top, 0.0)
        mass = np.exp(logprobs[constraint.allowed()]).sum(dtype=np.float64)
        return _Distribution(logprobs, top, math.log(mass) if mass > 0.0 else -math.inf)

    def _logprobs(self, logits: Logits) -> tuple[Logits, tuple[tuple[int, float], ...]]:
        best = logits.max()
        logprobs = logits - (best + np.log(np.exp(logits - best).sum(dtype=np.float64)).astype(np.float32))
        count = self._settings.top_logprobs or 0
        if not count:
            return logprobs, ()
        tokens = most_likely(logits, count)
        return logprobs, tuple((int(token), float(logprobs[token])) for token in tokens)

    def _penalise(self, logits: Logits) -> None:
        """Source: ``llama_sampler_penalties_apply``."""
        if not self._counts:
            return
        settings = self._settings
        tokens = np.fromiter(self._counts.keys(), np.intp, len(self._counts))
        counts = np.fromiter(self._counts.values(), np.float32, len(self._counts))
        values = logits[tokens]
        if settings.repeat_penalty != 1.0:
            values = np.where(values <= 0, values * settings.repeat_penalty, values / settings.repeat_penalty)
        logits[tokens] = values - counts * settings.frequency_penalty - settings.presence_penalty

    def _remember(self, token: int) -> None:
        window, counts = self._window, self._counts
        if window.maxlen is not None and len(window) == window.maxlen:
            oldest = window[0]
            if counts[oldest] == 1:
                del counts[oldest]
            else:
                counts[oldest] -= 1
        window.append(token)
        counts[token] = counts.get(token, 0) + 1

    def _draw(self, logits: Logits) -> int:
        settings = self._settings
        if settings.top_k <= 0 and settings.top_p >= 1.0 and settings.min_p <= 0.0:
            tempered = (logits - logits.max()) / np.float32(settings.temperature)
            return self._pick(np.cumsum(np.exp(tempered), dtype=np.float64))
        tokens, total = self._candidates(logits)
        if not tokens.size:  # not a number compares as neither more nor less
            return int(logits.argmax())
        if tokens.size <= _FEW:
            return int(tokens[self._draw_of_few(logits[tokens].tolist(), total)])
        values = logits[tokens].astype(np.float64)
        values -= values[0]
        keep = len(values)
        if settings.top_p < 1.0:
            cumulative = np.cumsum(np.exp(values))
            keep = int(np.searchsorted(cumulative, settings.top_p * (total or cumulative[-1]))) + 1
        if settings.min_p > 0.0:
            keep = min(keep, int(np.searchsorted(-values, -math.log(settings.min_p), side="right")))
        return int(tokens[self._pick(np.cumsum(np.exp(values[: max(1, keep)] / settings.temperature)))])

    def _draw_of_few(self, values: list[float], total: float) -> int:
        """A place among the candidates' logits, best first. The same arithmetic as in ``_draw``."""
        settings, best = self._settings, values[0]
        weights = [math.exp(value - best) for value in values]
        goal = settings.top_p * (total or sum(weights)) if settings.top_p < 1.0 else math.inf
        keep, reached = 0, 0.0
        for weight in weights:
            if weight < settings.min_p and keep:
                break
            keep += 1
            reached += weight
            if reached >= goal:
                break
        tempered = list(accumulate([math.exp((value - best) / settings.temperature) for value in values[:keep]]))
        return min(bisect_right(tempered, self._random.random() * tempered[-1]), keep - 1)

    def _pick(self, cumulative: NDArray[np.float64]) -> int:
        """An index, drawn by the sums of the weights up to it."""
        index = int(np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right"))
        return min(index, len(cumulative) - 1)

    def _candidates(self, logits: Logits) -> tuple[NDArray[np.intp], float]:
        """The tokens that can be drawn, best first, at least all those that top-k, top-p and min-p would leave; and
        the weight of all tokens, relative to the best one's, where top-p goes by it."""
        settings = self._settings
        if settings.top_k > 0:
            return most_likely(logits, min(settings.top_k, len(logits))), 0.0
        best = logits.max()
        floor = best + np.float32(math.log(settings.min_p)) if settings.min_p > 0.0 else np.float32(-math.inf)
        total = 0.0
        if settings.top_p < 1.0:
            # A histogram of the weights by distance from the best says how deep the nucleus reaches.
            behind = best - logits
            weights = np.exp(-behind)
            bins = np.minimum(behind * np.float32(_BINS_PER_UNIT), np.float32(_BINS - 1)).astype(np.intp)
            sums = np.cumsum(np.bincount(bins, weights, _BINS))
            total = float(sums[-1])
            last = int(np.searchsorted(sums, settings.top_p * total))
            if last < _BINS - 1:
                floor = max(floor, best - np.float32((last + 1) / _BINS_PER_UNIT))
        found = np.flatnonzero(logits >= floor)
        return found[np.argsort(-logits[found], kind="stable")], total


def most_likely(logits: Logits, count: int) -> NDArray[np.intp]:
    """The ``count`` best tokens, best first, ties by token; exact. Fewer, where the others are ruled out (``-inf``).

    The k-th best of the columns' maxima is a lower bound for the k-th best of all, seldom far below it, and finding
    maxima of columns is much cheaper than partitioning the vocabulary.
    """
    size = len(logits)
    columns = size // _ROWS
    if 0 < count < columns // 2:
        maxima = np.maximum.reduce(logits[: columns * _ROWS].reshape(_ROWS, columns), axis=0)
        maxima.partition(columns - count)
        bound = maxima[columns - count]
        found = (logits >= bound if bound > -np.inf else logits > bound).nonzero()[0]
    else:
        found = np.arange(size)
    best: NDArray[np.intp] = found[(-logits[found]).argsort(kind="stable")[:count]]
    return best
