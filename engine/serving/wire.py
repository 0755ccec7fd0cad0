"""Requests of the OpenAI API as records: every field checked, nothing that would change the answer ignored.

Pure: bytes in, records out, or a ``RequestError`` whose sentence names the field. Answers are built in
``answers.py``; the model's vocabulary and context are the API's to ask.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from engine.errors import RequestError
from engine.llama.sampler import SamplingSettings
from engine.llama.template import ChatMessage

MAX_CHOICES: Final = 8
MAX_PROMPTS: Final = 16
MAX_STOPS: Final = 16
MAX_STOP_CHARS: Final = 256
MAX_LOGPROBS: Final = 20
MAX_BIASES: Final = 1024
_MAX_WHOLE: Final = (1 << 31) - 1

_HARMLESS: Final = frozenset(
    {
        "model",
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "parallel_tool_calls",
        "timings_per_token",
        "return_progress",
        "verbosity",
    }
)
"""They change nothing about the text."""

_NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = {
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "web_search_options": (),
    "reasoning_effort": (),
    "best_of": (1,),
    "suffix": ("",),
    "grammar": ("",),
    "json_schema": (),
    "typical_p": (1,),
    "mirostat": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "top_n_sigma": (-1,),
}
"""Known, not supported: accepted as null or with these values, which ask for nothing."""


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


@dataclass(frozen=True, slots=True)
class ChatCall:
    """``POST /v1/chat/completions``."""

    messages: tuple[ChatMessage, ...]
    options: Options


@dataclass(frozen=True, slots=True)
class CompletionCall:
    """``POST /v1/completions``. Each prompt is text or tokens."""

    prompts: tuple[str | tuple[int, ...], ...]
    echo: bool
    options: Options


@dataclass(frozen=True, slots=True)
class TokenizeCall:
    """``POST /tokenize``: text, or the messages of a chat."""

    content: str
    messages: tuple[ChatMessage, ...] | None
    add_special: bool
    parse_special: bool


class Fields:
    """The fields of a JSON object, taken out one by one with their checks; what is left over is unknown."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: value for name, value in values.items() if value is not None}

    def take(self, name: str) -> Any:
        """The raw value, or ``None``."""
        return self._values.pop(name, None)

    def flag(self, name: str, default: bool) -> bool:
        """A boolean."""
        value = self.take(name)
        if value is None:
            return default
        return value if isinstance(value, bool) else _refuse(name, "must be true or false")

    def text(self, name: str, default: str) -> str:
        """A string."""
        value = self.take(name)
        if value is None:
            return default
        return value if isinstance(value, str) else _refuse(name, "must be a string")

    def whole(self, name: str, default: int | None, least: int, most: int) -> int | None:
        """An integer within limits."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) is not int:
            _refuse(name, "must be a whole number")
        if not least <= value <= most:
            _refuse(name, f"must lie between {least} and {most}")
        return int(value)

    def number(self, name: str, default: float, least: float, most: float) -> float:
        """A number within limits."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) not in (int, float):
            _refuse(name, "must be a number")
        if not least <= value <= most:
            _refuse(name, f"must lie between {least:g} and {most:g}")
        return float(value)

    def finish(self) -> None:
        """Refuse what nobody has taken. Raises: ``RequestError`` naming the first such field."""
        for name, value in self._values.items():
            if name in _HARMLESS:
                continue
            if name not in _NEUTRAL:
                raise RequestError("unknown_parameter", f"There is no parameter {name[:64]!r} here.", param=name[:64])
            if not any(value == neutral and type(value) is type(neutral) for neutral in _NEUTRAL[name]):
                raise RequestError(
                    "unsupported_parameter",
                    f"{name!r} is not supported by this worker.",
                    "It would change the answer, so it is refused rather than ignored.",
                    param=name,
                )


def parse_object(body: bytes) -> Fields:
    """A JSON object. Raises: ``RequestError`` for anything else."""
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise RequestError("invalid_json", "The body is JSON nested too deeply.") from error
    except ValueError as error:
        raise RequestError("invalid_json", f"The body is not JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise RequestError("invalid_json", "The body must be a JSON object.")
    return Fields(value)


def parse_chat(body: bytes, defaults: SamplingSettings) -> ChatCall:
    """A chat completion request."""
    fields = parse_object(body)
    messages = _messages(fields.take("messages"))
    wants = fields.flag("logprobs", False)
    top = fields.whole("top_logprobs", None, 0, MAX_LOGPROBS)
    if top is not None and not wants:
        _refuse("top_logprobs", "needs logprobs to be true")
    call = ChatCall(messages, _options(fields, defaults, (top or 0) if wants else None))
    fields.finish()
    return call


def parse_completion(body: bytes, defaults: SamplingSettings) -> CompletionCall:
    """A plain completion request."""
    fields = parse_object(body)
    prompts = _prompts(fields.take("prompt"))
    echo = fields.flag("echo", False)
    logprobs = fields.whole("logprobs", None, 0, MAX_LOGPROBS)
    if echo and logprobs is not None:
        _refuse("echo", "together with logprobs is not supported; the prompt's own log-probabilities are not computed")
    call = CompletionCall(prompts, echo, _options(fields, defaults, logprobs))
    fields.finish()
    return call


def parse_tokenize(body: bytes) -> TokenizeCall:
    """A tokenize request: ``content`` or ``messages``."""
    fields = parse_object(body)
    messages = fields.take("messages")
    call = TokenizeCall(
        fields.text("content", ""),
        None if messages is None else _messages(messages),
        fields.flag("add_special", False),
        fields.flag("parse_special", False),
    )
    fields.finish()
    return call


def parse_detokenize(body: bytes) -> tuple[int, ...]:
    """A detokenize request."""
    fields = parse_object(body)
    tokens = fields.take("tokens")
    if not _is_tokens(tokens):
        _refuse("tokens", "must be a list of token numbers")
    fields.finish()
    return tuple(tokens)


def _options(fields: Fields, defaults: SamplingSettings, top_logprobs: int | None) -> Options:
    stream_options = fields.take("stream_options")
    include_usage = False
    if stream_options is not None:
        if not isinstance(stream_options, dict):
            _refuse("stream_options", "must be an object")
        include_usage = Fields(stream_options).flag("include_usage", False)
    max_tokens = fields.whole("max_tokens", None, 1, _MAX_WHOLE)
    max_tokens = fields.whole("max_completion_tokens", max_tokens, 1, _MAX_WHOLE)
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
    )


