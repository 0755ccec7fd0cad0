"""The worker's small endpoints: whether it lives, what it serves, how it is doing, and its vocabulary."""

from __future__ import annotations

import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.errors import RequestError
from engine.serving.engine import Engine, EngineState
from engine.serving.http.answers import step_object
from engine.serving.http.frontend import Frontend
from engine.serving.http.models_answer import model_object, models_object, pick_model
from engine.serving.http.respond import json_response
from engine.serving.openai import wire

MAX_TOKENIZE_CHARS: Final = 1 << 20
"""llama.cpp takes about a hundred bytes for each character of a text, and seconds for megabytes without a space."""


class StateApi:
    """Endpoints that generate nothing."""

    def __init__(self, frontend: Frontend) -> None:
        self._frontend = frontend
        self._created = int(time.time())

    def routes(self) -> list[Route]:
        """Where they are."""
        return [
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/trace", self.trace),
            Route("/v1/models", self.models),
            Route("/v1/models/{model:path}", self.model),
            Route("/tokenize", self.tokenize, methods=["POST"]),
            Route("/detokenize", self.detokenize, methods=["POST"]),
            Route("/cache/drop", self.drop_cache, methods=["POST"]),
        ]

    async def health(self, request: Request) -> Response:
        """``GET /health``."""
        frontend = self._frontend
        return json_response({"status": "ok", "model": frontend.offer.model_id, "busy": frontend.engine.busy})

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``."""
        return json_response(models_object(self._model()))

    async def model(self, request: Request) -> Response:
        """``GET /v1/models/{model}``."""
        return json_response(pick_model(self._model(), request.path_params["model"]))

    def _model(self) -> dict[str, Any]:
        offer = self._frontend.offer
        meta = {
            "n_ctx": self._frontend.engine.limit_tokens,
            "n_ctx_train": offer.n_ctx_train,
            "n_params": offer.n_parameters,
            "size": offer.size_bytes,
            "n_vocab": self._frontend.vocabulary.n_tokens,
        }
        return model_object(offer.model_id, self._created, meta)

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``, Prometheus' text."""
        state: EngineState = await self._frontend.ask(Engine.state)
        gauges = {
            "waiting_sequences": state.waiting,
            "active_sequences": state.active,
            "kv_cells_used": state.used_cells,
            "kv_cells": state.n_cells,
            "idle_prefixes": state.idle_prefixes,
            "checkpoints": state.checkpoints,
            "checkpoint_bytes": state.checkpoint_bytes,
            "answers_open": self._frontend.answering,
        }
        lines = list(self._frontend.engine.metrics.lines())
        lines += ["# TYPE gatehouse_preemptions_total counter", f"gatehouse_preemptions_total {state.preemptions}"]
        for name, value in gauges.items():
            lines += [f"# TYPE gatehouse_{name} gauge", f"gatehouse_{name} {value}"]
        lines += await self._frontend.ask(Engine.kept_lines)
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def trace(self, request: Request) -> Response:
        """``GET /trace``: the last steps of the engine, oldest first."""
        steps = await self._frontend.ask(Engine.trace)
        return json_response({"object": "list", "data": [step_object(step) for step in steps]})

    async def drop_cache(self, request: Request) -> Response:
        """``POST /cache/drop``: forget past conversations, or the one named ``prompt_cache_key``; on disk too."""
        async with self._frontend.read(request, wire.parse_drop) as key:
            question = Engine.drop_idle if key is None else lambda engine: engine.drop_owned(key)
            return json_response({"dropped": await self._frontend.ask(question)})

    async def tokenize(self, request: Request) -> Response:
        """``POST /tokenize``."""
        frontend = self._frontend
        async with frontend.read(request, wire.parse_tokenize) as call:
            _refuse_long(sum(map(len, [call.content] if call.chat is None else call.chat.texts())))
            tokens = await frontend.prepare(self._tokenize_now, call)
        return json_response({"tokens": tokens, "count": len(tokens)})

    def _tokenize_now(self, call: wire.TokenizeCall) -> list[int]:
        if call.chat is not None:
            return self._frontend.chats.tokens(call.chat)
        vocabulary = self._frontend.vocabulary
        return vocabulary.tokenize(call.content, parse_special=call.parse_special, add_bos=call.add_special)

    async def detokenize(self, request: Request) -> Response:
        """``POST /detokenize``."""
        frontend = self._frontend
        async with frontend.read(request, wire.parse_detokenize) as tokens:
            wire.check_tokens(tokens, frontend.vocabulary.n_tokens, "tokens")
            text = await frontend.prepare(frontend.vocabulary.text, tokens)
        return json_response({"content": text})


def _refuse_long(n_characters: int) -> None:
    if n_characters > MAX_TOKENIZE_CHARS:
        raise RequestError(
            "too_large",
            f"The text has {n_characters:,} characters; {MAX_TOKENIZE_CHARS:,} are tokenized at a time.",
            "Shorten it, or send it in parts.",
            status=413,
        )
