"""The HTTP API of a model that makes vectors or scores. Runs on the event loop and never touches llama.cpp's context.

What asks such a model for text is refused in a sentence; the API of models that write does the same the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.errors import RequestError
from engine.llama.embedder import Vector
from engine.llama.pooling import Pooling
from engine.llama.tokens import Segment, Vocabulary
from engine.serving.http.answers import JsonObject
from engine.serving.http.guard import Guard
from engine.serving.http.intake import REFUSALS, Intake
from engine.serving.http.later import document_route
from engine.serving.http.models_answer import model_object, models_object, pick_model
from engine.serving.http.not_here import EMBEDDING_PATHS, RERANK_PATHS, WRITING_PATHS, refusing
from engine.serving.http.openapi import describe_pooler
from engine.serving.http.openapi_requests import Limits
from engine.serving.http.pace import Pace
from engine.serving.http.respond import json_response, unless_gone
from engine.serving.openai.wire import check_tokens, parse_detokenize, parse_drop
from engine.serving.vectors.engine import EmbeddingEngine, EmbeddingTicket
from engine.serving.vectors.wire import (
    RerankCall,
    Text,
    cut,
    embedding_answer,
    parse_embedding,
    parse_rerank,
    parse_tokenize_text,
    rerank_answer,
)


@dataclass(frozen=True, slots=True)
class EmbeddingOffer:
    """What the API serves, and within which limits."""

    model_id: str
    n_parameters: int
    size_bytes: int
    n_ctx_train: int
    queue_limit: int
    """Requests at hand."""
    pooling: Pooling
    width: int
    """Numbers in a row."""
    rerank_template: str | None
    """How query and document are put to a model that judges; ``None``: as two texts."""


class EmbeddingApi:
    """State of the HTTP side. The event loop's thread only."""

    def __init__(self, offer: EmbeddingOffer, engine: EmbeddingEngine, vocabulary: Vocabulary) -> None:
        self._offer = offer
        self._engine = engine
        self._vocabulary = vocabulary
        self._intake = Intake()
        self._pace = Pace()
        self._created = int(time.time())

    def application(self, *, api_keys: tuple[str, ...], host: str) -> Starlette:
        """The ASGI application."""
        name = self._offer.model_id
        if self._offer.pooling is Pooling.RANK:
            serves = [Route(path, self.rerank, methods=["POST"]) for path in RERANK_PATHS]
            what = f"{name} scores documents"
            serves += refusing(EMBEDDING_PATHS, f"{what}; it makes no vectors.", "Use /v1/rerank.")
        else:
            serves = [Route(path, self.embeddings, methods=["POST"]) for path in EMBEDDING_PATHS]
            what = f"{name} makes vectors of texts"
            serves += refusing(RERANK_PATHS, f"{what}; it scores no documents.", "Use /v1/embeddings.")
        limits = Limits(name, self._vocabulary.n_tokens, 1, self._offer.width)
        small = [
            document_route(lambda: describe_pooler(limits, ranks=self._offer.pooling is Pooling.RANK)),
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/v1/models", self.models),
            Route("/v1/models/{model:path}", self.model),
            Route("/tokenize", self.tokenize, methods=["POST"]),
            Route("/detokenize", self.detokenize, methods=["POST"]),
            Route("/cache/drop", self.drop_cache, methods=["POST"]),
        ]
        return Starlette(
            routes=[*small, *serves, *refusing(WRITING_PATHS, f"{what}; it does not write.", "Load a model for chat.")],
            middleware=[Middleware(Guard, api_keys=api_keys, host=host)],
            exception_handlers=REFUSALS,
        )

    def close(self) -> None:
        """End the threads that prepare requests."""
        self._intake.close()

    # Vectors and scores

    async def embeddings(self, request: Request) -> Response:
        """``POST /v1/embeddings``."""
        async with self._intake.read(request, parse_embedding) as call:
            self._check_model(call.model)
            if call.dimensions is not None and call.dimensions > self._offer.width:
                raise RequestError(
                    "invalid_parameter",
                    f"dimensions is {call.dimensions:,}; the vectors of this model have {self._offer.width:,}.",
                    param="dimensions",
                )
            texts = await self._intake.prepare(self._tokens_of, call.inputs)
        rows = await self._compute(request, texts)
        return await self._intake.prepare(
            lambda: json_response(
                embedding_answer(call, self._offer.model_id, cut(rows, call.dimensions), sum(map(len, texts)))
            )
        )

    async def rerank(self, request: Request) -> Response:
        """``POST /v1/rerank``."""
        async with self._intake.read(request, parse_rerank) as call:
            self._check_model(call.model)
            texts = await self._intake.prepare(self._pairs_of, call)
        rows = await self._compute(request, texts)
        scores = [float(row[0]) for row in rows]
        return json_response(rerank_answer(call, self._offer.model_id, scores, sum(map(len, texts))))

    async def _compute(self, request: Request, texts: Sequence[tuple[int, ...]]) -> list[Vector]:
        """A row for each text; nothing is computed for a client that has gone."""
        if self._pace.open >= self._offer.queue_limit:
            wait_s = self._pace.wait_s(self._pace.open, time.monotonic())
            raise RequestError(
                "queue_full",
                f"{self._pace.open} requests are waiting or running; that is as many as this worker takes.",
                f"They may be through in {wait_s} s.",
                status=429,
                retry_after_s=wait_s,
            )
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def resolve() -> None:
            if not ended.done():
                ended.set_result(None)

        def on_end(_: EmbeddingTicket) -> None:
            with contextlib.suppress(RuntimeError):  # the loop ended while the engine did; nobody is left to hear it
                loop.call_soon_threadsafe(resolve)

        ticket = EmbeddingTicket(tuple(texts), on_end)
        self._pace.begin(time.monotonic())
        try:
            self._engine.submit(ticket)
            await unless_gone(ended, request.receive)
        finally:
            self._pace.end(time.monotonic())
            if not ended.done() or ended.cancelled():
                self._engine.cancel(ticket)
        if ticket.error is not None:
            raise ticket.error
        if not all(bool(np.isfinite(row).all()) for row in ticket.rows):
            raise RequestError("no_number", "The model's answer is not a number.", status=500)
        return ticket.rows

    def _tokens_of(self, inputs: Iterable[Text]) -> list[tuple[int, ...]]:
        texts: list[tuple[int, ...]] = []
        for index, text in enumerate(inputs):
            if not isinstance(text, str):
                check_tokens(text, self._vocabulary.n_tokens, "input")
            tokens = tuple(self._vocabulary.tokenize_marked(text)) if isinstance(text, str) else text
            self._check_length(tokens, f"Text {index} of the input", "input")
            texts.append(tokens)
        return texts

    def _pairs_of(self, call: RerankCall) -> list[tuple[int, ...]]:
        pairs: list[tuple[int, ...]] = []
        for index, document in enumerate(call.documents):
            tokens = tuple(self._pair(call.query, document))
            self._check_length(tokens, f"Document {index} with the query", "documents")
            pairs.append(tokens)
        return pairs

    def _pair(self, query: str, document: str) -> list[int]:
        template = self._offer.rerank_template
        if template is None:
            return self._vocabulary.tokenize_pair(query, document)
        return self._vocabulary.tokenize_segments(fill_template(template, query, document), add_bos=False)

    def _check_length(self, tokens: Sequence[int], what: str, param: str) -> None:
        limit = self._engine.limit_tokens
        if not tokens:
            raise RequestError("empty_input", f"{what} is empty.", param=param)
        if len(tokens) > limit:
            raise RequestError(
                "context_length_exceeded",
                f"{what} has {len(tokens):,} tokens; {limit:,} are the most.",
                "Cut it into pieces.",
                param=param,
            )

    def _check_model(self, model: str) -> None:
        if model not in ("", "default", self._offer.model_id):
            raise RequestError(
                "model_not_found",
                f"The model {model[:100]!r} is not served here.",
                f"This worker serves {self._offer.model_id!r}.",
                status=404,
                param="model",
            )

    # Small ones

    async def health(self, request: Request) -> Response:
        """``GET /health``."""
        return json_response({"status": "ok", "model": self._offer.model_id, "busy": self._engine.busy})

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``."""
        return json_response(models_object(self._model()))

    async def model(self, request: Request) -> Response:
        """``GET /v1/models/{model}``."""
        return json_response(pick_model(self._model(), request.path_params["model"]))

    def _model(self) -> JsonObject:
        offer = self._offer
        meta = {
            "n_ctx": self._engine.limit_tokens,
            "n_ctx_train": offer.n_ctx_train,
            "n_params": offer.n_parameters,
            "size": offer.size_bytes,
            "n_vocab": self._vocabulary.n_tokens,
            "n_embd": offer.width,
            "pooling": offer.pooling.name.lower(),
        }
        return model_object(offer.model_id, self._created, meta)

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``, Prometheus' text."""
        lines = [*self._engine.metrics.lines()]
        for name, value in {"waiting_sequences": self._engine.waiting, "answers_open": self._pace.open}.items():
            lines += [f"# TYPE gatehouse_{name} gauge", f"gatehouse_{name} {value}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def drop_cache(self, request: Request) -> Response:
        """``POST /cache/drop``: nothing is kept between two texts."""
        async with self._intake.read(request, parse_drop):
            return json_response({"dropped": 0})

    async def tokenize(self, request: Request) -> Response:
        """``POST /tokenize``."""
        async with self._intake.read(request, parse_tokenize_text) as (text, marked):
            tokens = await self._intake.prepare(
                self._vocabulary.tokenize_marked if marked else self._plain_tokens, text
            )
        return json_response({"tokens": tokens, "count": len(tokens)})

    def _plain_tokens(self, text: str) -> list[int]:
        return self._vocabulary.tokenize(text, parse_special=False, add_bos=False)

    async def detokenize(self, request: Request) -> Response:
        """``POST /detokenize``."""
        async with self._intake.read(request, parse_detokenize) as tokens:
            check_tokens(tokens, self._vocabulary.n_tokens, "tokens")
            text = await self._intake.prepare(self._vocabulary.text, tokens)
        return json_response({"content": text})


def fill_template(template: str, query: str, document: str) -> list[Segment]:
    """A template with ``{query}`` and ``{document}``; only its own text may spell control tokens. Pure."""
    segments: list[Segment] = []
    for position, around_query in enumerate(template.split("{query}")):
        if position:
            segments.append(Segment(query, trusted=False))
        for inner, text in enumerate(around_query.split("{document}")):
            if inner:
                segments.append(Segment(document, trusted=False))
            segments.append(Segment(text, trusted=True))
    return segments
