"""Watches one local answer from its prompt to its end, and says what makes it doubtful as soon as that shows. Pure."""

from __future__ import annotations

from app.gate.records import Flag
from app.providers.provider import Chunk
from app.routing import rules
from app.routing.confidence import Confidence
from app.routing.features import features
from app.routing.rules import Reason
from app.routing.thresholds import Thresholds

_EVERY_TOKENS = 16
"""Looked at so often while it is written, so that the line under an answer does not flicker."""


class AnswerWatch:
    """``flag`` holds what is known by now; ``take`` tells when it changed."""

    def __init__(
        self,
        asked: str,
        prompt_tokens: int,
        n_ctx: int,
        limits: Thresholds,
        attached_tokens: int = 0,
    ) -> None:
        """``asked``: the person's last message, without the documents that it is about."""
        self._limits = limits
        self._confidence = Confidence(limits.window_tokens)
        self._beginning = ""
        self._looked_at = 0
        self._prompt = (
            *rules.of_attachments(attached_tokens, n_ctx, limits),
            *rules.of_context(prompt_tokens, n_ctx, limits),
            *rules.of_prompt(features(asked), limits),
        )
        self._doubt: tuple[Reason, ...] = ()
        self._refusal: tuple[Reason, ...] = ()
        self._end: tuple[Reason, ...] = ()
        self.flag: Flag | None = None
        self._judge()

    def take(self, chunk: Chunk) -> bool:
        """The next piece of the answer; true when ``flag`` changed."""
        for logprob in chunk.logprobs:
            self._confidence.take(logprob)
        if chunk.text and len(self._beginning) < rules.REFUSAL_CHARS:
            self._beginning += chunk.text
        if chunk.finish_reason is not None:
            self._end = rules.of_end(chunk.finish_reason, self._confidence.tokens or None, self._limits)
        elif self._confidence.tokens < self._looked_at + _EVERY_TOKENS:
            return False
        self._looked_at = self._confidence.tokens
        return self._look()

    def _look(self) -> bool:
        if not self._refusal:
            self._refusal = rules.of_refusal(self._beginning, self._limits)
        if not self._doubt and self._confidence.tokens >= self._limits.least_tokens:
            # Said once: a number that changes under the eyes of a reader says less than one that stays.
            mean, worst = self._confidence.mean_chance, self._confidence.worst_chance
            self._doubt = rules.of_confidence(mean, worst, self._limits)
        return self._judge()

    def _judge(self) -> bool:
        reasons = (*self._end, *self._refusal, *self._doubt, *self._prompt)
        before, self.flag = self.flag, rules.flag(reasons, self._limits)
        return self.flag != before
