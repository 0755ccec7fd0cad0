"""Options that several commands have, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from app.gate.label import GateMode, Label

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LabelOf = Annotated[Label, typer.Option("--label", help="How sensitive it is; restricted never leaves.")]
GateOf = Annotated[
    GateMode,
    typer.Option("--gate", help="local: nothing leaves; ask: see what would leave, then agree; open: agree by asking."),
]
ProviderOf = Annotated[str | None, typer.Option("--provider", "-p", help="Who elsewhere is asked: its name.")]
