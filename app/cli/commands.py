"""The commands of ``gatehouse``, as typer declares them. Each opens the product, asks it, prints, closes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli import documents, experts, extract, fit, hub, ledger, offline, printer, providers, route, store
from app.cli import gate as gate_commands
from app.cli.opening import find_model, opened_product, prompt_of
from app.cli.options import Context, GateOf, Json, LabelOf, ProviderOf, Users
from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode
from app.models.records import ModelCard
from app.paths import Paths

_WHICH = "its name, a part of it, or a GGUF file"

_typer = typer.Typer(
    name="gatehouse",
    help="A private AI workstation. Without a command it opens the window.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


def run(arguments: Sequence[str], paths: Paths) -> int:
    """Run one command; returns the exit code. Raises what ``app.__main__`` tells: ``GatehouseError``, ``OSError``."""
    try:
        typer.main.get_command(_typer).main(list(arguments), prog_name="gatehouse", obj=paths)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


@_typer.callback()
def _root(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Keep everything in this folder; also after the command.")
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    # ``app.__main__`` takes both before they come here; they are declared so that the help shows them.
    del data_dir, version


@_typer.command()
def doctor(context: typer.Context, as_json: Json = False) -> None:
    """What this machine has and can run: processor, memory, graphics, disks, engine, models."""
    from app.doctor import examine, report_json, report_text

    report = examine(context.obj)
    printer.line(report_json(report) if as_json else report_text(report))


@_typer.command()
def models(context: typer.Context, as_json: Json = False) -> None:
    """The models on this machine."""
    with opened_product(context.obj) as product:
        cards = product.run(product.services.models.models())
    if as_json:
        printer.as_json([_card_fields(card) for card in cards])
    elif not cards:
        printer.line("There is no model on this machine yet.")
    else:
        rows = [(card.id, printer.size(card.size_bytes), card.quantization, _about(card)) for card in cards]
        printer.table(("MODEL", "SIZE", "QUANTIZATION", ""), rows)


@_typer.command()
def chat(
    context: typer.Context,
    prompt: Annotated[str | None, typer.Argument(help='What to ask; "-" or nothing reads standard input.')] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help=f"Which model answers: {_WHICH}.")] = None,
    gate: GateOf = DEFAULT_MODE,
    label: LabelOf = DEFAULT_LABEL,
    provider: ProviderOf = None,
    as_json: Json = False,
) -> None:
    """One answer, streamed to standard output; with --gate ask or open by a provider elsewhere."""
    from app.cli import asking_elsewhere
    from app.cli.asking import ask

    text = prompt_of(prompt)
    with opened_product(context.obj) as product:
        question = asking_elsewhere.Question(text, gate, label, provider)
        if gate is not GateMode.LOCAL and asking_elsewhere.ask(product, question, as_json=as_json):
            return
        model_id = None if model is None else find_model(product, model).id
        ask(product, text, model_id, as_json=as_json)


@_typer.command()
def serve(
    context: typer.Context,
    model: Annotated[str | None, typer.Option("--model", "-m", help=f"Which model to serve: {_WHICH}.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; others than loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 lets the system choose.")] = 0,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File with one key a line; GATEHOUSE_API_KEY is read as well.")
    ] = None,
    users: Users = None,
    n_ctx: Context = None,
    as_json: Json = False,
) -> None:
    """The OpenAI-compatible API for other programs; the first line is its address."""
    from app.cli import serving

    settled = serving.settle(host, port, serving.read_keys(api_key_file), users=users, n_ctx=n_ctx)
    with opened_product(context.obj, settled) as product:
        model_id = None if model is None else find_model(product, model).id
        serving.serve(product, settled, model_id, as_json=as_json)


for _part in (hub, documents, extract, gate_commands, route, providers, ledger, offline, store, fit, experts):
    _part.register(_typer)


def _about(card: ModelCard) -> str:
    if card.fault:
        return card.fault
    return "built in" if card.built_in else ("" if card.managed else str(card.path))


def _card_fields(card: ModelCard) -> dict[str, object]:
    return {**dataclasses.asdict(card), "path": str(card.path)}
