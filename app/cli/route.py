"""``gatehouse route``: which model a prompt seems to need, and why. Declares; the rules are ``app.routing``'s."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import printer
from app.cli.opening import opened_product, prompt_of
from app.cli.options import GateOf, Json, LabelOf
from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE


def register(program: typer.Typer) -> None:
    """Add the command of this module."""
    program.command(name="route")(route)


def route(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help='What would be asked; "-" or nothing reads standard input.')
    ] = None,
    gate: GateOf = DEFAULT_MODE,
    label: LabelOf = DEFAULT_LABEL,
    as_json: Json = False,
) -> None:
    """Which model a prompt seems to need: local, larger or cloud. Asks nobody."""
    from app.chat.lines import new_conversation

    text = prompt_of(prompt)
    with opened_product(context.obj) as product:
        conversation = new_conversation("", None, gate, label)
        routed = product.run(product.gate.route_under(text, conversation))
    if as_json:
        fields = {"tier": routed.tier, "reasons": list(routed.reasons), "forbidden": dict(routed.forbidden)}
        printer.as_json(fields)
        return
    printer.line(routed.tier)
    for reason in routed.reasons:
        printer.line(f"  {reason}")
    for tier, sentence in routed.forbidden:
        printer.line(f"  not {tier}: {sentence}")
