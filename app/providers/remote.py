"""The client of providers elsewhere: the openai SDK over the gate's transport. All methods run in the core thread.

It sends bytes that were made, shown and checked before, once: the SDK's retries are off, redirects are refused, and a
provider that asks to wait is not asked again before that time. Connecting is tried again while nothing has left. An
answer that breaks off is the caller's to keep; going on with it is a new request.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.gate.egress import Egress
from app.gate.passage import Passage, Patience
from app.gate.permit import Permit
from app.gate.records import Outcome, Provider, ProviderTest
from app.providers import remote_faults as faults
from app.providers.keys import Keys
from app.providers.prices import cost_usd, cost_usd_at_most
from app.providers.provider import Chunk, PromptMessage
from app.providers.remote_faults import RemoteError
from app.providers.remote_wire import chunk_of, model_ids, request_body
from engine.errors import GatehouseError
from engine.hub.patience import asked_pause_s

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream

_LONGEST_HOLD_S = 24 * 3600.0
_TEST = (PromptMessage("user", "Say OK."),)
_TEST_TOKENS = 16
_CHARACTERS_A_TOKEN = 64
"""More than any vocabulary has on average; a longer answer does not keep to what it was allowed."""
_UNLIMITED_CHARACTERS = 8 << 20


@dataclass(slots=True)
class _Progress:
    """How far an answer has come."""

    finished: bool = False
    pieces: int = 0
    characters: int = 0

    def take(self, chunk: Chunk) -> None:
        self.finished = self.finished or chunk.finish_reason is not None
        self.characters += len(chunk.text) + len(chunk.reasoning)
        self.pieces += bool(chunk.text or chunk.reasoning)


class RemoteProvider:
    """One client for all providers."""

    def __init__(
        self,
        egress: Egress,
        keys: Keys,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._egress = egress
        self._keys = keys
        self._patience = patience or Patience()
        self._clock = clock
        self._holds: dict[str, float] = {}

    async def stream(
        self, provider: Provider, body: bytes, permit: Permit, max_tokens: int | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Stream one answer; closing the iterator hangs up. Raises ``GatehouseError``, ``RemoteError`` among them.

        An iterator that ends without a ``finish_reason`` never happens. ``max_tokens`` is what the body allows.
        """
        self._check_hold(provider)
        key = await self._key(provider)
        await asyncio.to_thread(_import_slowly)
        async with await self._egress.passage(permit, self._patience) as passage:
            progress = _Progress()
            passage.sends_key = key is not None
            most = _UNLIMITED_CHARACTERS if max_tokens is None else max_tokens * _CHARACTERS_A_TOKEN + 4096
            try:
                async for chunk in self._parts(provider, key, body, passage, progress):
                    if progress.characters > most:
                        raise faults.endless(provider, progress.characters)
                    if chunk.usage is not None:
                        passage.prompt_tokens = chunk.usage.prompt_tokens
                        passage.completion_tokens = chunk.usage.completion_tokens
                    yield chunk
                if not progress.finished:
                    raise faults.unfinished(provider)
                passage.outcome = Outcome.COMPLETE
            except RemoteError as error:
                passage.outcome = error.outcome
                self._note_hold(provider, error)
                raise
            except (GeneratorExit, asyncio.CancelledError):
                passage.outcome = Outcome.COMPLETE if progress.finished else Outcome.STOPPED
                raise
            finally:
                _settle(provider, passage, progress)

    async def test(self, provider: Provider, consent: str = "button") -> ProviderTest:
        """Ask for its models and for one word: two requests that say nothing of the person's, both in the ledger."""
        try:
            models = await self._models(provider, consent)
            body = request_body(provider, _TEST, max_tokens=_TEST_TOKENS)
            cost = cost_usd_at_most(provider, 8, _TEST_TOKENS)
            permit = Permit(
                "test", provider.base_url, provider.trust, consent, provider.name, provider.model,
                body_sha256=hashlib.sha256(body).hexdigest(), prompt_tokens=8, cost_usd_at_most=cost,
            )  # fmt: skip
            started, ttft_s = self._clock(), None
            async for chunk in self.stream(provider, body, permit, max_tokens=_TEST_TOKENS):
                if ttft_s is None and (chunk.text or chunk.reasoning):
                    ttft_s = self._clock() - started
        except GatehouseError as error:
            return ProviderTest(False, str(error))
        sentence = f"{provider.name} answers with {provider.model}."
        if models and provider.model not in models:
            sentence += f" Its list of {len(models)} models does not name it."
        return ProviderTest(True, sentence, ttft_s, models)

    async def _models(self, provider: Provider, consent: str) -> tuple[str, ...]:
        """Raises ``RemoteError`` when the key is refused or nobody is there; what else goes wrong says little."""
        import httpx2

        key = await self._key(provider)
        permit = Permit(
            "test", provider.base_url, provider.trust, consent, provider.name, provider.model, cost_usd_at_most=0.0
        )
        async with await self._egress.passage(permit, self._patience) as passage:
            passage.sends_key = key is not None
            passage.cost_usd = 0.0
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            try:
                response = await passage.http.get(f"{provider.base_url.rstrip('/')}/models", headers=headers)
                fields = response.json() if response.status_code == 200 else None
            except httpx2.HTTPError as error:
                raise _failed(provider, error, passage, began=False) from error
            except ValueError:
                return ()
            passage.outcome = Outcome.COMPLETE if fields is not None else Outcome.REFUSED
            if response.status_code in (401, 403):
                raise faults.refused(provider, response.status_code, None)
            return model_ids(fields)

    async def _parts(
        self, provider: Provider, key: str | None, body: bytes, passage: Passage, progress: _Progress
    ) -> AsyncGenerator[Chunk, None]:
        """The answer's pieces, and every exception of the libraries as one of ours."""
        import httpx2
        import openai

        try:
            stream = await _begin(_sdk(provider, key, passage), body)
            async with stream:
                if passage.content_type != "text/event-stream":
                    raise faults.nonsense(provider, "it does not stream")
                async for part in stream:
                    chunk = chunk_of(part)
                    progress.take(chunk)
                    yield chunk
        except openai.APIStatusError as error:
            asked = asked_pause_s(error.response.headers.get("Retry-After"))
            raise faults.refused(provider, error.status_code, _json(error), asked, key) from error
        except openai.APIConnectionError as error:
            if not progress.finished:
                raise _failed(provider, error.__cause__ or error, passage, began=bool(passage.content_type)) from error
        except openai.APIError as error:
            raise faults.late(provider, error.body, key) from error
        except httpx2.HTTPError as error:
            if not progress.finished:
                raise _failed(provider, error, passage, began=bool(passage.content_type)) from error
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            # From the SDK's reading of what a stranger sent, or from ours.
            if not progress.finished:
                raise faults.nonsense(provider, "its stream is not in the form that was agreed on") from error

    async def _key(self, provider: Provider) -> str | None:
        """``None`` for a provider that needs none. Raises ``GatehouseError`` when it is gone, or cannot be had now."""
        if not provider.has_key:
            return None
        key = await asyncio.to_thread(self._keys.read, provider.id)
        if key is None:
            raise GatehouseError(
                "key_missing", f"The key of {provider.name} is no longer where it was kept.", "Enter it again."
            )
        return key

    def _check_hold(self, provider: Provider) -> None:
        left_s = self._holds.get(provider.base_url, 0.0) - self._clock()
        if left_s > 0:
            raise faults.held_back(provider, left_s)
        self._holds.pop(provider.base_url, None)

    def _note_hold(self, provider: Provider, error: RemoteError) -> None:
        if error.retry_after_s:
            self._holds[provider.base_url] = self._clock() + min(error.retry_after_s, _LONGEST_HOLD_S)


