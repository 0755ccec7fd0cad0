"""What chat and plain completions have in common: lengths, stops, sampling. Pure."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from engine.llama.constrain import Constraint
from engine.llama.sampler import SamplingSettings
from engine.serving.openai.structured import take_constraint
from engine.serving.openai.wire_fields import MAX_WHOLE, Fields, refuse
from engine.serving.sequence import Priority

MAX_CHOICES: Final = 8
MAX_CACHE_KEY_CHARS: Final = 256
MAX_USER_CHARS: Final = 256
MAX_STOPS: Final = 16
MAX_STOP_CHARS: Final = 256
MAX_BIASES: Final = 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What chat and plain completions have in common."""

    model: str
    stream: bool
    include_usage: bool
    choices: int
    max_tokens: int | None
    sampling: SamplingSettings
    stops: tuple[str, ...]
    ignore_end: bool
    reuse_prefix: bool
    constraint: Constraint | None = None
    """What the answer's text must be."""
    lookup: bool | None = None
    """Whether to guess by prompt lookup; ``None``: where it pays."""
    fast_forward: bool = True
    """Text that the constraint forces is not decoded token by token."""
    forced_logprobs: bool = True
    """What is forced gets log-probabilities of its own; otherwise it is told as certain."""
    priority: Priority = "interactive"
    user: str = ""
    """Who asks; users take turns."""
    traced: bool = False
    """The steps of the engine while this was here are told at the end."""
    cache_key: str = ""
    """The conversation, by which what is kept of it can be forgotten (OpenAI's ``prompt_cache_key``)."""


def parse_options(fields: Fields, defaults: SamplingSettings, top_logprobs: int | None) -> Options:
    """Takes its fields. Raises: ``RequestError`` naming the first that is wrong."""
    stream_options = fields.take("stream_options")
    include_usage = False
    if stream_options is not None:
        if not isinstance(stream_options, dict):
            refuse("stream_options", "must be an object")
        include_usage = Fields(stream_options).flag("include_usage", False)
    max_tokens = fields.whole("max_tokens", None, 1, MAX_WHOLE)
    max_tokens = fields.whole("max_completion_tokens", max_tokens, 1, MAX_WHOLE)
    choices = fields.whole("n", 1, 1, MAX_CHOICES)
    return Options(
        model=fields.text("model", ""),
        stream=fields.flag("stream", False),
        include_usage=include_usage,
        choices=choices or 1,
        max_tokens=max_tokens,
        sampling=_sampling(fields, defaults, top_logprobs),
        stops=_stops(fields.take("stop")),
        ignore_end=fields.flag("ignore_eos", False),
        reuse_prefix=fields.flag("cache_prompt", True),
        cache_key=take_cache_key(fields) or "",
        priority=_priority(fields),
        user=fields.text("user", "")[:MAX_USER_CHARS],
        traced=fields.flag("trace", False),
        constraint=take_constraint(fields),
        lookup=_choice_or_none(fields, "prompt_lookup"),
        fast_forward=fields.flag("fast_forward", True),
        forced_logprobs=fields.flag("forced_logprobs", True),
    )


def _priority(fields: Fields) -> Priority:
    value = fields.take("priority")
    if value in (None, "interactive"):
        return "interactive"
    return "batch" if value == "batch" else refuse("priority", "must be interactive or batch")


def _choice_or_none(fields: Fields, name: str) -> bool | None:
    value = fields.take(name)
    return value if value is None or isinstance(value, bool) else refuse(name, "must be true or false")


def take_cache_key(fields: Fields) -> str | None:
    """The conversation's name, ``None`` when none is given."""
    key = fields.text("prompt_cache_key", "")
    if len(key) > MAX_CACHE_KEY_CHARS:
        refuse("prompt_cache_key", f"must have at most {MAX_CACHE_KEY_CHARS} characters")
    return key or None


def _sampling(fields: Fields, defaults: SamplingSettings, top_logprobs: int | None) -> SamplingSettings:
    masked = fields.flag("masked_logprobs", False)
    if masked and top_logprobs is None:
        refuse("masked_logprobs", "needs logprobs")
    top_k = fields.whole("top_k", defaults.top_k, -1, MAX_WHOLE)
    penalty_tokens = fields.whole("repeat_last_n", defaults.penalty_tokens, -1, 1 << 20)
    seed = fields.whole("seed", None, -(1 << 63), (1 << 64) - 1)
    return SamplingSettings(
        temperature=fields.number("temperature", defaults.temperature, 0.0, 5.0),
        top_k=max(0, top_k or 0),
        top_p=fields.number("top_p", defaults.top_p, 0.0, 1.0),
        min_p=fields.number("min_p", defaults.min_p, 0.0, 1.0),
        repeat_penalty=fields.number("repeat_penalty", defaults.repeat_penalty, 0.01, 10.0),
        frequency_penalty=fields.number("frequency_penalty", defaults.frequency_penalty, -2.0, 2.0),
        presence_penalty=fields.number("presence_penalty", defaults.presence_penalty, -2.0, 2.0),
        penalty_tokens=penalty_tokens if penalty_tokens is not None else defaults.penalty_tokens,
        seed=secrets.randbits(63) if seed is None or seed == -1 else seed,
        logit_bias=_biases(fields.take("logit_bias")),
        top_logprobs=top_logprobs,
        masked_logprobs=masked,
    )


def _biases(value: Any) -> dict[int, float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_BIASES:
        refuse("logit_bias", f"must be an object of at most {MAX_BIASES} tokens")
    biases: dict[int, float] = {}
    for key, bias in value.items():
        if not (key.isascii() and key.isdecimal() and len(key) <= 9):
            refuse("logit_bias", "must have token numbers as keys")
        if type(bias) not in (int, float) or not -100 <= bias <= 100:
            refuse("logit_bias", "must have numbers between -100 and 100 as values")
        biases[int(key)] = float(bias)
    return biases


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        refuse("stop", "must be a string or a list of strings")
    if len(stops) > MAX_STOPS:
        refuse("stop", f"holds {len(stops)} strings; {MAX_STOPS} are the most")
    if any(not 0 < len(stop) <= MAX_STOP_CHARS for stop in stops):
        refuse("stop", f"must hold strings of 1 to {MAX_STOP_CHARS} characters")
    return tuple(stops)


def defaults_from_metadata(values: Mapping[str, str | None]) -> SamplingSettings:
    """The sampling that a model file recommends (``general.sampling.*``), over ours."""
    ours = SamplingSettings()

    def read(name: str, default: float, most: float) -> float:
        try:
            found = float(values.get(name) or default)
        except ValueError:
            return default
        return found if math.isfinite(found) and 0.0 <= found <= most else default

    return SamplingSettings(
        temperature=read("temp", ours.temperature, 5.0),
        top_k=int(read("top_k", ours.top_k, 1000)),
        top_p=read("top_p", ours.top_p, 1.0),
        min_p=read("min_p", ours.min_p, 1.0),
    )
