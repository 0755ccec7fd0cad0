"""``gatehouse offline``: the switch for the whole product, also for a window that runs. Needs no passphrase."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from app.cli import printer
from app.cli.options import Json
from app.gate.offline import OFFLINE_VARIABLE, Offline
from app.settings import Settings


def register(program: typer.Typer) -> None:
    """Add the command of this module."""
    program.command(name="offline")(offline)


def offline(
    context: typer.Context,
    switch: Annotated[Literal["on", "off", "status"], typer.Argument(help="on, off, or only say which.")] = "status",
    as_json: Json = False,
) -> None:
    """Keep all of Gatehouse on this machine, until it is switched off again. A window that runs obeys at once."""
    gate = Offline(Settings(context.obj.settings))
    if switch != "status":
        gate.set(switch == "on")
    if as_json:
        printer.as_json({"offline": gate.is_on, "forced": gate.is_forced})
    elif gate.is_forced:
        printer.line(f"Offline: {OFFLINE_VARIABLE} is set, whatever the switch says.")
    elif gate.is_on:
        printer.line("Offline: nobody but this machine is asked.")
    else:
        printer.line("Not offline: others are asked when a conversation's gate allows it and you agree.")
