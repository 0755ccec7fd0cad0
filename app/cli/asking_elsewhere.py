"""``gatehouse chat --gate`` and ``gatehouse gate preview``: the sheet in a terminal. Nothing is kept but the ledger.

What would leave is shown on standard error and agreed to there; without a terminal nobody can agree, so nothing leaves.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from app.bootstrap import Product
from app.cli import printer
from app.cli.opening import ready_model
from app.gate.label import GateMode, Label
from app.gate.policy import refuse
from app.gate.records import Ask, Preview
from app.providers.provider import Chunk, Usage
from engine.errors import GatehouseError


@dataclass(frozen=True, slots=True)
class Question:
    """What the person asked for on the command line."""

    text: str
    mode: GateMode
    label: Label
    provider: str | None = None
    """A name, or a part of one."""
    conversation_id: str | None = None
    system_prompt: str = ""


@dataclass(slots=True)
class _Heard:
    pieces: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    finish_reason: str | None = None
    usage: Usage | None = None

    def take(self, chunk: Chunk) -> None:
        self.pieces.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage


def preview(product: Product, question: Question, *, as_json: bool) -> None:
    """Print exactly what would leave: the body byte for byte, or the whole sheet as JSON.

    Raises ``GatehouseError`` with policy's words when nothing would; JSON says so in its verdict.
    """
    made = product.run(_preview(product, question))
    if as_json:
        printer.as_json(_fields(made))
        return
    refuse(made.verdict)
    for warning in made.warnings:
        printer.complain(warning)
    sys.stdout.buffer.write(made.body)
    sys.stdout.buffer.flush()


def ask(product: Product, question: Question, *, as_json: bool) -> bool:
    """Ask who is elsewhere, if policy and the person agree; false when the person would rather stay local.

    Raises ``GatehouseError``: then nothing left, or what went wrong.
    """
    shows = question.mode is GateMode.ASK or question.label is Label.CONFIDENTIAL
    if shows and not sys.stdin.isatty():
        raise GatehouseError(
            "needs_sheet",
            "Nobody at a terminal can agree to what would leave, so nothing was sent.",
            "See it with gatehouse gate preview; what is confidential is agreed to at a terminal each time."
            if question.label is Label.CONFIDENTIAL
            else "See it with gatehouse gate preview, or use --gate open.",
        )
    made = product.run(_preview(product, question))
    refuse(made.verdict)
    if shows and not _agreed(made):
        product.run(product.gate.discard(made.id))
        return False
    future = product.core.submit(_stream(product.gate.stream(made.id, made.body_sha256), show=not as_json))
    try:
        heard = future.result()
    except KeyboardInterrupt:
        future.cancel()
        raise
    if as_json:
        printer.as_json(_answer_fields(made, heard))
    return True


async def _preview(product: Product, question: Question) -> Preview:
    provider_id = None
    if question.provider is not None:
        provider_id = (await product.outside.providers.find(question.provider)).id
    if question.label is not Label.RESTRICTED and question.mode is not GateMode.LOCAL:
        await _wake_names(product)
    return await product.gate.preview(
        Ask(
            question.conversation_id,
            draft=question.text,
            provider_id=provider_id,
            label=question.label,
            mode=question.mode,
            system_prompt=question.system_prompt,
        )
    )


async def _wake_names(product: Product) -> None:
    """Names are sought by the local model; where there is none, the preview says so."""
    try:
        await ready_model(product, None)
    except GatehouseError as error:
        printer.complain(f"Nobody can look for names: {error.sentence}")


def _agreed(made: Preview) -> bool:
    sys.stderr.write(_sheet(made))
    sys.stderr.flush()
    return sys.stdin.readline().strip().casefold() in ("y", "yes")


def _sheet(made: Preview) -> str:
    lines = [f"This would leave for {made.provider.name} ({made.provider.base_url}, {made.provider.model}):", ""]
    for place, message in enumerate(made.messages):
        if place not in made.left_out:
            lines += [f"[{message.role}] {printer.harmless(message.after)}", ""]
    hidden = ", ".join(f"{one.placeholder} = {printer.harmless(one.text)}" for one in made.redactions if one.on)
    lines += [f"Hidden: {hidden}."] if hidden else []
    cost = "nobody knows" if made.cost_usd_at_most is None else f"${made.cost_usd_at_most:.4f} at most"
    lines += [f"About {made.prompt_tokens:,} tokens, {len(made.body):,} bytes; cost: {cost}. Label: {made.label}."]
    lines += list(made.warnings)
    return "\n".join(lines) + "\nSend it? [y/N] "


async def _stream(chunks: AsyncGenerator[Chunk, None], *, show: bool) -> _Heard:
    heard = _Heard()
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                heard.take(chunk)
                if show and chunk.text:
                    printer.piece(printer.from_stranger(chunk.text))
    finally:
        if show and any(heard.pieces):
            printer.line("")
    return heard


def _answer_fields(made: Preview, heard: _Heard) -> dict[str, object]:
    return {
        "text": "".join(heard.pieces),
        "reasoning": "".join(heard.reasoning),
        "model": made.provider.model,
        "provider": made.provider.name,
        "route": made.provider.trust,
        "label": made.label.value,
        "finish_reason": heard.finish_reason,
        "usage": None
        if heard.usage is None
        else {"prompt_tokens": heard.usage.prompt_tokens, "completion_tokens": heard.usage.completion_tokens},
        "cost_usd_at_most": made.cost_usd_at_most,
        "body_sha256": made.body_sha256,
    }


def _fields(made: Preview) -> dict[str, object]:
    return {
        "allowed": made.verdict.allowed,
        "code": made.verdict.code,
        "sentence": made.verdict.sentence,
        "provider": made.provider.name,
        "url": f"{made.provider.base_url}/chat/completions",
        "model": made.provider.model,
        "label": made.label.value,
        "gate": made.mode.value,
        "prompt_tokens": made.prompt_tokens,
        "cost_usd_at_most": made.cost_usd_at_most,
        "bytes": len(made.body),
        "body_sha256": made.body_sha256,
        "body": made.body.decode("utf-8"),
        "redactions": [
            {"placeholder": one.placeholder, "kind": one.kind, "text": one.text, "count": one.count, "on": one.on}
            for one in made.redactions
        ],
        "attachments": [{"name": one.name, "label": one.label.value} for one in made.attachments],
        "warnings": list(made.warnings),
    }
