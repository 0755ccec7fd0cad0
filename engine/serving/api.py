"""The worker's HTTP API, in OpenAI's shapes. Runs on the main thread's event loop and never touches llama.cpp's
context: it turns calls into tickets for the engine, and deltas into answers.

Templates and tokenizing happen in a small thread pool, because a long prompt would hold up everybody's tokens here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.errors import RequestError
from engine.llama.sampler import SamplingSettings
from engine.llama.template import ChatMessage, ChatTemplate
from engine.llama.tokens import Vocabulary
from engine.serving import wire
from engine.serving.answers import DONE, Answer, error_event
from engine.serving.engine import Engine, EngineState
from engine.serving.guard import Guard
from engine.serving.intake import REFUSALS, Intake
from engine.serving.mailbox import Mailbox, Numbered
from engine.serving.respond import EventStream, json_response, unless_gone
from engine.serving.sequence import Delta, GenerationRequest, Ticket, Timings
from engine.serving.wire_options import Options

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Offer:
    """What the API serves, and within which limits."""

    model_id: str
    n_parameters: int
    size_bytes: int
    n_ctx_train: int
    n_slots: int
    queue_limit: int
    fingerprint: str
    defaults: SamplingSettings


class Api:
    """State of the HTTP side. The event loop's thread only."""

    def __init__(self, offer: Offer, engine: Engine, vocabulary: Vocabulary, template: ChatTemplate) -> None:
        self._offer = offer
        self._engine = engine
        self._vocabulary = vocabulary
        self._template = template
        self._intake = Intake()
        self._answering = 0
        self._created = int(time.time())

    def application(self, *, api_keys: tuple[str, ...], host: str) -> Starlette:
        """The ASGI application."""
        routes = [
            Route("/health", self.health),
            Route("/metrics", self.metrics),
            Route("/v1/models", self.models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/v1/completions", self.complete, methods=["POST"]),
            Route("/tokenize", self.tokenize, methods=["POST"]),
            Route("/detokenize", self.detokenize, methods=["POST"]),
            Route("/cache/drop", self.drop_cache, methods=["POST"]),
        ]
        return Starlette(
            routes=routes,
            middleware=[Middleware(Guard, api_keys=api_keys, host=host)],
            exception_handlers=REFUSALS,
        )

    def close(self) -> None:
        """End the threads that prepare requests."""
        self._intake.close()

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
        }
        model = {
            "id": offer.model_id,
            "object": "model",
            "created": self._created,
            "owned_by": "gatehouse",
            "meta": meta,
        }
        return json_response({"object": "list", "data": [model]})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``, Prometheus' text."""
        state: EngineState = await self._ask(Engine.state)
        gauges = {
            "waiting_sequences": state.waiting,
            "active_sequences": state.active,
            "kv_cells_used": state.used_cells,
            "kv_cells": state.n_cells,
            "idle_prefixes": state.idle_prefixes,
            "answers_open": self._answering,
        }
        lines = list(self._engine.metrics.lines())
        lines += ["# TYPE gatehouse_preemptions_total counter", f"gatehouse_preemptions_total {state.preemptions}"]
        for name, value in gauges.items():
            lines += [f"# TYPE gatehouse_{name} gauge", f"gatehouse_{name} {value}"]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def drop_cache(self, request: Request) -> Response:
        """``POST /cache/drop``: forget the prefixes of past conversations."""
        return json_response({"dropped": await self._ask(Engine.drop_idle)})

    async def tokenize(self, request: Request) -> Response:
        """``POST /tokenize``."""
        async with self._intake.read(request, wire.parse_tokenize) as call:
            tokens = await self._intake.prepare(self._tokenize_now, call)
        return json_response({"tokens": tokens, "count": len(tokens)})

    async def detokenize(self, request: Request) -> Response:
        """``POST /detokenize``."""
        async with self._intake.read(request, wire.parse_detokenize) as tokens:
            wire.check_tokens(tokens, self._vocabulary.n_tokens, "tokens")
            text = await self._intake.prepare(self._vocabulary.text, tokens)
        return json_response({"content": text})

    # Completions

    async def chat(self, request: Request) -> Response:
        """``POST /v1/chat/completions``."""
        async with self._intake.read(request, lambda body: wire.parse_chat(body, self._offer.defaults)) as call:
            options = call.options
            self._check(options)
            self._refuse_what_never_fits(message.content for message in call.messages)
            tokens = await self._intake.prepare(self._chat_tokens, call.messages)
        answer = Answer("chat", self._offer.model_id, self._offer.fingerprint, choices_per_prompt=options.choices)
        return await self._answer(request, answer, [tokens], options)

    async def complete(self, request: Request) -> Response:
        """``POST /v1/completions``."""
        async with self._intake.read(request, lambda body: wire.parse_completion(body, self._offer.defaults)) as call:
            options = call.options
            self._check(options)
            for prompt in call.prompts:
                if isinstance(prompt, str):
                    self._refuse_what_never_fits([prompt])
            prompts = [await self._intake.prepare(self._prompt_tokens, prompt) for prompt in call.prompts]
        echoes: list[str] = []
        if call.echo:
            texts = [p if isinstance(p, str) else self._vocabulary.text(p) for p in call.prompts]
            echoes = [text for text in texts for _ in range(options.choices)]
        answer = Answer(
            "text",
            self._offer.model_id,
            self._offer.fingerprint,
            choices_per_prompt=options.choices,
            echoes=echoes,
        )
        return await self._answer(request, answer, prompts, options)

    def _check(self, options: Options) -> None:
        if options.model not in ("", "default", self._offer.model_id):
            raise RequestError(
                "model_not_found",
                f"The model {options.model[:100]!r} is not served here.",
                f"This worker serves {self._offer.model_id!r}.",
                status=404,
                param="model",
            )
        if options.choices > self._offer.n_slots:
            raise RequestError(
                "invalid_parameter",
                f"n is {options.choices}; this worker answers at most {self._offer.n_slots} at a time.",
                param="n",
            )
        wire.check_tokens(tuple(options.sampling.logit_bias), self._vocabulary.n_tokens, "logit_bias")

    async def _answer(self, request: Request, answer: Answer, prompts: list[list[int]], options: Options) -> Response:
        for tokens in prompts:
            self._check_length(tokens)
        if self._answering >= self._offer.queue_limit + self._offer.n_slots:
            raise RequestError(
                "queue_full", f"{self._answering} requests are waiting or running; try again in a moment.", status=429
            )
        job = _Job(self._engine, prompts, options)
        job.submit()
        self._answering += 1
        try:
            if options.stream:
                return await self._begin_stream(request, answer, job, options)
            return await self._whole(request, answer, job)
        except BaseException:
            self._end(job)
            raise

    def _check_length(self, tokens: list[int]) -> None:
        if not tokens:
            raise RequestError("empty_prompt", "The prompt is empty.", param="prompt")
        self._refuse_above_limit(len(tokens), "")

    def _refuse_what_never_fits(self, texts: Iterable[str]) -> None:
        """Before work that grows with the prompt: no text is shorter in tokens than this, and no message is free."""
        lengths = [len(text) for text in texts]
        self._refuse_above_limit(max(len(lengths), self._vocabulary.least_tokens(sum(lengths))), "at least ")

    def _refuse_above_limit(self, n_tokens: int, about: str) -> None:
        limit = self._engine.limit_tokens
        if n_tokens >= limit:
            raise RequestError(
                "context_length_exceeded",
                f"The prompt has {about}{n_tokens:,} tokens; the context holds {limit:,}, the answer included.",
                "A shorter prompt, or a larger context, is needed.",
            )

    def _end(self, job: _Job) -> None:
        if not job.ended:
            job.ended = True
            job.cancel()
            self._answering -= 1

    async def _whole(self, request: Request, answer: Answer, job: _Job) -> Response:
        finals = await unless_gone(self._collect(job), request.receive)
        self._end(job)
        return json_response(answer.whole(finals))

    @staticmethod
    async def _collect(job: _Job) -> list[Delta]:
        finals: dict[int, Delta] = {}
        while len(finals) < job.n_choices:
            for choice, delta in await job.mailbox.take():
                if delta.error is not None:
                    raise delta.error
                finals[choice] = delta
        return [finals[choice] for choice in range(job.n_choices)]

    async def _begin_stream(self, request: Request, answer: Answer, job: _Job, options: Options) -> Response:
        """Wait for the first token before answering at all, so that an early failure still has its status."""
        events = self._events(answer, job, options)
        try:
            first = await unless_gone(anext(events), request.receive)
        except BaseException:
            await events.aclose()
            raise
        return EventStream(events, first)

    async def _events(self, answer: Answer, job: _Job, options: Options) -> AsyncGenerator[bytes, None]:
        timings: dict[int, Timings] = {}
        begun = False
        try:
            while len(timings) < job.n_choices:
                try:
                    taken = await job.mailbox.take()
                    parts = [self._event(answer, item, timings, job.n_choices) for item in taken]
                except RequestError as error:
                    if not begun:
                        raise
                    yield error_event(error)
                    return
                begun = True
                yield b"".join(parts)
            if options.include_usage:
                yield answer.usage_chunk([timings[choice] for choice in range(job.n_choices)])
            yield DONE
        finally:
            self._end(job)

    @staticmethod
    def _event(answer: Answer, item: Numbered, timings: dict[int, Timings], n_choices: int) -> bytes:
        choice, delta = item
        if delta.error is not None:
            raise delta.error
        event = answer.chunk(choice, delta)
        if delta.finish is None or delta.timings is None:
            return event
        timings[choice] = delta.timings
        last = [timings[n] for n in range(n_choices)] if len(timings) == n_choices else []
        return event + answer.closing(choice, delta, last)

    # Preparing

    def _chat_tokens(self, messages: tuple[ChatMessage, ...]) -> list[int]:
        return self._vocabulary.tokenize_segments(self._template.render(messages))

    def _prompt_tokens(self, prompt: str | tuple[int, ...]) -> list[int]:
        if isinstance(prompt, str):
            return self._vocabulary.tokenize(prompt, parse_special=True, add_bos=True)
        wire.check_tokens(prompt, self._vocabulary.n_tokens, "prompt")
        return list(prompt)

    def _tokenize_now(self, call: wire.TokenizeCall) -> list[int]:
        if call.messages is not None:
            return self._chat_tokens(call.messages)
        return self._vocabulary.tokenize(call.content, parse_special=call.parse_special, add_bos=call.add_special)

    async def _ask(self, question: Callable[[Engine], T]) -> T:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def resolve(result: T) -> None:
            if not future.done():
                future.set_result(result)

        def answer(result: T) -> None:
            loop.call_soon_threadsafe(resolve, result)

        self._engine.ask(question, answer)
        return await future


class _Job:
    """One answer's requests to the engine: a ticket for each prompt."""

    def __init__(self, engine: Engine, prompts: list[list[int]], options: Options) -> None:
        self._engine = engine
        self.mailbox = Mailbox(on_overflow=self.cancel)
        self.ended = False
        self.n_choices = len(prompts) * options.choices
        self._tickets = [
            Ticket(_request(tokens, options), self.mailbox.sink(index * options.choices))
            for index, tokens in enumerate(prompts)
        ]

    def submit(self) -> None:
        for ticket in self._tickets:
            self._engine.submit(ticket)

    def cancel(self) -> None:
        """Nobody waits any longer; does nothing to what has ended."""
        for ticket in self._tickets:
            self._engine.cancel(ticket)


def _request(tokens: list[int], options: Options) -> GenerationRequest:
    return GenerationRequest(
        tokens=tuple(tokens),
        sampling=options.sampling,
        max_tokens=options.max_tokens,
        choices=options.choices,
        stops=options.stops,
        ignore_end=options.ignore_end,
        streamed=options.stream,
        reuse_prefix=options.reuse_prefix,
    )
