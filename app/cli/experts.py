"""``gatehouse experts``: which experts a model's routers pick for a prompt, what watching costs, what other numbers of
experts per token would change. Counting is the worker's; this asks it over loopback.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import printer
from app.cli.opening import find_model
from app.models.expert_counts import ask_worker, read_experts, switch_experts
from app.providers.provider import Endpoint
from engine.errors import GatehouseError
from engine.fit.plan import Wish
from engine.fit.routed import LayerRouting, routed_object

if TYPE_CHECKING:
    from app.bootstrap import Product
    from app.paths import Paths
    from app.services import ModelsApi

_MAX_PROMPT_BYTES = 8 << 20
_SHADES = " ·░▒▓█"


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer's figures."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    prefill_tok_s: float | None
    decode_tok_s: float | None


@dataclass(frozen=True, slots=True)
class CountEffect:
    """What a number of experts per token made of the same prompt."""

    n_expert_used: int | None
    """``None``: the model's own number."""
    prefill_tok_s: float | None
    decode_tok_s: float | None
    same_beginning: float
    """Share of the answer, in characters, that equals the beginning of the answer with the model's own number."""


def register(program: typer.Typer) -> None:
    """Add the command."""
    program.command()(experts)


def experts(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Its name, a part of it, or a GGUF file.")],
    prompt_file: Annotated[Path, typer.Option("--prompt-file", help='Text to read and answer; "-": standard input.')],
    max_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Length of the answer.")] = 64,
    counts: Annotated[str, typer.Option(help="Also try these numbers of experts per token, e.g. 4,8,12.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Which experts a mixture-of-experts model uses for a text, layer by layer."""
    from app.bootstrap import build
    from app.vault.typing_in import unlocked

    paths: Paths = context.obj
    text, wanted = _read_prompt(prompt_file), _read_counts(counts)
    product = build(paths, exclusive=False, vault=unlocked(paths))
    try:
        chosen = find_model(product, model).id
        report = product.run(_report(product, chosen, text, max_tokens, wanted))
    finally:
        product.close()
    if as_json:
        printer.as_json(report)
    else:
        _print(report)


async def _report(product: Product, chosen: str, text: str, max_tokens: int, counts: tuple[int, ...]) -> dict[str, Any]:
    models = product.services.models
    endpoint = await product.models.ensure_ready(chosen)
    plain = await answer(endpoint, text, max_tokens)
    await switch_experts(endpoint, watching=True)
    watched = await answer(endpoint, text, max_tokens)
    routed = await read_experts(endpoint)
    await switch_experts(endpoint, watching=False)
    effects = await try_counts(product.models, models, chosen, text, max_tokens, counts) if counts else ()
    counted = routed_object(routed)
    del counted["watching"]
    return {
        "model": chosen,
        "prompt_tokens": watched.prompt_tokens,
        "completion_tokens": watched.completion_tokens,
        **counted,
        "cost": {"decode_tok_s": plain.decode_tok_s, "decode_tok_s_watching": watched.decode_tok_s},
        "counts": [
            {
                "n_expert_used": effect.n_expert_used,
                "prefill_tok_s": effect.prefill_tok_s,
                "decode_tok_s": effect.decode_tok_s,
                "same_beginning": round(effect.same_beginning, 3),
            }
            for effect in effects
        ],
    }


async def try_counts(
    keeper: Any, models: ModelsApi, model_id: str, text: str, max_tokens: int, counts: tuple[int, ...]
) -> tuple[CountEffect, ...]:
    """Load the model with each number of experts per token, its own first, and answer the same text."""
    effects: list[CountEffect] = []
    own = ""
    for count in (None, *counts):
        await models.load(model_id, replace(Wish(), n_expert_used=count))
        told = await answer(await keeper.ensure_ready(model_id), text, max_tokens)
        own = own if effects else told.text
        effects.append(CountEffect(count, told.prefill_tok_s, told.decode_tok_s, _same_beginning(own, told.text)))
    return tuple(effects)


def _same_beginning(first: str, second: str) -> float:
    same = next(
        (i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), min(len(first), len(second))
    )
    longest = max(len(first), len(second))
    return same / longest if longest else 1.0


async def answer(endpoint: Endpoint, text: str, max_tokens: int) -> Answered:
    """Read and go on with a text, greedily and past its end, so that answers compare. Raises ``GatehouseError``."""
    body = {"prompt": text, "max_tokens": max_tokens, "temperature": 0, "ignore_eos": True}
    await ask_worker(endpoint, "/cache/drop", {})  # or the second answer would find the first one's prefix
    fields = await ask_worker(endpoint, "/v1/completions", body)
    timings, usage = fields.get("timings", {}), fields.get("usage", {})
    return Answered(
        text=str(fields["choices"][0]["text"]),
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        prefill_tok_s=_rate(timings.get("prompt_per_second")),
        decode_tok_s=_rate(timings.get("predicted_per_second")),
    )


def _rate(value: object) -> float | None:
    return round(float(value), 2) if isinstance(value, int | float) and value > 0 else None


def _read_prompt(file: Path) -> str:
    source = sys.stdin.buffer if str(file) == "-" else None
    data = source.read(_MAX_PROMPT_BYTES) if source else file.read_bytes()[:_MAX_PROMPT_BYTES]
    text = data.decode("utf-8", "replace")
    if not text.strip():
        raise GatehouseError("no_prompt", f"There is no text in {file}.")
    return text


def _read_counts(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not all(part.isdecimal() and 0 < int(part) <= 1024 for part in parts):
        raise GatehouseError("bad_counts", f"{text!r} is no list of numbers of experts.", "For example: --counts 4,8")
    return tuple(int(part) for part in parts)


def _print(report: dict[str, Any]) -> None:
    experts_text = f"{report['n_used']} of {report['n_experts']} experts a token, {report['tokens']:,} tokens"
    printer.line(f"{report['model']}: {experts_text}.")
    for row in report["layers"]:
        layer = LayerRouting(row["layer"], tuple(row["counts"]))
        never = f", {len(layer.never_used)} never used" if layer.never_used else ""
        printer.line(f"{layer.layer:4} |{_heat(layer)}| {layer.hottest_share:4.0%} to the hottest tenth{never}")
    cost = report["cost"]
    if cost["decode_tok_s"] and cost["decode_tok_s_watching"]:
        lost = 1 - cost["decode_tok_s_watching"] / cost["decode_tok_s"]
        printer.line(f"Watching: {cost['decode_tok_s_watching']} instead of {cost['decode_tok_s']} tok/s ({lost:.0%}).")
    for effect in report["counts"]:
        name = effect["n_expert_used"] or f"{report['n_used']} (its own)"
        printer.line(
            f"{name} experts a token: {effect['decode_tok_s']} tok/s, {effect['same_beginning']:.0%} as before"
        )


def _heat(layer: LayerRouting) -> str:
    most = max(layer.shares, default=0.0) or 1.0
    return "".join(_SHADES[round(share / most * (len(_SHADES) - 1))] for share in layer.shares)
