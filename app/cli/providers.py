"""``gatehouse providers``: who may be asked beyond this machine. Keys come from a prompt or standard input only.

Arguments can be seen by everybody on the machine, so no option takes a key. ``test`` is the only command that asks.
"""

from __future__ import annotations

import dataclasses
import getpass
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import printer
from app.cli.opening import opened_product
from engine.errors import GatehouseError

if TYPE_CHECKING:
    from app.gate.records import Provider

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(help="A provider's name, or a part of it.")]

_KEY_LIMIT = 8_192


def register(program: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(
        name="providers", help="Who may be asked beyond this machine, each time you agree.", no_args_is_help=True
    )
    group.command(name="list")(list_providers)
    group.command()(add)
    group.command()(change)
    group.command(name="key")(set_key)
    group.command()(remove)
    group.command(name="test")(ask_for_a_word)
    program.add_typer(group)


def list_providers(context: typer.Context, as_json: Json = False) -> None:
    """The providers that are set up. Asks nobody."""
    with opened_product(context.obj) as product:
        found = product.run(product.outside.providers.every())
    if as_json:
        printer.as_json([dataclasses.asdict(one) for one in found])
    elif not found:
        printer.line("No provider is set up, so nothing can be asked of anybody.")
    else:
        head = ("NAME", "MODEL", "ADDRESS", "TRUST", "KEY", "$ PER MILLION TOKENS, IN/OUT")
        printer.table(head, [_row(one) for one in found])


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    base_url: Annotated[str, typer.Argument(help="Up to the version, e.g. https://api.example.com/v1.")],
    model: Annotated[str, typer.Argument(help="Which of its models answers.")],
    team: Annotated[bool, typer.Option("--team", help="A server of your team, in your own network.")] = False,
    key: Annotated[
        bool | None, typer.Option("--key/--no-key", help="Read a key; the default for all but a team's.")
    ] = None,
    input_usd: Annotated[float | None, typer.Option(help="Dollars per million tokens of the prompt.")] = None,
    output_usd: Annotated[float | None, typer.Option(help="Dollars per million tokens of the answer.")] = None,
    n_ctx: Annotated[int | None, typer.Option("--context", help="Its context, in tokens.")] = None,
    as_json: Json = False,
) -> None:
    """Set a provider up; its key is read from standard input, or asked for. Asks nobody."""
    from app.gate.records import Provider
    from app.providers.registry import settle

    made = settle(Provider("", name, base_url, model, "team" if team else "cloud", n_ctx, input_usd, output_usd))
    secret = _read_key(made.name) if (not team if key is None else key) else None
    with opened_product(context.obj) as product:
        saved = product.run(product.outside.providers.save(made, secret))
    if as_json:
        printer.as_json(dataclasses.asdict(saved))
    else:
        printer.line(
            f"{saved.name} is set up{'' if saved.has_key else ', without a key'}. Nothing was asked of it yet."
        )


def change(
    context: typer.Context,
    name: Name,
    input_usd: Annotated[float | None, typer.Option(help="Dollars per million tokens of the prompt.")] = None,
    output_usd: Annotated[float | None, typer.Option(help="Dollars per million tokens of the answer.")] = None,
    n_ctx: Annotated[int | None, typer.Option("--context", help="Its context, in tokens.")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Which of its models answers.")] = None,
    as_json: Json = False,
) -> None:
    """Change a provider's prices, context or model; all else and its key stay. Asks nobody."""
    given = (input_usd, output_usd, n_ctx, model)
    if all(value is None for value in given):
        options = "--input-usd, --output-usd, --context and --model"
        raise GatehouseError("nothing_to_change", "Nothing was said that should change.", f"There are {options}.")
    with opened_product(context.obj) as product:
        providers = product.outside.providers
        found = product.run(providers.find(name))
        made = dataclasses.replace(
            found,
            input_usd_per_mtok=found.input_usd_per_mtok if input_usd is None else input_usd,
            output_usd_per_mtok=found.output_usd_per_mtok if output_usd is None else output_usd,
            n_ctx=found.n_ctx if n_ctx is None else n_ctx,
            model=found.model if model is None else model,
        )
        saved = product.run(providers.save(made))
    if as_json:
        printer.as_json(dataclasses.asdict(saved))
    else:
        printer.line(f"{saved.name} is changed. Nothing was asked of it.")


def set_key(context: typer.Context, name: Name) -> None:
    """Give a provider another key, from standard input or a prompt."""
    with opened_product(context.obj) as product:
        providers = product.outside.providers
        found = product.run(providers.find(name))
        product.run(providers.set_key(found.id, _read_key(found.name)))
    printer.line(f"{found.name} has another key now.")


def remove(context: typer.Context, name: Name) -> None:
    """Forget a provider and its key. What was asked of it stays in the ledger."""
    with opened_product(context.obj) as product:
        providers = product.outside.providers
        found = product.run(providers.find(name))
        product.run(providers.remove(found.id))
    printer.line(f"{found.name} is forgotten, and its key.")


def ask_for_a_word(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Ask a provider for its models and for one word. This leaves the machine and stands in the ledger."""
    with opened_product(context.obj) as product:
        found = product.run(product.outside.providers.find(name))
        told = product.run(product.outside.remote.test(found, consent="command"))
    if as_json:
        printer.as_json(dataclasses.asdict(told))
    elif told.ok:
        after = f" The first word came after {told.ttft_s:.2f} s." if told.ttft_s is not None else ""
        printer.line(f"{told.sentence}{after}")
    else:
        printer.complain(told.sentence)
    if not told.ok:
        raise typer.Exit(1)


def _read_key(name: str) -> str:
    """From a prompt that shows nothing, or the first line of standard input. Raises ``GatehouseError``."""
    from app.providers.keys import checked

    if sys.stdin.isatty():
        return checked(getpass.getpass(f"Key of {name} (it is not shown): "))
    line = sys.stdin.readline(_KEY_LIMIT)
    if not line.strip():
        raise GatehouseError("no_key", "Standard input held no key.", "Without one: --no-key")
    return checked(line)


def _row(one: Provider) -> tuple[str, ...]:
    prices = (one.input_usd_per_mtok, one.output_usd_per_mtok)
    told = "not known" if None in prices else "/".join(f"{price:g}" for price in prices)
    return (one.name, one.model, one.base_url, one.trust, "yes" if one.has_key else "no", told)
