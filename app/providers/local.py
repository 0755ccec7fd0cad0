"""The client of a worker on this machine, over our own loopback transport. No retries: a stream that broke has already
shown its text.

The transport is imported when it is first needed, off the loop. What the bytes say is ``local_wire.py``'s, starting
workers ``app.models``'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TYPE_CHECKING

from app.providers.local_wire import Parts, chunk_of, request_body
from app.providers.provider import Chunk, Endpoint, PromptMessage, Sampling
from engine.errors import GatehouseError, RequestError, WorkerError

if TYPE_CHECKING:
    import httpx2

_SMALL_CALL_S = 5.0


class LocalProvider:
    """One client for whichever worker is up; all methods run in the core thread."""

    def __init__(self) -> None:
        self._http: httpx2.AsyncClient | None = None

    async def warm_up(self) -> None:
        await asyncio.to_thread(_import_transport)

    async def stream(
        self, endpoint: Endpoint, messages: Sequence[PromptMessage], sampling: Sampling, cache_key: str = ""
    ) -> AsyncGenerator[Chunk, None]:
        http = await self._transport()
        import httpx2

        url, headers = f"{endpoint.address}/v1/chat/completions", _headers(endpoint)
        body = request_body(endpoint, messages, sampling, cache_key)
        finished, parts = False, Parts()
        try:
            async with http.stream("POST", url, content=body, headers=headers) as response:
                if response.status_code != 200:
                    raise _named(_error_in(await response.aread()), response.status_code)
                async for data in response.aiter_bytes():
                    for part in parts.feed(data):
                        if "error" in part:
                            raise _named(part["error"], 500)
                        chunk = chunk_of(part)
                        finished = finished or chunk.finish_reason is not None
                        yield chunk
        except (httpx2.HTTPError, ValueError) as error:
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

        try:
            response = await http.post(
                f"{endpoint.address}{path}",
                json=body,
                headers=_headers(endpoint),
                timeout=httpx2.Timeout(_SMALL_CALL_S),
            )
            content = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise _lost(error) from error
        fields: Mapping[str, object] = content if isinstance(content, dict) else {}
        if response.status_code != 200:
            raise _named(fields.get("error"), response.status_code)
        return fields

    async def close(self) -> None:
        http, self._http = self._http, None
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


def _import_transport() -> None:
    import app.providers.loopback  # noqa: F401 - for its effect


def _lost(cause: BaseException | None) -> GatehouseError:
    """The connection ended before the answer did."""
    if isinstance(cause, GatehouseError):
        return cause
    detail = f" ({type(cause).__name__})" if cause is not None else ""
    return WorkerError("connection_lost", f"The model's process ended before its answer was complete{detail}.")


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key}", "Content-Type": "application/json"}


def _error_in(body: bytes) -> object:
    """The error object of a refusal; ``None`` when it is not in our form."""
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    return fields.get("error") if isinstance(fields, dict) else None


def _named(body: object, status: int) -> GatehouseError:
    fields = body if isinstance(body, dict) else {}
    sentence = str(fields.get("message") or f"The model's process refused the request with status {status}.")[:2000]
    code = str(fields.get("code") or "refused")[:64]
    hint = str(fields.get("hint") or "")[:2000]
    if status >= 500:
        return WorkerError(code, sentence, hint)
    return RequestError(code, sentence, hint, status=status)