def _sdk(provider: Provider, key: str | None, passage: Passage) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(
        api_key=key or "none",
        base_url=provider.base_url,
        # Given, so that the environment is not asked for them.
        organization="",
        project="",
        webhook_secret="",
        admin_api_key="",
        max_retries=0,
        timeout=passage.http.timeout,
        http_client=passage.http,
    )


async def _begin(sdk: AsyncOpenAI, body: bytes) -> AsyncStream[object]:
    from openai import AsyncStream

    # The bytes themselves, not fields that the SDK would write anew.
    return await sdk.post(
        "/chat/completions",
        cast_to=object,
        content=body,
        options={"headers": {"Content-Type": "application/json"}, "max_retries": 0, "follow_redirects": False},
        stream=True,
        stream_cls=AsyncStream[object],
    )


def _settle(provider: Provider, passage: Passage, progress: _Progress) -> None:
    """What the ledger is told of tokens and cost; the provider's own counts, where they came, are noted already."""
    if not passage.sent or passage.outcome is Outcome.REFUSED:
        passage.cost_usd = 0.0
    elif passage.completion_tokens is None or passage.prompt_tokens is None:
        # Nobody said. A piece is about a token, and the prompt was counted here.
        prompt = passage.permit.prompt_tokens
        passage.cost_usd = None if prompt is None else cost_usd(provider, prompt, progress.pieces)
    else:
        passage.cost_usd = cost_usd(provider, passage.prompt_tokens, passage.completion_tokens)


def _failed(provider: Provider, error: BaseException, passage: Passage, *, began: bool) -> GatehouseError:
    if isinstance(error, GatehouseError):
        return error
    if passage.broken_off:
        from app.gate.offline import refused

        return refused()
    return faults.failed(provider, error, kind=type(error).__name__, sent=passage.sent, began=began)


def _json(error: object) -> object:
    return getattr(error, "body", None)


def _import_slowly() -> None:
    import openai
    import openai.resources.chat  # noqa: F401 - the SDK itself would import it at the first request, on the loop
