"""``gatehouse extract``: values out of files, with their proof. Declares; the work is ``app.cli.extracting``'s."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli.documents import password_of
from app.cli.opening import find_model, opened_product

EXIT_PARTLY = 3
"""Values were written, but some files have none."""


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("extract")(_extract)


def _extract(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Files, and folders with all below them but hidden files.")],
    schema: Annotated[
        str, typer.Option("--schema", help="A schema's name, or a file: JSON Schema or a Pydantic model.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where the values go: .jsonl, .csv, .xlsx or .sqlite.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Which model is asked: its name, a part of it, or a GGUF file.")
    ] = None,
    examples: Annotated[
        Path | None, typer.Option("--examples", help='Corrected documents: a {"file", "fields"} a line.')
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was broken off.")] = False,
    words: Annotated[bool, typer.Option("--words", help="Take words with boxes from box/*.csv instead.")] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line opens the encrypted ones of them.")
    ] = None,
) -> None:
    """Take values out of documents, each with its place and how sure it is; one line or row a file."""
    from app.cli.extracting import Order, extract  # the readers' and schemas' modules are for this command alone

    password = password_of(password_file)
    with opened_product(context.obj) as product:
        model_id = None if model is None else find_model(product, model).id
        order = Order(tuple(paths), schema, out, model_id, examples, resume, words, password)
        failed = extract(product, order)
    if failed:
        raise typer.Exit(EXIT_PARTLY)
