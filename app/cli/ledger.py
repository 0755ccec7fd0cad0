"""``gatehouse ledger``: what left this machine, to whom, when and at what cost; never what it said. Asks nobody."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import printer
from app.cli.opening import opened_product
from engine.errors import GatehouseError

if TYPE_CHECKING:
    from app.gate.records import Budget, LedgerRow

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_NO_LIMIT = "none"


def register(program: typer.Typer) -> None:
    """Add the commands of this module."""
    group = typer.Typer(name="ledger", help="What left this machine; without a command, the latest of it.")
    group.callback(invoke_without_command=True)(_latest)
    group.command(name="list")(list_rows)
    group.command()(verify)
    group.command()(export)
    group.command()(budget)
    program.add_typer(group)


def _latest(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_rows(context)


def list_rows(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many requests, the latest first.")] = 30,
    as_json: Json = False,
) -> None:
    """The latest requests, and how much left in all."""
    with opened_product(context.obj) as product:
        page = product.run(product.outside.ledger.page(limit=limit))
        left = product.run(product.outside.ledger.bytes_left())
    if as_json:
        rows = [dataclasses.asdict(row) for row in page.rows]
        printer.as_json({"requests": page.total, "left": dataclasses.asdict(left), "rows": rows})
        return
    if page.rows:
        head = ("WHEN", "FOR", "HOST", "MODEL", "OUT", "IN", "TOKENS", "COST", "OUTCOME")
        printer.table(head, _lines(page.rows))
    if not left.total and page.total:
        printer.line("No request left this machine, though servers were sought.")
        return
    if not left.total:
        printer.line("0 bytes left this machine.")
        return
    requests = "1 request" if page.total == 1 else f"{page.total:,} requests"
    printer.line(f"{left.total:,} bytes left this machine in {requests}; {left.today:,} of them today.")


def verify(
    context: typer.Context,
    head: Annotated[
        str, typer.Option(help="A head that was written down earlier: the row that it belongs to must be there.")
    ] = "",
    as_json: Json = False,
) -> None:
    """Find rows that were changed, taken out or cut off. Exits with 1 when there are any."""
    with opened_product(context.obj) as product:
        told = product.run(product.outside.ledger.verify(head.strip()))
    if as_json:
        printer.as_json(dataclasses.asdict(told))
    else:
        printer.line(told.sentence)
        if told.head:
            printer.line(f"Head: {told.head}")
    if not told.intact:
        raise typer.Exit(1)


def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="The file to write, a line of JSON a row.")],
) -> None:
    """Write every row, with its seal."""
    with opened_product(context.obj) as product:
        count = product.run(product.outside.ledger.export(path))
    printer.line(f"{count:,} rows are in {path}.")


def budget(
    context: typer.Context,
    day: Annotated[str | None, typer.Option(help='Dollars a day; "none" for no limit.')] = None,
    month: Annotated[str | None, typer.Option(help='Dollars a month; "none" for no limit.')] = None,
    as_json: Json = False,
) -> None:
    """What may be spent, and what was. A request that might go beyond it is stopped."""
    with opened_product(context.obj) as product:
        ledger = product.outside.ledger
        told = product.run(ledger.budget())
        if day is not None or month is not None:
            product.run(ledger.set_budget(_limit(day, told.day_usd), _limit(month, told.month_usd)))
            told = product.run(ledger.budget())
    if as_json:
        printer.as_json(dataclasses.asdict(told))
    else:
        for line in _budget_lines(told):
            printer.line(line)


def _limit(text: str | None, before: float | None) -> float | None:
    if text is None:
        return before
    if text.strip().lower() == _NO_LIMIT:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise GatehouseError("bad_budget", f"“{text[:40]}” is no amount in dollars.") from error


def _budget_lines(told: Budget) -> Sequence[str]:
    return [
        f"This {name}: ${spent:.4f} spent, {'no limit' if limit is None else f'of ${limit:.2f}'}."
        for name, limit, spent in (
            ("day", told.day_usd, told.spent_day_usd),
            ("month", told.month_usd, told.spent_month_usd),
        )
    ]


def _lines(rows: Sequence[LedgerRow]) -> Sequence[Sequence[str]]:
    """A line a request, with what its second row says, where there is one."""
    ends = {row.request_id: row for row in rows if row.part == "ended"}
    return [_line(row, ends.get(row.request_id)) for row in rows if row.part == "begun"]


def _line(begun: LedgerRow, ended: LedgerRow | None) -> Sequence[str]:
    last = ended or begun
    tokens = "" if last.completion_tokens is None else f"{last.prompt_tokens or 0:,}+{last.completion_tokens:,}"
    return (
        datetime.fromtimestamp(begun.at).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
        begun.purpose,
        begun.host,
        begun.model,
        f"{last.bytes_out:,}",
        f"{last.bytes_in:,}",
        tokens,
        "" if last.cost_usd is None else f"${last.cost_usd:.4f}",
        last.outcome.value,
    )
