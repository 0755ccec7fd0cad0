"""Paths of the API that the loaded model cannot serve: a sentence instead of "not found". Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import RequestError

EMBEDDING_PATHS: Final = ("/v1/embeddings", "/embeddings")
RERANK_PATHS: Final = ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking")
WRITING_PATHS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
)


def refusing(paths: Iterable[str], sentence: str, hint: str) -> list[Route]:
    """Routes that answer 400; a client's library would try 501 again."""

    async def refuse(request: Request) -> Response:
        raise RequestError("not_supported", sentence, hint)

    return [Route(path, refuse, methods=["POST"]) for path in paths]
