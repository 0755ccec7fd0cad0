"""What the model is given: a branch of messages as a prompt, and a guess at its length. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.chat.records import ContextUse, Message
from app.providers.provider import PromptMessage
from engine.errors import RequestError

_BYTES_PER_TOKEN = 3.6
"""Of English and code with the vocabularies in use; only for the meter while no worker is there to count."""

_TOKENS_PER_MESSAGE = 5
"""Role, begin and end marks of common chat templates."""

_SURELY_TOO_LONG = 1.5
"""A guess above the context by this factor is believed."""


def build(system_prompt: str, branch: Iterable[Message]) -> tuple[PromptMessage, ...]:
    """The branch as alternating roles, which chat templates insist on.

    Answers without text are left out, and what a person wrote around them is joined.
    """
    prompt: list[PromptMessage] = []
    if system_prompt.strip():
        prompt.append(PromptMessage("system", system_prompt))
    for message in branch:
        if not message.text:
            continue
        if prompt and prompt[-1].role == message.role:
            prompt[-1] = PromptMessage(message.role, f"{prompt[-1].text}\n\n{message.text}")
        else:
            prompt.append(PromptMessage(message.role, message.text))
    return tuple(prompt)


def with_draft(prompt: Sequence[PromptMessage], draft: str) -> tuple[PromptMessage, ...]:
    """``prompt`` with what the person is about to send."""
    if not draft:
        return tuple(prompt)
    if prompt and prompt[-1].role == "user":
        return (*prompt[:-1], PromptMessage("user", f"{prompt[-1].text}\n\n{draft}"))
    return (*prompt, PromptMessage("user", draft))


def estimate_tokens(prompt: Sequence[PromptMessage]) -> int:
    """A guess at the prompt's length in tokens."""
    size = sum(len(message.text.encode("utf-8", "surrogatepass")) for message in prompt)
    return round(size / _BYTES_PER_TOKEN) + _TOKENS_PER_MESSAGE * len(prompt)


def refuse_overflow(use: ContextUse) -> None:
    """Raises ``RequestError`` ``context_overflow`` when the prompt does not fit, or surely would not."""
    limit = use.n_ctx if use.exact else use.n_ctx * _SURELY_TOO_LONG
    if use.prompt_tokens < limit:
        return
    about = "" if use.exact else "about "
    raise RequestError(
        "context_overflow",
        f"The prompt takes {about}{use.prompt_tokens:,} tokens, but the context holds {use.n_ctx:,}.",
        "Shorten the message, start a new conversation, or load the model with a larger context.",
    )
