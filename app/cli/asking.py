"""``gatehouse chat``: one question, one streamed answer, nothing kept."""

from __future__ import annotations

import dataclasses
import time
from contextlib import aclosing
from dataclasses import dataclass, field

from app.bootstrap import Product
from app.chat.prompt import build, refuse_overflow
from app.chat.records import ContextUse
from app.chat.repetition import RepetitionWatch, repeating
from app.cli import printer
from app.cli.opening import ready_model
from app.gate.records import Flag
from app.providers.provider import Chunk, Endpoint, Sampling, Timings, Usage
from app.routing.watch import AnswerWatch


@dataclass(slots=True)
class _Answer:
    endpoint: Endpoint
    pieces: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None
    timings: Timings | None = None
    ttft_s: float | None = None
    flag: Flag | None = None

    def take(self, chunk: Chunk) -> None:
        self.pieces.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage
        self.timings = chunk.timings or self.timings


def ask(product: Product, text: str, model_id: str | None, *, as_json: bool) -> None:
    """Print the answer as it comes, or as one JSON object at its end. Raises ``GatehouseError``."""
    future = product.core.submit(_ask(product, text, model_id, show=not as_json))
    try:
        answer = future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise
    if as_json:
        printer.as_json(_fields(answer))


async def _ask(product: Product, text: str, model_id: str | None, *, show: bool) -> _Answer:
    endpoint = await ready_model(product, model_id)
    values = product.services.settings.values
    prompt = build(values.system_prompt, (), text)
    count = await product.provider.count_tokens(endpoint, prompt)
    refuse_overflow(ContextUse(count, endpoint.n_ctx, exact=True))
    sampling = Sampling(values.temperature, values.top_p, values.repeat_penalty, values.max_tokens, logprobs=True)
    watch = AnswerWatch(text, count, endpoint.n_ctx, values.routing)
    answer = _Answer(endpoint)
    asked_at = time.monotonic()
    circles = RepetitionWatch()
    async with aclosing(product.provider.stream(endpoint, prompt, sampling)) as chunks:
        async for chunk in chunks:
            if answer.ttft_s is None and (chunk.text or chunk.reasoning):
                answer.ttft_s = time.monotonic() - asked_at
            answer.take(chunk)
            if show and chunk.text:
                printer.piece(printer.from_stranger(chunk.text))
            watch.take(chunk)
            if circles.take(chunk.text or chunk.reasoning):
                answer.finish_reason = "repeating"
                break
    answer.flag = watch.flag
    if show:
        printer.line("")
    if answer.finish_reason == "repeating":
        printer.complain(str(repeating()))
    return answer


def _fields(answer: _Answer) -> dict[str, object]:
    return {
        "text": "".join(answer.pieces),
        "reasoning": "".join(answer.reasoning),
        "model": answer.endpoint.model_id,
        "device": answer.endpoint.device,
        "route": "local",
        "flag": dataclasses.asdict(answer.flag) if answer.flag else None,
        "finish_reason": answer.finish_reason,
        "ttft_s": answer.ttft_s,
        "usage": dataclasses.asdict(answer.usage) if answer.usage else None,
        "timings": dataclasses.asdict(answer.timings) if answer.timings else None,
    }
