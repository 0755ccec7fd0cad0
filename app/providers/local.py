"""The client of a worker on this machine: the openai SDK over our own loopback transport.

The SDK takes a second and much memory to import, so that happens when it is first needed, off the loop. No retries:
a stream that broke has already shown its text. Starting workers is ``app.models``'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from app.providers.provider import Chunk, Endpoint, PromptMessage, Sampling, Timings, Usage
from engine.errors import GatehouseError, RequestError, WorkerError

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI, AsyncStream
    from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
    from openai.types.chat.chat_completion_chunk import ChoiceLogprobs

_SMALL_CALL_S = 5.0


class LocalProvider:
    """One client for whichever worker is up; all methods run in the core thread."""

    def __init__(self) -> None:
        self._http: httpx2.AsyncClient | None = None
        self._sdk: AsyncOpenAI | None = None
        self._sdk_of: Endpoint | None = None

    async def warm_up(self) -> None:
        await asyncio.to_thread(_import_slowly)

    async def stream(
        self, endpoint: Endpoint, messages: Sequence[PromptMessage], sampling: Sampling, cache_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        sdk = await self._client(endpoint)
        import httpx2
        import openai

        finished = False
        try:
            stream = await _begin(sdk, endpoint, messages, sampling, cache_key)
            async with stream:
                async for part in stream:
                    chunk = _chunk(part)
                    finished = finished or chunk.finish_reason is not None
                    yield chunk
        except openai.APIConnectionError as error:
            raise _lost(error.__cause__ or error) from error
        except openai.APIError as error:
            raise _refused(error) from error
        except httpx2.HTTPError as error:
            raise _lost(error) from error
        if not finished:
            raise _lost(None)

    async def count_tokens(self, endpoint: Endpoint, messages: Sequence[PromptMessage]) -> int:
        body = {"messages": [{"role": m.role, "content": m.text} for m in messages]}
        count = (await self._post(endpoint, "/tokenize", body)).get("count")
        if not isinstance(count, int):
            raise WorkerError("bad_answer", "The model's process counted tokens in an unknown form.")
        return count

    async def forget(self, endpoint: Endpoint, cache_key: str) -> None:
        await self._post(endpoint, "/cache/drop", {"prompt_cache_key": cache_key})

    async def _post(self, endpoint: Endpoint, path: str, body: Mapping[str, object]) -> Mapping[str, object]:
        """The object that one of the small endpoints answers with. Raises ``GatehouseError``."""
        http = await self._transport()
        import httpx2

        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        try:
            response = await http.post(
                f"{endpoint.address}{path}", json=body, headers=headers, timeout=httpx2.Timeout(_SMALL_CALL_S)
            )
            content = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise _lost(error) from error
        fields: Mapping[str, object] = content if isinstance(content, dict) else {}
        if response.status_code != 200:
            raise _named(fields.get("error"), response.status_code)
        return fields

    async def close(self) -> None:
        http, self._http, self._sdk, self._sdk_of = self._http, None, None, None
        if http is not None:
            await http.aclose()

    async def _transport(self) -> httpx2.AsyncClient:
        if self._http is None:
            await asyncio.to_thread(_import_transport)
        return self._open_transport()

    def _open_transport(self) -> httpx2.AsyncClient:
        from app.providers import loopback

        if self._http is None:
            self._http = loopback.client()
        return self._http

    async def _client(self, endpoint: Endpoint) -> AsyncOpenAI:
        http = await self._transport()
        if self._sdk is None or self._sdk_of != endpoint:
            await asyncio.to_thread(_import_slowly)
            from openai import AsyncOpenAI

            self._sdk_of = endpoint
            self._sdk = AsyncOpenAI(
                api_key=endpoint.api_key or "none",
                base_url=f"{endpoint.address}/v1",
                # Given, so that the environment is not asked for them.
                organization="",
                project="",
                webhook_secret="",
                admin_api_key="",
                max_retries=0,
                timeout=http.timeout,
                http_client=http,
            )
        return self._sdk


def _import_transport() -> None:
    import app.providers.loopback  # noqa: F401 - for its effect


def _import_slowly() -> None:
    import openai
    import openai.resources.chat  # noqa: F401 - the SDK itself would import it at the first request, on the loop


async def _begin(
    sdk: AsyncOpenAI, endpoint: Endpoint, messages: Sequence[PromptMessage], sampling: Sampling, cache_key: str
) -> AsyncStream[ChatCompletionChunk]:
    import openai

    return await sdk.chat.completions.create(
        model=endpoint.model_id,
        messages=[_wire_message(message) for message in messages],
        stream=True,
        stream_options={"include_usage": True},
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        extra_body={"repeat_penalty": sampling.repeat_penalty},
        max_tokens=openai.omit if sampling.max_tokens is None else sampling.max_tokens,
        seed=openai.omit if sampling.seed is None else sampling.seed,
        prompt_cache_key=cache_key or openai.omit,
        logprobs=True if sampling.logprobs else openai.omit,
    )


def _wire_message(message: PromptMessage) -> ChatCompletionMessageParam:
    match message.role:
        case "system":
            return {"role": "system", "content": message.text}
        case "user":
            return {"role": "user", "content": message.text}
        case "assistant":
            return {"role": "assistant", "content": message.text}


def _chunk(part: ChatCompletionChunk) -> Chunk:
    extra = part.model_extra or {}
    usage = None
    if part.usage is not None:
        details = part.usage.prompt_tokens_details
        cached = details.cached_tokens if details is not None else None
        usage = Usage(part.usage.prompt_tokens, part.usage.completion_tokens, cached)
    timings = _timings(extra.get("timings"))
    if not part.choices:
        return Chunk(usage=usage, timings=timings)
    choice = part.choices[0]
    reasoning = (choice.delta.model_extra or {}).get("reasoning_content")
    return Chunk(
        text=choice.delta.content or "",
        reasoning=reasoning if isinstance(reasoning, str) else "",
        finish_reason=choice.finish_reason,
        usage=usage,
        timings=timings,
        logprobs=_logprobs(choice.logprobs),
    )


def _logprobs(told: ChoiceLogprobs | None) -> tuple[float, ...]:
    if told is None or told.content is None:
        return ()
    return tuple(token.logprob for token in told.content)


def _timings(raw: object) -> Timings | None:
    """Timings from an untrusted object; what is not a number is left out."""
    if not isinstance(raw, dict):
        return None

    def number(name: str) -> float | None:
        value = raw.get(name)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    def whole(name: str) -> int | None:
        value = number(name)
        return None if value is None else int(value)

    return Timings(
        prompt_n=whole("prompt_n"),
        cache_n=whole("cache_n"),
        prompt_ms=number("prompt_ms"),
        prompt_per_second=number("prompt_per_second"),
        predicted_n=whole("predicted_n"),
        predicted_ms=number("predicted_ms"),
        predicted_per_second=number("predicted_per_second"),
    )


def _lost(cause: BaseException | None) -> GatehouseError:
    """The connection ended before the answer did."""
    if isinstance(cause, GatehouseError):
        return cause
    detail = f" ({type(cause).__name__})" if cause is not None else ""
    return WorkerError("connection_lost", f"The model's process ended before its answer was complete{detail}.")


def _refused(error: Any) -> GatehouseError:
    """An error that the worker named itself, in a response or inside a stream."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        body = body["error"]
    return _named(body, getattr(error, "status_code", 500))


def _named(body: object, status: int) -> GatehouseError:
    fields = body if isinstance(body, dict) else {}
    sentence = str(fields.get("message") or f"The model's process refused the request with status {status}.")[:2000]
    code = str(fields.get("code") or "refused")[:64]
    hint = str(fields.get("hint") or "")[:2000]
    if status >= 500:
        return WorkerError(code, sentence, hint)
    return RequestError(code, sentence, hint, status=status)
