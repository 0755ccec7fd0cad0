"""Random texts of a grammar, as a model with no opinion would write them."""

from __future__ import annotations

import random

import numpy as np

from engine.llama.constrain import Grammar
from engine.llama.tokens import Vocabulary


class Walker:
    """Chooses tokens at random from what a grammar allows, leaning towards those that close something."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._ends = sorted(vocabulary.end_tokens)
        self._pieces = [vocabulary.piece(token) for token in range(vocabulary.n_tokens)]
        self._closing = np.array([len(piece) < 4 and any(byte in b'"}]' for byte in piece) for piece in self._pieces])

    def text(self, grammar: Grammar, rng: random.Random, most: int = 250) -> bytes | None:
        """A text, or ``None`` when none was complete within so many tokens."""
        matcher, written = grammar.matcher(), b""
        for n in range(most):
            if matcher.stopped or (matcher.accepting and rng.random() < 0.5):
                return written
            forced = matcher.forced(100)
            if forced:
                written += b"".join(self._pieces[token] for token in forced)
                continue
            allowed = matcher.allowed()
            allowed[self._ends] = False
            closing = np.flatnonzero(allowed & self._closing)
            wanted = closing if closing.size and rng.random() < (0.5 if n < 80 else 0.95) else np.flatnonzero(allowed)
            if not wanted.size:  # a byte that the vocabulary has no token for
                return None
            token = int(wanted[rng.randrange(wanted.size)])
            assert matcher.allows(token)
            matcher.advance(token)
            written += self._pieces[token]
        return None
