"""What the model is asked and what it says, token by token: the protocol, and the client of the local worker.

The client speaks to loopback only and never tries again by itself. What is asked is ``prompt``'s and ``forms``'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.errors import GatehouseError, RequestError, WorkerError

if TYPE_CHECKING:
    import httpx2

    from app.providers.provider import Endpoint

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the conversation with the model."""

    role: Literal["system", "user", "assistant"]
    text: str


@dataclass(frozen=True, slots=True)
class Question:
    """One request: everything before the answer, and the JSON schema that the answer follows."""

    turns: tuple[Turn, ...]
    schema: JsonObject
    max_tokens: int


@dataclass(frozen=True, slots=True)
class TokenScore:
    """One token of an answer."""

    end: int
    """Characters of the answer up to and including it."""
    logprob: float
    """Under the model's own distribution."""
    masked_logprob: float
    """Under the model's distribution over what the constraint allows."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The whole answer. ``complete``: it was not cut off."""

    text: str
    complete: bool
    tokens: tuple[TokenScore, ...] = ()
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0


class Asker(Protocol):
    """A model that answers under a constraint."""

    @property
    def model(self) -> str:
        """Its name, for the record."""

    @property
    def n_ctx(self) -> int:
        """Tokens that one question and its answer may take together."""

    async def ask(self, question: Question) -> Reply:
        """Raises ``GatehouseError``."""


class LocalAsker:
    """The worker on this machine. Close it when done; closing a running question hangs up."""

    def __init__(self, endpoint: Endpoint, priority: Literal["interactive", "batch"] = "batch") -> None:
        self._endpoint = endpoint
        self._priority = priority
        self._http: httpx2.AsyncClient | None = None

    @property
    def model(self) -> str:
        return self._endpoint.model_id

    @property
    def n_ctx(self) -> int:
        return self._endpoint.n_ctx

    async def ask(self, question: Question) -> Reply:
        if self._http is None:
            await asyncio.to_thread(_import_transport)
        from app.providers import loopback

        if self._http is None:
            self._http = loopback.client()
        import httpx2

        loop = asyncio.get_running_loop()
        began = loop.time()
        headers = {"Authorization": f"Bearer {self._endpoint.api_key}"}
        url = f"{self._endpoint.address}/v1/chat/completions"
        try:
            response = await self._http.post(url, json=self._body(question), headers=headers)
            answer = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            what = type(error).__name__
            raise WorkerError(
                "connection_lost", f"The model's process ended before its answer was complete ({what})."
            ) from error
        if response.status_code != 200:
            raise _refused(answer, response.status_code)
        return _reply(answer, loop.time() - began)

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    def _body(self, question: Question) -> JsonObject:
        return {
            "model": self._endpoint.model_id,
            "messages": [{"role": turn.role, "content": turn.text} for turn in question.turns],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "fields", "strict": True, "schema": question.schema},
            },
            "max_tokens": question.max_tokens,
            "temperature": 0,
            "repeat_penalty": 1.0,
            "logprobs": True,
            "masked_logprobs": True,
            "forced_logprobs": False,
            "priority": self._priority,
        }


def _import_transport() -> None:
    import app.providers.loopback  # noqa: F401 - for its effect


def _refused(answer: object, status: int) -> GatehouseError:
    error = answer.get("error") if isinstance(answer, dict) else None
    fields = error if isinstance(error, dict) else {}
    sentence = str(fields.get("message") or f"The model's process refused the request with status {status}.")[:2000]
    code, hint = str(fields.get("code") or "refused")[:64], str(fields.get("hint") or "")[:2000]
    kind = WorkerError if status >= 500 else RequestError
    return kind(code, sentence, hint)


def _reply(answer: object, seconds: float) -> Reply:
    """Raises: ``WorkerError`` for an answer of another shape."""
    try:
        return parse_reply(answer, seconds)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise WorkerError("bad_answer", "The model's process answered in an unknown form.") from error


def parse_reply(answer: Any, seconds: float) -> Reply:
    """A chat completion with log-probabilities as a ``Reply``."""
    choice, usage = answer["choices"][0], answer["usage"]
    shown = (choice.get("logprobs") or {}).get("content") or []
    tokens, read = [], b""
    for item in shown:
        read += bytes(item["bytes"])
        own = float(item["logprob"])
        masked = item.get("masked_logprob")
        tokens.append(TokenScore(len(read.decode("utf-8", "ignore")), own, own if masked is None else float(masked)))
    details = usage.get("prompt_tokens_details") or {}
    return Reply(
        text=choice["message"]["content"] or "",
        complete=choice["finish_reason"] == "stop",
        tokens=tuple(tokens),
        prompt_tokens=int(usage["prompt_tokens"]),
        cached_tokens=int(details.get("cached_tokens") or 0),
        completion_tokens=int(usage["completion_tokens"]),
        seconds=seconds,
    )


def dumps(value: object) -> str:
    """JSON as the worker's constraint writes it, so that examples look like answers."""
    return json.dumps(value, ensure_ascii=False)
