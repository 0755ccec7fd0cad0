"""The commands of ``gatehouse``, as typer declares them. Each opens the product, asks it, prints, closes it."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from app import (
    cli_documents,
    cli_extract,
    cli_gate,
    cli_hub,
    cli_ledger,
    cli_providers,
    cli_route,
    cli_store,
    experts,
    fitting,
    printer,
)
from app.bootstrap import Product, build
from app.cli_options import GateOf, Json, LabelOf, ProviderOf
from app.gate.label import DEFAULT_LABEL, DEFAULT_MODE, GateMode
from app.models.records import ModelCard
from app.models.service import Serving
from app.paths import Paths
from app.vault.typing_in import unlocked
from engine.errors import GatehouseError, ModelFileError

_MAX_STDIN_BYTES = 8 << 20
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
    from app import asking_elsewhere
    from app.asking import ask

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
    as_json: Json = False,
) -> None:
    """The OpenAI-compatible API for other programs; the first line is its address."""
    from app import serving

    settled = serving.settle(host, port, serving.read_keys(api_key_file))
    with opened_product(context.obj, settled) as product:
        model_id = None if model is None else find_model(product, model).id
        serving.serve(product, settled, model_id, as_json=as_json)


cli_hub.register(_typer)
cli_documents.register(_typer)
cli_extract.register(_typer)
cli_gate.register(_typer)
cli_route.register(_typer)
cli_providers.register(_typer)
cli_ledger.register(_typer)
cli_store.register(_typer)
fitting.register(_typer)
experts.register(_typer)


@contextmanager
def opened_product(paths: Paths, serving: Serving | None = None) -> Iterator[Product]:
    """The wired product for one command, closed after it."""
    product = build(paths, exclusive=False, serving=serving, vault=unlocked(paths))
    try:
        yield product
    finally:
        product.close()


def prompt_of(argument: str | None) -> str:
    """What a command's argument or standard input says. Raises ``GatehouseError`` when that is nothing."""
    if argument is not None and argument != "-":
        text = argument.encode("utf-8", "replace").decode("utf-8")  # a terminal can pass bytes that are no characters
    elif argument is None and sys.stdin.isatty():
        raise GatehouseError("no_prompt", "There is nothing to ask.", 'Use: gatehouse chat "…"')
    else:
        text = sys.stdin.buffer.read(_MAX_STDIN_BYTES).decode("utf-8", "replace").rstrip("\r\n")
    if not text.strip():
        raise GatehouseError("no_prompt", "There is nothing to ask: the prompt is empty.")
    return text


def find_model(product: Product, name: str) -> ModelCard:
    """The model with this id, or the only one whose id contains it, or a file, which then is one of the models."""
    cards = product.run(product.services.models.models())
    exact = [card for card in cards if card.id == name]
    found = exact or [card for card in cards if name.casefold() in card.id.casefold()]
    if len(found) == 1:
        return found[0]
    if not found and name.casefold().endswith(".gguf"):
        return product.run(product.services.models.add_file(Path(name).absolute()))
    known = ", ".join(card.id for card in (found or cards)) or "none"
    which = "More than one model matches" if found else "There is no model"
    raise ModelFileError("no_such_model", f"{which} {name!r}.", f"{'Matching' if found else 'There are'}: {known}.")


def _about(card: ModelCard) -> str:
    if card.fault:
        return card.fault
    return "built in" if card.built_in else ("" if card.managed else str(card.path))


def _card_fields(card: ModelCard) -> dict[str, object]:
    return {**dataclasses.asdict(card), "path": str(card.path)}
