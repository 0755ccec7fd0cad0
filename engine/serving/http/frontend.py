"""What all protocols share: bodies read within bounds, prompts prepared, calls admitted, answers sent.

A protocol parses a body into a call, has it prepared and run here, and brings an encoder that makes its JSON of the
events. The event loop's thread only; templates and tokenizing happen in a small thread pool, because a long prompt
would hold up everybody's tokens here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from engine.errors import RequestError
from engine.llama.chat import Chat
from engine.llama.constrain import GrammarCompiler
from engine.llama.sampler import SamplingSettings
from engine.llama.template import ChatTemplate
from engine.llama.tokens import Vocabulary
from engine.serving.engine import Engine
from engine.serving.http.events import Event, Outcome
from engine.serving.http.generation import Generation, Prepared
from engine.serving.http.intake import Intake
from engine.serving.http.pace import Pace
from engine.serving.http.respond import EventStream, json_response, unless_gone
from engine.serving.openai import wire
from engine.serving.openai.chat_preparation import ChatPreparer
from engine.serving.openai.wire_options import Options

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


class Encoder(Protocol):
    """Makes one answer's bytes of its events. For one answer only, so it may remember what it has sent."""

    def encode(self, events: Sequence[Event]) -> bytes:
        """The protocol's events of these; possibly nothing."""

    def end(self) -> bytes:
        """What follows when every choice has finished."""

    def failure(self, error: RequestError) -> bytes:
        """An error in the middle of a stream, which ends it."""

    def whole(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """The answer in one piece."""


class Frontend:
    """The shared state of the HTTP side."""

    def __init__(self, offer: Offer, engine: Engine, vocabulary: Vocabulary, template: ChatTemplate) -> None:
        self.offer = offer
        self.engine = engine
        self.vocabulary = vocabulary
        self._pace = Pace()
        self.chats = ChatPreparer(vocabulary, template)
        self._intake = Intake()
        self.read = self._intake.read
        self.prepare = self._intake.prepare
        self._grammars = GrammarCompiler(vocabulary)
        self._compiling = ThreadPoolExecutor(1, thread_name_prefix="compile")

    def close(self) -> None:
        """End the threads that prepare requests."""
        self._intake.close()
        self._compiling.shutdown(wait=False, cancel_futures=True)

    # Preparing

    async def prepare_chat(self, call: wire.ChatCall) -> Prepared:
        """Check a chat call against the model, render and tokenize it. Raises: ``RequestError``."""
        self.check(call.options)
        self.refuse_what_never_fits(Chat(call.messages).texts())
        return await self.prepare(self.chats.prepare, call)

    async def constrained(self, prepared: Prepared) -> Prepared:
        """The same with its constraint compiled: the prepared call's own, else the options'.

        Compiling has a thread of its own, so that a large schema holds up nobody's prompt. Raises: ``RequestError``.
        """
        constraint = prepared.constraint or prepared.options.constraint
        if constraint is None:
            return prepared
        loop = asyncio.get_running_loop()
        grammar = await loop.run_in_executor(self._compiling, self._grammars.compile, constraint)
        return replace(prepared, grammar=grammar)

    # Checking

    def check(self, options: Options) -> None:
        """Raises: ``RequestError`` when this worker cannot do what is asked."""
        if options.model not in ("", "default", self.offer.model_id):
            raise RequestError(
                "model_not_found",
                f"The model {options.model[:100]!r} is not served here.",
                f"This worker serves {self.offer.model_id!r}.",
                status=404,
                param="model",
            )
        if options.choices > self.offer.n_slots:
            raise RequestError(
                "invalid_parameter",
                f"n is {options.choices}; this worker answers at most {self.offer.n_slots} at a time.",
                param="n",
            )
        wire.check_tokens(tuple(options.sampling.logit_bias), self.vocabulary.n_tokens, "logit_bias")

    def refuse_what_never_fits(self, texts: Iterable[str]) -> None:
        """Before work that grows with the prompt: no text is shorter in tokens than this, and no message is free."""
        lengths = [len(text) for text in texts]
        self._refuse_above_limit(max(len(lengths), self.vocabulary.least_tokens(sum(lengths))), "at least ")

    def _refuse_above_limit(self, n_tokens: int, about: str) -> None:
        limit = self.engine.limit_tokens
        if n_tokens >= limit:
            raise RequestError(
                "context_length_exceeded",
                f"The prompt has {about}{n_tokens:,} tokens; the context holds {limit:,}, the answer included.",
                "A shorter prompt, or a larger context, is needed.",
            )

    # Answering

    def start(self, prepared: Prepared) -> Generation:
        """Queue a prepared call; the caller closes it. Raises: ``RequestError`` when it cannot fit or too many wait."""
        for tokens in prepared.prompts:
            if not tokens:
                raise RequestError("empty_prompt", "The prompt is empty.", param="prompt")
            self._refuse_above_limit(len(tokens), "")
        now = time.monotonic()
        if self.answering >= self.offer.queue_limit + self.offer.n_slots:
            wait_s = self._pace.wait_s(self.offer.queue_limit, now)
            raise RequestError(
                "queue_full",
                f"{self.answering} requests are waiting or running; that is as many as this worker takes.",
                f"Those that wait may be through in {wait_s} s.",
                status=429,
                retry_after_s=wait_s,
            )
        self._pace.begin(now)
        return Generation(self.engine, prepared, self._on_end)

    def _on_end(self) -> None:
        self._pace.end(time.monotonic())

    @property
    def answering(self) -> int:
        """Answers that are waiting or running."""
        return self._pace.open

    async def answer(self, request: Request, prepared: Prepared, encoder: Encoder) -> Response:
        """Generate, and answer as a stream or in one piece, as the options say. Raises: ``RequestError``."""
        generation = self.start(await self.constrained(prepared))
        try:
            if prepared.options.stream:
                return await _begin_stream(request, generation, encoder)
            outcomes = await unless_gone(generation.outcomes(), request.receive)
            return json_response(encoder.whole(outcomes))
        except BaseException:
            generation.close()
            raise

    async def ask(self, question: Callable[[Engine], T]) -> T:
        """The answer of the engine's thread, between two steps."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def resolve(result: T) -> None:
            if not future.done():
                future.set_result(result)

        def answer(result: T) -> None:
            loop.call_soon_threadsafe(resolve, result)

        self.engine.ask(question, answer)
        return await future


async def _begin_stream(request: Request, generation: Generation, encoder: Encoder) -> Response:
    """Wait for the first token before answering at all, so that an early failure still has its status."""
    pieces = _pieces(generation, encoder)
    try:
        first = await unless_gone(anext(pieces), request.receive)
    except BaseException:
        await pieces.aclose()
        raise
    return EventStream(pieces, first)


async def _pieces(generation: Generation, encoder: Encoder) -> AsyncGenerator[bytes, None]:
    begun = False
    try:
        while not generation.finished:
            try:
                piece = encoder.encode(await generation.take())
            except RequestError as error:
                if not begun:
                    raise
                yield encoder.failure(error)
                return
            if piece:
                begun = True
                yield piece
        yield encoder.end()
    finally:
        generation.close()
