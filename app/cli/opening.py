"""What most commands begin with: the product opened and closed again, the model that was named, the text to work on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.bootstrap import Product, build
from app.cli import printer
from app.models.records import ModelCard, Serving
from app.paths import Paths
from app.providers.provider import Endpoint
from app.vault.typing_in import unlocked
from engine.errors import GatehouseError, ModelFileError

_MAX_STDIN_BYTES = 8 << 20
_SILENCE_S = 3.0


@contextmanager
def opened_product(paths: Paths, serving: Serving | None = None) -> Iterator[Product]:
    """The wired product for one command, closed after it."""
    product = build(paths, exclusive=False, serving=serving, vault=unlocked(paths))
    try:
        yield product
    finally:
        product.close()


async def ready_model(product: Product, model_id: str | None) -> Endpoint:
    """The model, loaded. Who waits for it at a terminal is told what for. Raises ``GatehouseError``."""
    telling = None
    if sys.stderr.isatty():
        telling = asyncio.get_running_loop().call_later(_SILENCE_S, printer.tell, "The model is being loaded ...")
    try:
        return await product.models.ensure_ready(model_id)
    finally:
        if telling is not None:
            telling.cancel()


def prompt_of(argument: str | None) -> str:
    """What a command's argument or standard input says. Raises ``GatehouseError`` when that is nothing."""
    if argument is not None and argument != "-":
        text = argument.encode("utf-8", "replace").decode("utf-8")  # a terminal can pass bytes that are no characters
    elif argument is None and sys.stdin.isatty():
        raise GatehouseError("no_prompt", "There is nothing to ask.", 'Use: gatehouse chat "…"')
    else:
        read = sys.stdin.buffer.read(_MAX_STDIN_BYTES + 1)
        if len(read) > _MAX_STDIN_BYTES:
            raise GatehouseError(
                "too_long", f"Standard input holds more than {_MAX_STDIN_BYTES:,} bytes.", "Shorten it."
            )
        text = read.decode("utf-8", "replace").rstrip("\r\n")
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
