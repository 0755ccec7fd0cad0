"""Requests of the OpenAI API as records: every field checked, nothing that would change the answer ignored.

Pure: bytes in, records out, or a ``RequestError`` whose sentence names the field. Answers are built in
``answers.py``; the model's vocabulary and context are the API's to ask. How one field is read is in
``wire_fields.py``; what both kinds of completion know in ``wire_options.py``; messages in ``wire_messages.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from engine.llama.chat import Chat, ChatMessage
from engine.llama.sampler import SamplingSettings
from engine.serving.openai.wire_fields import MAX_WHOLE, Fields, parse_object, refuse
from engine.serving.openai.wire_messages import parse_messages
from engine.serving.openai.wire_options import Options, parse_options, take_cache_key
from engine.serving.openai.wire_tools import TemplateOptions, ToolUse, parse_template_options, parse_tools

MAX_PROMPTS: Final = 16
MAX_LOGPROBS: Final = 20


@dataclass(frozen=True, slots=True)
class ChatCall:
    """``POST /v1/chat/completions``."""

    messages: tuple[ChatMessage, ...]
    options: Options
    tool_use: ToolUse = field(default_factory=ToolUse)
    template_options: TemplateOptions = field(default_factory=TemplateOptions)


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
    chat: Chat | None
    add_special: bool
    parse_special: bool


def parse_chat(body: bytes, defaults: SamplingSettings) -> ChatCall:
    """A chat completion request."""
    return chat_call(parse_object(body), defaults)


def chat_call(fields: Fields, defaults: SamplingSettings) -> ChatCall:
    """The same from fields, which another protocol may have put into these names. Raises: ``RequestError``."""
    messages = parse_messages(fields.take("messages"))
    wants = fields.flag("logprobs", False)
    top = fields.whole("top_logprobs", None, 0, MAX_LOGPROBS)
    if top is not None and not wants:
        refuse("top_logprobs", "needs logprobs to be true")
    tool_use = parse_tools(fields)
    template_options = parse_template_options(fields)
    options = parse_options(fields, defaults, (top or 0) if wants else None)
    if options.constraint is not None and tool_use.mode == "required":
        refuse("tool_choice", "asks for a call, so the answer cannot have another form besides")
    call = ChatCall(messages, options, tool_use, template_options)
    fields.finish()
    return call


def parse_completion(body: bytes, defaults: SamplingSettings) -> CompletionCall:
    """A plain completion request."""
    fields = parse_object(body)
    prompts = _prompts(fields.take("prompt"))
    echo = fields.flag("echo", False)
    logprobs = fields.whole("logprobs", None, 0, MAX_LOGPROBS)
    if echo and logprobs is not None:
        refuse("echo", "together with logprobs is not supported; the prompt's own log-probabilities are not computed")
    call = CompletionCall(prompts, echo, parse_options(fields, defaults, logprobs))
    fields.finish()
    return call


def parse_tokenize(body: bytes) -> TokenizeCall:
    """A tokenize request: ``content`` or ``messages``."""
    fields = parse_object(body)
    messages = fields.take("messages")
    call = TokenizeCall(
        fields.text("content", ""),
        None if messages is None else Chat(parse_messages(messages), parse_tools(fields).offered),
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
        refuse("tokens", "must be a list of token numbers")
    fields.finish()
    return tuple(tokens)


def parse_drop(body: bytes) -> str | None:
    """What to forget: one conversation's name, or ``None`` for everything, which an empty body asks for too."""
    if not body.strip():
        return None
    fields = parse_object(body)
    key = take_cache_key(fields)
    fields.finish()
    return key


def _prompts(value: Any) -> tuple[str | tuple[int, ...], ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list) or not value:
        refuse("prompt", "must be a string, a list of token numbers, or a list of those")
    if _is_tokens(value):
        return (tuple(value),)
    if len(value) > MAX_PROMPTS:
        refuse("prompt", f"holds {len(value)} prompts; {MAX_PROMPTS} are the most")
    if not all(isinstance(item, str) or (_is_tokens(item) and item) for item in value):
        refuse("prompt", "must be a string, a list of token numbers, or a list of those")
    return tuple(item if isinstance(item, str) else tuple(item) for item in value)


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(type(token) is int and 0 <= token <= MAX_WHOLE for token in value)


def check_tokens(tokens: Sequence[int], n_vocab: int, param: str) -> None:
    """Raises: ``RequestError`` when a token does not exist in the model's vocabulary."""
    if any(token >= n_vocab for token in tokens):
        refuse(param, f"names a token outside the vocabulary of {n_vocab}")
