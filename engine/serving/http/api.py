"""The worker's HTTP API: its routes, and OpenAI's completions. What all protocols share is in ``frontend.py``.

What a chat does not need is imported when it is first asked for (``later.py``), so that a worker is ready sooner.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.llama.template import ChatTemplate
from engine.llama.tokens import Vocabulary
from engine.serving.engine import Engine
from engine.serving.expert_watch import ExpertWatch
from engine.serving.http.experts_api import ExpertsApi
from engine.serving.http.frontend import Frontend, Offer
from engine.serving.http.generation import Prepared
from engine.serving.http.guard import Guard
from engine.serving.http.intake import REFUSALS
from engine.serving.http.later import document_route, messages_routes, responses_route
from engine.serving.http.not_here import EMBEDDING_PATHS, RERANK_PATHS, refusing
from engine.serving.http.state_api import StateApi
from engine.serving.openai import wire
from engine.serving.openai.chat_answer import ChatEncoder
from engine.serving.openai.text_answer import TextEncoder


class Api:
    """The HTTP side. The event loop's thread only; never touches llama.cpp's context."""

    def __init__(
        self,
        offer: Offer,
        engine: Engine,
        vocabulary: Vocabulary,
        template: ChatTemplate,
        watch: ExpertWatch | None = None,
    ) -> None:
        self._frontend = Frontend(offer, engine, vocabulary, template)
        self._experts = ExpertsApi(self._frontend, watch)
        self._counts_experts = watch is not None
        self._completions = CompletionsApi(self._frontend)
        self._state = StateApi(self._frontend)

    def application(self, *, api_keys: tuple[str, ...], host: str) -> Starlette:
        """The ASGI application."""
        offer = self._frontend.offer
        name = offer.model_id
        return Starlette(
            routes=[
                document_route(self._describe),
                *self._state.routes(),
                *self._experts.routes(),
                *self._completions.routes(),
                responses_route(self._frontend),
                *messages_routes(self._frontend),
                *refusing(EMBEDDING_PATHS, f"{name} writes; it makes no vectors.", "Load an embedding model."),
                *refusing(RERANK_PATHS, f"{name} writes; it scores no documents.", "Load a reranking model."),
            ],
            middleware=[Middleware(Guard, api_keys=api_keys, host=host)],
            exception_handlers=REFUSALS,
        )

    def _describe(self) -> dict[str, Any]:
        from engine.serving.http.openapi import describe_writer
        from engine.serving.http.openapi_requests import Limits

        offer = self._frontend.offer
        limits = Limits(offer.model_id, self._frontend.vocabulary.n_tokens, offer.n_slots)
        return describe_writer(limits, counts_experts=self._counts_experts)

    def close(self) -> None:
        """End the threads that prepare requests."""
        self._frontend.close()


class CompletionsApi:
    """``/v1/chat/completions`` and ``/v1/completions``."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
        ]

    async def chat(self, request: Request) -> Response:
        """``POST /v1/chat/completions``."""
        frontend = self._frontend
        async with frontend.read(request, partial(wire.parse_chat, defaults=frontend.offer.defaults)) as call:
            prepared = await frontend.prepare_chat(call)
        encoder = ChatEncoder(
            frontend.offer.model_id,
            frontend.offer.fingerprint,
            prepared.n_choices,
            include_usage=call.options.include_usage,
        )
        return await frontend.answer(request, prepared, encoder)

    async def complete(self, request: Request) -> Response:
        """``POST /v1/completions``."""
        frontend = self._frontend
        async with frontend.read(request, partial(wire.parse_completion, defaults=frontend.offer.defaults)) as call:
            options = call.options
            frontend.check(options)
            for prompt in call.prompts:
                if isinstance(prompt, str):
                    frontend.refuse_what_never_fits([prompt])
            prompts = [await frontend.prepare(self._prompt_tokens, prompt) for prompt in call.prompts]
        encoder = TextEncoder(
            frontend.offer.model_id,
            frontend.offer.fingerprint,
            len(prompts) * options.choices,
            choices_per_prompt=options.choices,
            echoes=self._echoes(call),
            include_usage=options.include_usage,
        )
        return await frontend.answer(request, Prepared(tuple(map(tuple, prompts)), options), encoder)

    def _prompt_tokens(self, prompt: str | tuple[int, ...]) -> list[int]:
        vocabulary = self._frontend.vocabulary
        if isinstance(prompt, str):
            return vocabulary.tokenize(prompt, parse_special=True, add_bos=True)
        wire.check_tokens(prompt, vocabulary.n_tokens, "prompt")
        return list(prompt)

    def _echoes(self, call: wire.CompletionCall) -> list[str]:
        """The prompt's text for each choice, if it is to be repeated."""
        if not call.echo:
            return []
        texts = [p if isinstance(p, str) else self._frontend.vocabulary.text(p) for p in call.prompts]
        return [text for text in texts for _ in range(call.options.choices)]
