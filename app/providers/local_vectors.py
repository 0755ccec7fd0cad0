"""The client of the worker that makes vectors: one request over our own loopback transport, never tried again."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from engine.errors import RequestError, WorkerError

if TYPE_CHECKING:
    import httpx2

_ANSWER_S: Final = 60.0


class VectorClient:
    """One connection after the other, to whichever worker is up. Close it."""

    def __init__(self) -> None:
        self._http: httpx2.AsyncClient | None = None

    async def rows(self, address: str, token: str, texts: Sequence[str]) -> list[bytes]:
        """A row for each text: a unit vector as little-endian 32-bit floats. Raises ``GatehouseError``."""
        if self._http is None:
            await asyncio.to_thread(_import_transport)
        from app.providers import loopback

        if self._http is None:
            self._http = loopback.client()
        import httpx2

        body = {"input": list(texts), "encoding_format": "base64"}
        headers = {"Authorization": f"Bearer {token}"}
        try:
            timeout = httpx2.Timeout(_ANSWER_S)
            response = await self._http.post(f"{address}/v1/embeddings", json=body, headers=headers, timeout=timeout)
            answer = response.json()
        except (httpx2.HTTPError, ValueError) as error:
            what = type(error).__name__
            raise WorkerError(
                "connection_lost", f"The process for vectors ended before it answered ({what})."
            ) from error
        return _parse(answer, response.status_code, len(texts))

    async def close(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()


def _import_transport() -> None:
    import app.providers.loopback  # noqa: F401 - for its effect


def _parse(answer: Any, status: int, n_texts: int) -> list[bytes]:
    """The rows in the texts' order. Raises: ``GatehouseError``."""
    try:
        if status != 200:
            error = answer["error"]
            kind = RequestError if status < 500 else WorkerError
            raise kind(str(error["code"])[:64], str(error["message"])[:500])
        rows = {int(item["index"]): base64.b64decode(item["embedding"], validate=True) for item in answer["data"]}
        return [rows[index] for index in range(n_texts)]
    except (KeyError, TypeError, ValueError, IndexError, binascii.Error) as error:
        raise WorkerError("bad_answer", "The model for vectors answered in an unknown form.") from error
