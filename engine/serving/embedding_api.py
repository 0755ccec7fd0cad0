"""The HTTP API of a model that makes vectors or scores. Runs on the event loop and never touches llama.cpp's context.

What asks such a model for text is refused in a sentence; the API of models that write does the same the other way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.errors import RequestError
from engine.llama.embedder import Pooling, Vector
from engine.llama.tokens import Segment, Vocabulary
from engine.serving.embedding import EmbeddingEngine, EmbeddingTicket
from engine.serving.embedding_wire import (
    RerankCall,
    Text,
    cut,
    embedding_answer,
    parse_embedding,
    parse_rerank,
    rerank_answer,
)
from engine.serving.guard import Guard
from engine.serving.intake import REFUSALS, Intake
from engine.serving.respond import json_response, unless_gone
from engine.serving.wire import check_tokens, parse_detokenize, parse_tokenize

EMBEDDING_PATHS: Final = ("/v1/embeddings", "/embeddings")
RERANK_PATHS: Final = ("/v1/rerank", "/rerank", "/v1/reranking", "/reranking")
WRITING_PATHS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
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
        self._answering = 0
        self._created = int(time.time())

    def application(self, *, api_keys: tuple[str, ...], host: str) -> Starlette:
        """The ASGI application."""
        ranks = self._offer.pooling is Pooling.RANK
        embed, rerank = (self.no_vectors, self.rerank) if ranks else (self.embeddings, self.no_scores)
        post: dict[str, Callable[[Request], Awaitable[Response]]] = {
            **dict.fromkeys(EMBEDDING_PATHS, embed),
            **dict.fromkeys(RERANK_PATHS, rerank),
            **dict.fromkeys(WRITING_PATHS, self.no_text),
            "/tokenize": self.tokenize,
            "/detokenize": self.detokenize,
            "/cache/drop": self.drop_cache,
        }
        get = {"/health": self.health, "/metrics": self.metrics, "/v1/models": self.models}
        return Starlette(
            routes=[Route(path, answer) for path, answer in get.items()]
            + [Route(path, answer, methods=["POST"]) for path, answer in post.items()],
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
        if self._answering >= self._offer.queue_limit:
            raise RequestError(
                "queue_full", f"{self._answering} requests are waiting or running; try again in a moment.", status=429
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
        self._answering += 1
        try:
            self._engine.submit(ticket)
            await unless_gone(ended, request.receive)
        finally:
            self._answering -= 1
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

    # What such a model does not do

    async def no_text(self, request: Request) -> Response:
        """Every path that wants text."""
        what = "scores documents" if self._offer.pooling is Pooling.RANK else "makes vectors of texts"
        self._refuse(f"{self._offer.model_id} {what}; it does not write.", "Load a model for chat.")

    async def no_vectors(self, request: Request) -> Response:
        """``/v1/embeddings`` of a reranking model."""
        self._refuse(f"{self._offer.model_id} scores documents; it makes no vectors.", "Use /v1/rerank.")

    async def no_scores(self, request: Request) -> Response:
        """``/v1/rerank`` of an embedding model."""
        self._refuse(f"{self._offer.model_id} makes vectors; it scores no documents.", "Use /v1/embeddings.")

    @staticmethod
    def _refuse(sentence: str, hint: str) -> NoReturn:
        raise RequestError("not_supported", sentence, hint)

    # Small ones

    async def health(self, request: Request) -> Response:
        """``GET /health``."""
        return json_response({"status": "ok", "model": self._offer.model_id, "busy": self._engine.busy})

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``."""
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
        model = {"id": offer.model_id, "object": "model", "created": self._created, "owned_by": "gatehouse"}
        return json_response({"object": "list", "data": [{**model, "meta": meta}]})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``, Prometheus' text."""
        lines = [*self._engine.metrics.lines()]
        for name, value in {"waiting_sequences": self._engine.waiting, "answers_open": self._answering}.items():
            lines += [f"# TYPE gatehouse_{name} gauge", f"gatehouse_{name} {value}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def drop_cache(self, request: Request) -> Response:
        """``POST /cache/drop``: nothing is kept between two texts."""
        return json_response({"dropped": 0})

    async def tokenize(self, request: Request) -> Response:
        """``POST /tokenize``."""
        async with self._intake.read(request, parse_tokenize) as call:
            if call.messages is not None:
                self._refuse(f"{self._offer.model_id} knows no messages.", "Send content.")
            tokens = await self._intake.prepare(
                self._vocabulary.tokenize_marked if call.add_special else self._plain_tokens, call.content
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
