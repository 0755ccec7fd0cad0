"""What a provider of answers is asked and what it gives back. Leaves the wire to the clients beside it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.chat.records import Role


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one model answers."""

    address: str
    """``http://127.0.0.1:PORT``, without ``/v1``."""
    api_key: str
    model_id: str
    n_ctx: int
    device: str
    """In words, e.g. ``CPU``."""

    def __repr__(self) -> str:  # the key must not reach a log
        return f"Endpoint({self.address!r}, {self.model_id!r})"


@dataclass(frozen=True, slots=True)
class PromptMessage:
    """One message as the model sees it."""

    role: Role
    text: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen, and how many at most."""

    temperature: float = 0.7
    top_p: float = 0.9
    repeat_penalty: float = 1.0
    """1 is none; only workers of ours and llama.cpp's know it."""
    max_tokens: int | None = None
    seed: int | None = None
    logprobs: bool = False
    """Tell with each token how sure the model was of it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None


@dataclass(frozen=True, slots=True)
class Timings:
    """What the worker measured, under the names that llama-server uses. ``None`` where it said nothing."""

    prompt_n: int | None = None
    cache_n: int | None = None
    prompt_ms: float | None = None
    prompt_per_second: float | None = None
    predicted_n: int | None = None
    predicted_ms: float | None = None
    predicted_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """One piece of a streamed answer; the last ones carry counts instead of text."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    logprobs: tuple[float, ...] = ()
    """Of the tokens that it brings, where they were asked for: natural logarithms, 0 at most."""


class Provider(Protocol):
    """A client of the OpenAI API."""

    def stream(
        self, endpoint: Endpoint, messages: Sequence[PromptMessage], sampling: Sampling, cache_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        """Stream one answer; closing the iterator hangs up. Raises ``GatehouseError``.

        ``cache_key`` names the conversation, for :meth:`forget`.

        An iterator that ends without a ``finish_reason`` never happens: a cut stream raises ``WorkerError``.
        """

    async def count_tokens(self, endpoint: Endpoint, messages: Sequence[PromptMessage]) -> int:
        """Tokens of the rendered prompt. Raises ``GatehouseError``."""

    async def forget(self, endpoint: Endpoint, cache_key: str) -> None:
        """Drop what the endpoint keeps of a conversation, in memory and on disk. Raises ``GatehouseError``."""

    async def warm_up(self) -> None:
        """Do slow imports now, off the loop, so that the first answer does not wait for them."""

    async def close(self) -> None: ...
