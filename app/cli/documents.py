"""``gatehouse read``: what is in a document, and where. ``gatehouse extract`` is ``app.cli.extract``'s."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import printer
from app.documents.faults import DocumentError
from app.documents.recognisers import Recogniser
from app.documents.records import Page, Reading
from engine.errors import GatehouseError

if TYPE_CHECKING:
    from app.documents.pool import ReaderPool

_MAX_PASSWORD_BYTES = 4096
_FOLDER_KINDS = {".csv", ".txt"}


def register(commands: typer.Typer) -> None:
    """Add the command."""
    commands.command("read")(_read)


def _read(
    path: Annotated[Path, typer.Argument(help="The file; with --words also a folder that holds box/*.csv.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: pages, words, boxes; a line for each file.")
    ] = False,
    words: Annotated[bool, typer.Option("--words", help="Take words with boxes from box/*.csv instead.")] = False,
    password_file: Annotated[
        Path | None, typer.Option(help="File whose first line opens an encrypted document.")
    ] = None,
    tesseract: Annotated[
        bool, typer.Option("--tesseract", help="Let Tesseract read scans, if it is installed.")
    ] = False,
) -> None:
    """The text of a document, with the place of every word."""
    recogniser: Recogniser = "tesseract" if tesseract else "built_in"
    failed = asyncio.run(_read_all(_files(path, words), password_of(password_file), words, as_json, recogniser))
    if failed:
        raise typer.Exit(1)


async def _read_all(files: list[Path], password: str | None, words: bool, as_json: bool, recogniser: Recogniser) -> int:
    """Read one file after the other; a folder's bad files are told of and counted, a single one is raised."""
    from app.documents.pool import ReaderPool

    pool = ReaderPool(1, recogniser=lambda: recogniser)
    failed = 0
    try:
        for file in files:
            try:
                reading = await read_one(pool, file.absolute(), password, words)
            except GatehouseError as error:
                if len(files) == 1:
                    raise
                failed += 1
                printer.complain(f"{file.name}: {error}")
                continue
            _print(file, reading, as_json, one_line=len(files) > 1)
    finally:
        await pool.close()
    return failed


async def read_one(pool: ReaderPool, file: Path, password: str | None, words: bool) -> Reading:
    """Read a file, with the password only if it wants one. Raises ``GatehouseError`` with a hint for this place."""
    try:
        return await pool.read(file, None, words)
    except DocumentError as error:
        if not error.wants_password or password is None:
            raise _for_commands(error) from error
    try:
        return await pool.read(file, password, words)
    except DocumentError as error:
        raise _for_commands(error) from error


def _for_commands(error: DocumentError) -> DocumentError:
    if not error.wants_password:
        return error
    return DocumentError(error.code, error.sentence, "Name a file that holds its password: --password-file.")


def _print(file: Path, reading: Reading, as_json: bool, *, one_line: bool) -> None:
    if as_json:
        fields = {"file": str(file), **reading_fields(reading)}
        printer.as_json(fields, one_line=one_line)
        return
    if one_line:
        printer.line(f"== {file.name}")
    printer.line(printer.from_stranger(reading.text))
    for note in reading.notes:
        printer.complain(note)


def reading_fields(reading: Reading) -> dict[str, Any]:
    """A reading as JSON. A word: text, box ``[x0, y0, x1, y1]`` in points from the top left, score, start, end."""
    return {
        "kind": reading.kind.value,
        "sha256": reading.sha256,
        "size_bytes": reading.size_bytes,
        "encrypted": reading.password,
        "notes": list(reading.notes),
        "attachments": [
            {
                "name": part.name,
                "kind": part.kind,
                "sha256": part.sha256,
                "size_bytes": part.size_bytes,
                "first_page": part.first_page,
                "page_count": part.page_count,
                "fault": part.fault,
            }
            for part in reading.attachments
        ],
        "text": reading.text,
        "pages": [_page_fields(page) for page in reading.pages],
    }


def _page_fields(page: Page) -> dict[str, Any]:
    return {
        "number": page.number,
        "width": page.width,
        "height": page.height,
        "source": page.source,
        "rotation": page.rotation,
        "title": page.title,
        "start": page.start,
        "end": page.end,
        "tables": [
            {"box": [table.box.x0, table.box.y0, table.box.x1, table.box.y1], "rows": [list(row) for row in table.rows]}
            for table in page.tables
        ],
        "words": [
            {
                "text": word.text,
                "box": [word.box.x0, word.box.y0, word.box.x1, word.box.y1],
                "score": word.score,
                "start": word.start,
                "end": word.end,
            }
            for word in page.words
        ],
    }


def _files(path: Path, words: bool) -> list[Path]:
    """The file, or with ``--words`` those of a folder. Raises ``GatehouseError``."""
    if not path.is_dir():
        return [path]
    folder = path / "box" if words and (path / "box").is_dir() else path
    found = sorted(file for file in folder.iterdir() if file.suffix.lower() in _FOLDER_KINDS) if words else []
    if not found:
        raise GatehouseError(
            "not_a_file", f"{path} is a folder.", "Name a file, or use --words for one with box/*.csv."
        )
    return found


def password_of(file: Path | None) -> str | None:
    """The first line of the file. Raises ``GatehouseError``."""
    if file is None:
        return None
    with file.open("rb") as opened:
        data = opened.read(_MAX_PASSWORD_BYTES)
    line = data.decode("utf-8", "replace").splitlines()[:1]
    if not line or not line[0]:
        raise GatehouseError("no_password", f"{file.name} holds no password.", "Write it into the file's first line.")
    return line[0]
