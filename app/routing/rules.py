"""The rules: from counts to reasons in words, and from reasons to the kind of model that a prompt needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.gate.records import Flag, Tier
from app.routing.features import Features
from app.routing.thresholds import Thresholds

_REFUSAL = re.compile(
    r"\b(?:I(?:'m| am) (?:sorry|unable|not able)|I (?:can(?:no|')t|cannot|do not|don't) (?:\w+ ){0,3}"
    r"(?:help|assist|answer|provide|fulfil|do that|access|have (?:access|the ability|enough))|"
    r"I(?:'m| am) (?:just )?(?:an? )?(?:AI|language model)|as an? (?:AI|language model)|"
    r"(?:beyond|outside) my (?:abilities|capabilities)|"
    r"es tut mir leid|ich (?:kann|darf) (?:das|dies|dir|ihnen|leider)? ?(?:leider )?nicht)\b",
    re.IGNORECASE,
)
REFUSAL_CHARS = 240
"""A refusal stands at an answer's beginning."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is hard or doubtful, and how much that weighs."""

    points: int
    sentence: str


def of_prompt(found: Features, limits: Thresholds) -> tuple[Reason, ...]:
    """What makes a message hard before anybody answers it, the weightiest first."""
    reasons = [
        _many(found.words, limits.long_words, 3, "It is long: {0:,} words."),
        _many(found.code_lines, limits.code_lines, 4, "It has {0:,} lines of code."),
        _many(found.maths_marks, limits.maths_marks, 3, "It needs exact mathematics."),
        _many(found.conditions, limits.conditions, 2, "It sets {0:,} conditions at once."),
        _many(found.questions, limits.questions, 3, "It asks {0:,} questions at once."),
        Reason(1, "It asks for code.") if found.asks_for_code else None,
        Reason(1, "It asks to compare, plan or reason in steps.") if found.weighs else None,
    ]
    return tuple(sorted((reason for reason in reasons if reason is not None), key=lambda reason: -reason.points))


def of_context(prompt_tokens: int, n_ctx: int, limits: Thresholds) -> tuple[Reason, ...]:
    """What the prompt with its history and documents leaves of the context."""
    if prompt_tokens >= n_ctx:
        sentence = f"It takes {prompt_tokens:,} tokens, and the loaded model's context holds {n_ctx:,}."
        return (Reason(limits.cloud_points, sentence),)
    if prompt_tokens >= n_ctx * limits.context_ratio:
        return (Reason(limits.larger_points, f"It fills {prompt_tokens / n_ctx:.0%} of the loaded model's context."),)
    return ()


def of_attachments(tokens: int, n_ctx: int, limits: Thresholds) -> tuple[Reason, ...]:
    """Whether what is attached can be read as a whole."""
    if tokens < n_ctx:
        return ()
    sentence = f"The attached documents take about {tokens:,} tokens, and the loaded model's context holds {n_ctx:,}."
    return (Reason(limits.cloud_points, sentence),)


def of_confidence(mean_chance: float, worst_chance: float, limits: Thresholds) -> tuple[Reason, ...]:
    """How sure the model was of its words, once there are enough of them."""
    if mean_chance < limits.mean_chance:
        sentence = f"The model was unsure: it gave its own words a chance of {mean_chance:.0%} on average."
        return (Reason(limits.larger_points, sentence),)
    if worst_chance < limits.window_chance:
        sentence = f"The model was unsure in one place: it gave a stretch of its words a chance of {worst_chance:.0%}."
        return (Reason(limits.larger_points, sentence),)
    return ()


def of_refusal(beginning: str, limits: Thresholds) -> tuple[Reason, ...]:
    """Whether the answer says that it is none."""
    if _REFUSAL.search(beginning[:REFUSAL_CHARS]) is None:
        return ()
    return (Reason(limits.larger_points, "The model says that it cannot do this."),)


def of_end(finish_reason: str | None, tokens: int | None, limits: Thresholds) -> tuple[Reason, ...]:
    """Whether the answer was cut off by its limit."""
    if finish_reason != "length":
        return ()
    after = "" if tokens is None else f" after {tokens:,} tokens"
    return (Reason(limits.larger_points, f"The answer was cut off{after}: it reached its limit."),)


def tier(reasons: Sequence[Reason], limits: Thresholds) -> Tier:
    """What so many points need."""
    points = sum(reason.points for reason in reasons)
    if points >= limits.cloud_points:
        return "cloud"
    return "larger" if points >= limits.larger_points else "local"


def flag(reasons: Sequence[Reason], limits: Thresholds) -> Flag | None:
    """The flag of an answer; ``None`` when the loaded model seems good enough."""
    needed = tier(reasons, limits)
    if needed == "local":
        return None
    return Flag(needed, tuple(reason.sentence for reason in sorted(reasons, key=lambda reason: -reason.points)))


def _many(count: int, limit: int, times: int, sentence: str) -> Reason | None:
    """Two points from ``limit`` on, three from ``times`` as many."""
    if count < limit:
        return None
    return Reason(3 if count >= limit * times else 2, sentence.format(count))
