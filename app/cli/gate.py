"""``gatehouse gate``: what a text gives away, and what of it would leave. Declares; the work is ``app.gate``'s.

Everything that is heavy is imported when a command runs.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import printer
from app.cli.opening import find_model, opened_product, prompt_of
from app.cli.options import Json, LabelOf, ProviderOf
from app.gate.label import DEFAULT_LABEL, GateMode
from engine.errors import GatehouseError

if TYPE_CHECKING:
    from app.bootstrap import Product
    from app.gate.detect import Detected
    from app.paths import Paths

_MAX_FILE_BYTES = 16 << 20


def register(program: typer.Typer) -> None:
    """Add the commands of this module."""
    gate = typer.Typer(name="gate", help="What would leave this machine, and what it gives away.", no_args_is_help=True)
    gate.command(name="scan")(scan)
    gate.command(name="preview")(preview)
    program.add_typer(gate)


def scan(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help='A text file; "-" reads standard input.')],
    names: Annotated[
        bool, typer.Option("--names", help="Let the local model look for names, and use the glossary.")
    ] = False,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Which local model looks for names.")] = None,
    as_json: Json = False,
) -> None:
    """Find what identifies people and secrets in a text. Nothing leaves this machine."""
    text = _read(file)
    detected = _with_names(context.obj, text, model) if names or model else asyncio.run(_by_patterns(text))
    found = detected.findings[0]
    if as_json:
        fields = {
            "file": str(file),
            "characters": len(text),
            "names_sought": detected.names_sought,
            "findings": [
                {
                    "kind": one.kind,
                    "start": one.start,
                    "end": one.end,
                    "text": one.text,
                    "detector": one.detector,
                    "score": one.score,
                }
                for one in found
            ],
        }
        printer.as_json(fields)
        return
    rows = [
        (one.kind, f"{one.start}-{one.end}", one.detector, printer.from_stranger(" ".join(one.text.split())))
        for one in found
    ]
    if rows:
        printer.table(("KIND", "CHARACTERS", "FOUND BY", "TEXT"), rows)
    else:
        printer.line(f"Nothing was found in {len(text):,} characters.")
    if not detected.names_sought:
        printer.line("Names were not looked for; --names asks the local model.")


def preview(
    context: typer.Context,
    prompt: Annotated[
        str | None, typer.Argument(help='What would be asked; "-" or nothing reads standard input.')
    ] = None,
    conversation: Annotated[
        str | None, typer.Option("--conversation", help="Id of a conversation that it would go on with.")
    ] = None,
    label: LabelOf = DEFAULT_LABEL,
    provider: ProviderOf = None,
    as_json: Json = False,
) -> None:
    """Print the exact body that would leave for a provider. Nothing leaves."""
    from app.cli import asking_elsewhere

    text = prompt_of(prompt)
    with opened_product(context.obj) as product:
        question = asking_elsewhere.Question(text, GateMode.ASK, label, provider, conversation)
        asking_elsewhere.preview(product, question, as_json=as_json)


def _read(file: Path) -> str:
    """The text with its lines' ends as they are: the spans count characters of exactly this."""
    if str(file) == "-":
        data = sys.stdin.buffer.read(_MAX_FILE_BYTES + 1)
    else:
        with file.open("rb") as opened:
            data = opened.read(_MAX_FILE_BYTES + 1)
    if len(data) > _MAX_FILE_BYTES:
        raise GatehouseError(
            "too_long", f"{file} is longer than the {_MAX_FILE_BYTES >> 20} MiB that can be looked through at once."
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise GatehouseError(
            "not_text",
            f"{file} is no UTF-8 text: byte {error.start:,} cannot be read.",
            "Of a document, take the text first: gatehouse read.",
        ) from error


async def _by_patterns(text: str) -> Detected:
    from app.gate.detect import Detector
    from app.gate.names import NameFinder
    from app.gate.scan import Scanner

    scanner = Scanner()
    try:
        return await Detector(scanner, NameFinder()).detect([text])
    finally:
        await scanner.close()


def _with_names(paths: Paths, text: str, model: str | None) -> Detected:
    with opened_product(paths) as product:
        model_id = None if model is None else find_model(product, model).id
        return product.run(_by_everything(product, text, model_id))


async def _by_everything(product: Product, text: str, model_id: str | None) -> Detected:
    from app.gate.detect import Detected

    await product.models.ensure_ready(model_id)
    return Detected((tuple(await product.services.gate.scan(text)),), names_sought=True)
