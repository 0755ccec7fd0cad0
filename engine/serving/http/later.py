"""Routes whose modules are imported with the first request to them. The event loop's thread only.

A worker starts a good deal sooner without them; the import takes some hundredths of a second, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.serving.http.respond import json_response

if TYPE_CHECKING:
    from engine.serving.http.frontend import Frontend


def document_route(describe: Callable[[], dict[str, Any]]) -> Route:
    """``GET /openapi.json``; ``describe`` makes the document."""

    async def show(request: Request) -> Response:
        return json_response(describe())

    return Route("/openapi.json", show)


def messages_routes(frontend: Frontend) -> list[Route]:
    """Anthropic's ``/v1/messages``."""

    async def answer(request: Request) -> Response:
        from engine.serving.anthropic.api import MessagesApi

        return await MessagesApi(frontend).answer(request)

    async def count(request: Request) -> Response:
        from engine.serving.anthropic.api import MessagesApi

        return await MessagesApi(frontend).count(request)

    return [
        Route("/v1/messages", answer, methods=["POST"]),
        Route("/v1/messages/count_tokens", count, methods=["POST"]),
    ]


def responses_route(frontend: Frontend) -> Route:
    """OpenAI's ``/v1/responses``."""

    async def respond(request: Request) -> Response:
        from engine.serving.openai.responses_api import ResponsesApi

        return await ResponsesApi(frontend).respond(request)

    return Route("/v1/responses", respond, methods=["POST"])
