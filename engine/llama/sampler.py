"""From logits to a token, in the order that costs least: the few best are found first, all else works on those few.

Order: logit bias, penalties, top-k, top-p, min-p, temperature, draw; the same as llama-server's default chain. Pure
numpy on a view of the logits; no memory of the size of the vocabulary is made when ``top_k`` is set. Whether a token
ends the text is the scheduler's question.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import RequestError
from engine.llama.context import Logits

_BLOCK: Final = 64
_MAX_FEW: Final = 4096
"""Beyond so many candidates sorting the whole vocabulary is no dearer."""


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


class Sampler:
    """The sampling state of one sequence: its random numbers and its penalty window.

    Results depend on settings, seed and logits alone, never on other sequences. One thread.
    """

    def __init__(self, settings: SamplingSettings, *, banned: Iterable[int] = (), stream: int = 0) -> None:
        """``banned`` tokens are never chosen; ``stream`` numbers the choices that share a seed."""
        self._settings = settings
        self._random = random.Random(f"{settings.seed}/{stream}")
        self._greedy = settings.temperature <= 0.0
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

    def sample(self, logits: Logits) -> tuple[int, TokenLogprob | None]:
        """Choose a token. Alters ``logits`` in place when there is a bias or a penalty."""
        distribution = self._logprobs(logits) if self._settings.top_logprobs is not None else None
        if self._bias_tokens.size:
            logits[self._bias_tokens] += self._bias_values
        if self._penalised:
            self._penalise(logits)
        token = int(logits.argmax()) if self._greedy else self._draw(logits)
        if math.isnan(logits[token]):
            raise RequestError("model_broken", "The model computed something that is not a number.", status=500)
        if self._penalised:
            self._remember(token)
        if distribution is None:
            return token, None
        logprobs, top = distribution
        return token, TokenLogprob(token, float(logprobs[token]), top)

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
        tokens = self._candidates(logits)
        if not tokens.size:  # not a number compares as neither more nor less
            return int(logits.argmax())
        values = logits[tokens].astype(np.float64)
        values -= values[0]
        keep = len(values)
        if settings.top_p < 1.0:
            cumulative = np.cumsum(np.exp(values))
            total = cumulative[-1] if settings.top_k > 0 else self._mass(logits)
            keep = int(np.searchsorted(cumulative, settings.top_p * total)) + 1
        if settings.min_p > 0.0:
            keep = min(keep, int(np.searchsorted(-values, -math.log(settings.min_p), side="right")))
        weights = np.cumsum(np.exp(values[: max(1, keep)] / settings.temperature))
        index = int(np.searchsorted(weights, self._random.random() * weights[-1], side="right"))
        return int(tokens[min(index, len(weights) - 1)])

    def _candidates(self, logits: Logits) -> NDArray[np.intp]:
        """The tokens that can be drawn, best first; at least all those that top-k, top-p and min-p would leave."""
        settings = self._settings
        size = len(logits)
        if settings.top_k > 0:
            return most_likely(logits, min(settings.top_k, size))
        floor = -math.inf
        if settings.min_p > 0.0:
            floor = float(logits.max()) + math.log(settings.min_p)
            chosen = np.flatnonzero(logits >= floor)
            return chosen[np.lexsort((chosen, -logits[chosen]))]
        if settings.top_p < 1.0:
            few = 256
            needed = settings.top_p * self._mass(logits)
            while few <= _MAX_FEW and few < size:
                best = most_likely(logits, few)
                values = logits[best].astype(np.float64)
                if np.exp(values - values[0]).sum() >= needed:
                    return best
                few *= 4
        return most_likely(logits, size)

    @staticmethod
    def _mass(logits: Logits) -> float:
        """The sum of exp(logit - best logit): the softmax's denominator."""
        return float(np.exp(logits - logits.max()).sum(dtype=np.float64))


def most_likely(logits: Logits, count: int) -> NDArray[np.intp]:
    """The ``count`` best tokens, best first, ties by token; exact.

    The k-th best of the blocks' maxima is a lower bound for the k-th best of all, and finding maxima of blocks is much
    cheaper than partitioning the vocabulary.
    """
    size = len(logits)
    blocks = size // _BLOCK
    if 0 < count < blocks // 2:
        maxima = logits[: blocks * _BLOCK].reshape(blocks, _BLOCK).max(axis=1)
        threshold = np.partition(maxima, blocks - count)[blocks - count]
        found = np.flatnonzero(logits >= threshold)
    else:
        found = np.arange(size)
    # lexsort's last key is the first to decide.
    return found[np.lexsort((found, -logits[found]))[:count]]
