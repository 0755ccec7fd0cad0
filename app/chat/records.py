"""Conversations and messages as frozen values. Times are seconds since the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode, Label
from app.gate.records import Flag

Role = Literal["system", "user", "assistant"]


class MessageStatus(StrEnum):
    """How far an answer came. Messages of a person are always ``COMPLETE``."""

    PENDING = "pending"
    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    """The person stopped it."""
    INTERRUPTED = "interrupted"
    """The worker or the app died; the text so far was kept."""
    FAILED = "failed"
    """It never produced text; ``Message.error`` says why."""


@dataclass(frozen=True, slots=True)
class AnswerStats:
    """What an answer cost. ``None`` where it was not measured."""

    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None
    ttft_s: float | None
    """From sending to the first token, as the person felt it."""
    decode_tok_s: float | None
    total_s: float | None
    finish_reason: str | None
    device: str
    """In words, e.g. ``CPU``."""
    route: Literal["local", "team", "cloud"]
    cost_usd: float | None = None
    """What the provider charges for it; ``None`` for local ones and without prices."""
    provider: str = ""
    """The name of who answered elsewhere."""
    request_id: str = ""
    """Its rows in the ledger."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. Siblings share ``parent_id``; regenerating adds a sibling and never destroys one."""

    id: str
    conversation_id: str
    parent_id: str | None
    role: Role
    text: str
    reasoning: str
    status: MessageStatus
    created_at: float
    model_id: str | None
    """The model that truly produced it."""
    stats: AnswerStats | None
    error: str
    """A sentence when ``status`` is ``FAILED`` or ``INTERRUPTED``, else empty."""
    branch_index: int
    """0-based place among its siblings."""
    branch_count: int
    label: Label | None = None
    """Of what was attached or quoted here, or of what an answer was made from; the conversation's counts as well."""
    flag: Flag | None = None
    """Why this answer may not be good enough."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages, as a list shows it."""

    id: str
    title: str
    created_at: float
    updated_at: float
    pinned: bool
    model_id: str | None
    system_prompt: str
    message_count: int
    preview: str
    """The beginning of the last message, one line."""
    label: Label = DEFAULT_LABEL
    """The strictest of its own and those of the folders and the workspace that it lies in."""
    gate: GateMode = DEFAULT_MODE
    own_label: Label = DEFAULT_LABEL
    """What the person set for it."""
    place_id: str | None = None
    """The workspace or folder that it lies in."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation with the messages of its chosen branch, oldest first."""

    conversation: Conversation
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A place where the searched words occur."""

    conversation_id: str
    conversation_title: str
    message_id: str | None
    """``None`` when the title itself matched."""
    role: Role | None
    snippet: str
    """Plain text around the hit."""
    matches: tuple[tuple[int, int], ...]
    """Character spans in ``snippet`` to highlight."""
    created_at: float


@dataclass(frozen=True, slots=True)
class ContextUse:
    """How much of the context the next prompt would take."""

    prompt_tokens: int
    n_ctx: int
    exact: bool
    """False while no worker is there to count and the number is an estimate."""

    @property
    def fits(self) -> bool:
        return self.prompt_tokens < self.n_ctx