def _sampling(fields: Fields, defaults: SamplingSettings, top_logprobs: int | None) -> SamplingSettings:
    top_k = fields.whole("top_k", defaults.top_k, -1, _MAX_WHOLE)
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
    )


def _biases(value: Any) -> dict[int, float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MAX_BIASES:
        _refuse("logit_bias", f"must be an object of at most {MAX_BIASES} tokens")
    biases: dict[int, float] = {}
    for key, bias in value.items():
        if not (key.isascii() and key.isdecimal() and len(key) <= 9):
            _refuse("logit_bias", "must have token numbers as keys")
        if type(bias) not in (int, float) or not -100 <= bias <= 100:
            _refuse("logit_bias", "must have numbers between -100 and 100 as values")
        biases[int(key)] = float(bias)
    return biases


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        _refuse("stop", "must be a string or a list of strings")
    if len(stops) > MAX_STOPS:
        _refuse("stop", f"holds {len(stops)} strings; {MAX_STOPS} are the most")
    if any(not 0 < len(stop) <= MAX_STOP_CHARS for stop in stops):
        _refuse("stop", f"must hold strings of 1 to {MAX_STOP_CHARS} characters")
    return tuple(stops)


def _prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        _refuse("prompt", "must be a string, a list of token numbers, or a list of those")
    if _is_tokens(value):
        return (tuple(value),)
    if len(value) > MAX_PROMPTS:
        _refuse("prompt", f"holds {len(value)} prompts; {MAX_PROMPTS} are the most")
    if not all(isinstance(item, str) or (_is_tokens(item) and item) for item in value):
        _refuse("prompt", "must be a string, a list of token numbers, or a list of those")
    return tuple(item if isinstance(item, str) else tuple(item) for item in value)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(token) is int and 0 <= token <= _MAX_WHOLE for token in value)


def _messages(value: Any) -> tuple[ChatMessage, ...]:
    if not isinstance(value, list) or not value:
        _refuse("messages", "must be a list with at least one message")
    return tuple(_message(item, f"messages[{index}]") for index, item in enumerate(value))


def _message(value: Any, where: str) -> ChatMessage:
    if not isinstance(value, dict):
        _refuse(where, "must be an object")
    role = value.get("role")
    if role not in ("system", "developer", "user", "assistant"):
        _refuse(f"{where}.role", "must be system, developer, user or assistant")
    for unknown in ("tool_calls", "function_call", "audio"):
        if value.get(unknown):
            where = f"{where}.{unknown}"
            raise RequestError("unsupported_parameter", f"{where} is not supported.", param=where)
    name = value.get("name")
    if name is not None and not isinstance(name, str):
        _refuse(f"{where}.name", "must be a string")
    # Templates know no developer; OpenAI's clients mean what others call system.
    return ChatMessage("system" if role == "developer" else role, _content(value.get("content"), where), name)


def _content(value: Any, where: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        _refuse(f"{where}.content", "must be a string or a list of text parts")
    texts: list[str] = []
    for index, part in enumerate(value):
        here = f"{where}.content[{index}]"
        if not isinstance(part, dict):
            _refuse(here, "must be an object")
        if part.get("type") != "text":
            _refuse(f"{here}.type", "must be text; this worker takes no other kind of content")
        text = part.get("text")
        if not isinstance(text, str):
            _refuse(f"{here}.text", "must be a string")
        texts.append(text)
    return "".join(texts)


def check_tokens(tokens: Sequence[int], n_vocab: int, param: str) -> None:
    """Raises: ``RequestError`` when a token does not exist in the model's vocabulary."""
    if any(token >= n_vocab for token in tokens):
        _refuse(param, f"names a token outside the vocabulary of {n_vocab}")


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


def _refuse_constant(name: str) -> NoReturn:
    raise RequestError("invalid_json", f"The body holds {name}, which is not JSON.")


def _refuse(param: str, what: str) -> NoReturn:
    raise RequestError("invalid_parameter", f"{param} {what}.", param=param)
