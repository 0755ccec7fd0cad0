"""OpenAI's ``/v1/responses``, without a memory: every call brings its whole conversation, nothing is stored."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.serving.http.frontend import Frontend
from engine.serving.openai.responses_answer import ResponsesEncoder
from engine.serving.openai.responses_wire import parse_responses


class ResponsesApi:
    """What its route does; that is in ``http/later.py``."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    async def respond(self, request: Request) -> Response:
        """``POST /v1/responses``."""
        frontend = self._frontend
        async with frontend.read(request, partial(parse_responses, defaults=frontend.offer.defaults)) as call:
            prepared = await frontend.prepare_chat(call.chat)
        encoder = ResponsesEncoder(frontend.offer.model_id, call, self._count_tokens)
        return await frontend.answer(request, prepared, encoder)

    def _count_tokens(self, text: str) -> int:
        return len(self._frontend.vocabulary.tokenize(text, parse_special=False, add_bos=False))
