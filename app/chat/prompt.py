"""What the model is given: a branch of messages as a prompt, and a guess at its length. Pure.

Every part knows where it comes from and how sensitive it is, for the day on which somebody wants to send it elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.chat.records import ContextUse, Message, Role
from app.gate.label import Label, strictest
from app.providers.provider import PromptMessage
from engine.errors import RequestError

_BYTES_PER_TOKEN = 3.6
"""Of English and code with the vocabularies in use; only for the meter while no worker is there to count."""

_TOKENS_PER_MESSAGE = 5
"""Role, begin and end marks of common chat templates."""

_SURELY_TOO_LONG = 1.5
"""A guess above the context by this factor is believed."""


SYSTEM = "system prompt"
YOURS = "your message"
DRAFT = "your draft"
ANSWER = "an answer"
"""Where parts come from, in words."""


@dataclass(frozen=True, slots=True)
class AttachedText:
    """Text of a document, as it stands in a prompt."""

    name: str
    text: str
    label: Label
    whole_characters: int = 0
    """Of the document that it is taken from; a question about more than fits is flagged."""
    whole: bool = False
    """It is the whole document, the same in every turn."""
    document_id: str = ""


class Attachments(Protocol):
    """Documents of conversations; ``app.chat.attachments``."""

    async def texts(self, conversation_id: str, branch: Sequence[Message], draft: str) -> Sequence[AttachedText]:
        """What of a conversation's documents goes into the prompt that answers ``draft``, or the branch's last message.

        Raises ``GatehouseError`` when a document cannot be had: then nobody is asked.
        """


@dataclass(frozen=True, slots=True)
class Part:
    """One message of a prompt, with what it is made of."""

    role: Role
    text: str
    sources: tuple[str, ...]
    label: Label
    """The strictest of the conversation's and those of what it holds."""
    documents: tuple[AttachedText, ...] = ()
    """Of which there is text in it."""
    messages: tuple[str, ...] = ()
    """Ids of the stored messages that it is made of."""


def lay_out(
    system_prompt: str,
    branch: Iterable[Message],
    draft: str = "",
    attached: Sequence[AttachedText] = (),
    label: Label = Label.PUBLIC,
) -> tuple[Part, ...]:
    """The branch and what the person is about to send as alternating roles, which chat templates insist on.

    Answers without text are left out, and what a person wrote around them is joined. Passages stand before the last
    message of the person; whole documents before the first, so that the model computes them once and not in every turn.
    """
    parts: list[Part] = []
    if system_prompt.strip():
        parts.append(Part("system", system_prompt, (SYSTEM,), label))
    for message in branch:
        own = label if message.label is None else strictest((label, message.label))
        _add(parts, message.role, message.text, YOURS if message.role == "user" else ANSWER, own, (message.id,))
    _add(parts, "user", draft, DRAFT, label)
    lasting = tuple(document for document in attached if document.whole)
    passing = tuple(document for document in attached if not document.whole)
    if passing:
        _attach(parts, len(parts) - 1, passing, label)
    if lasting:
        first = next((index for index, part in enumerate(parts) if part.role == "user"), len(parts))
        _attach(parts, first, lasting, label)
    return tuple(parts)


def _add(parts: list[Part], role: Role, text: str, source: str, label: Label, messages: tuple[str, ...] = ()) -> None:
    if not text:
        return
    if not parts or parts[-1].role != role:
        parts.append(Part(role, text, (source,), label, messages=messages))
        return
    last = parts[-1]
    sources = tuple(dict.fromkeys((*last.sources, source)))
    joined = (*last.messages, *messages)
    parts[-1] = Part(role, f"{last.text}\n\n{text}", sources, strictest((last.label, label)), messages=joined)


def _attach(parts: list[Part], index: int, attached: tuple[AttachedText, ...], label: Label) -> None:
    """Put documents before what the person says in a part; without such a part, into one of their own at the end."""
    if not 0 <= index < len(parts) or parts[index].role != "user":
        index = len(parts)
        parts.append(Part("user", "", (), label))
    there = parts[index]
    text = "\n\n".join(document.text for document in attached)
    parts[index] = Part(
        "user",
        f"{text}\n\n{there.text}" if there.text else text,
        tuple(dict.fromkeys((*(document.name for document in attached), *there.sources))),
        strictest((there.label, *(document.label for document in attached))),
        (*attached, *there.documents),
        there.messages,
    )


def attached_tokens(parts: Iterable[Part]) -> int:
    """About how many tokens the documents of a prompt would take as a whole."""
    documents = (document for part in parts for document in part.documents)
    return round(sum(max(one.whole_characters, len(one.text)) for one in documents) / _BYTES_PER_TOKEN)


def asked_of(parts: Sequence[Part]) -> str:
    """What the person asks, without the documents that it is about."""
    if not parts or parts[-1].role != "user":
        return ""
    return parts[-1].text.removeprefix("\n\n".join(one.text for one in parts[-1].documents))


def messages_of(parts: Iterable[Part]) -> tuple[PromptMessage, ...]:
    """What the model is given of them."""
    return tuple(PromptMessage(part.role, part.text) for part in parts)


def build(system_prompt: str, branch: Iterable[Message], draft: str = "") -> tuple[PromptMessage, ...]:
    """The prompt of a conversation without documents."""
    return messages_of(lay_out(system_prompt, branch, draft))


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
