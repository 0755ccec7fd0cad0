"""Options that several commands have, declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from app.gate.label import GateMode, Label

Users = Annotated[
    int | None,
    typer.Option(
        "--users",
        min=2,
        max=64,
        help="Each of so many has an equal part of the context alone, which answers many at once faster; "
        "without it all share one.",
    ),
]
Context = Annotated[
    int | None,
    typer.Option("--context", min=1, max=1 << 26, help="In tokens; with --users of each."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
LabelOf = Annotated[Label, typer.Option("--label", help="How sensitive it is; restricted never leaves.")]
GateOf = Annotated[
    GateMode,
    typer.Option("--gate", help="local: nothing leaves; ask: see what would leave, then agree; open: agree by asking."),
]
ProviderOf = Annotated[str | None, typer.Option("--provider", "-p", help="Who elsewhere is asked: its name.")]
