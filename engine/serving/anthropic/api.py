"""Anthropic's ``/v1/messages``, so that its clients can talk to a model on this machine."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.serving.anthropic.answer import MessagesEncoder
from engine.serving.anthropic.wire import parse_count_call, parse_message_call
from engine.serving.http.frontend import Frontend
from engine.serving.http.respond import json_response


class MessagesApi:
    """What its routes do; they are in ``http/later.py``."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    async def answer(self, request: Request) -> Response:
        """``POST /v1/messages``."""
        frontend = self._frontend
        async with frontend.read(request, partial(parse_message_call, defaults=frontend.offer.defaults)) as call:
            prepared = await frontend.prepare_chat(call.chat)
        encoder = MessagesEncoder(
            frontend.offer.model_id, prompt_tokens=prepared.prompt_tokens, max_tokens=call.max_tokens
        )
        return await frontend.answer(request, prepared, encoder)

    async def count(self, request: Request) -> Response:
        """``POST /v1/messages/count_tokens``."""
        frontend = self._frontend
        async with frontend.read(request, partial(parse_count_call, defaults=frontend.offer.defaults)) as call:
            prepared = await frontend.prepare_chat(call)
        return json_response({"input_tokens": prepared.prompt_tokens})
