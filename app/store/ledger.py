"""Rows of the ledger, and what was spent by them. Functions run in the store lane's threads.

Rows are only ever added; triggers refuse anything else. Sealing them is ``app.gate.chain``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from app.gate.label import GateMode, Label
from app.gate.records import BytesLeft, LedgerPage, LedgerRow, Outcome
from app.store.database import Connection, Row

_COLUMNS = (
    "seq, request_id, part, at, purpose, host, conversation_id, provider, model, label, mode, consent, bytes_out,"
    " bytes_in, prompt_tokens, completion_tokens, redactions, cost_usd, body_sha256, outcome, mac"
)
_INSERT = f"INSERT INTO ledger ({_COLUMNS}) VALUES ({', '.join('?' * 21)})"  # noqa: S608 - constants
_FIRST_ROWS = f"SELECT {_COLUMNS} FROM ledger WHERE part = 'begun' AND seq < ? ORDER BY seq DESC LIMIT ?"  # noqa: S608
_LEFT = """
    SELECT coalesce(sum(coalesce(e.bytes_out, b.bytes_out)), 0), count(*)
    FROM ledger AS b LEFT JOIN ledger AS e ON e.request_id = b.request_id AND e.part = 'ended'
    WHERE b.part = 'begun' AND b.at >= ?
"""
"""What a request that never ended had in its hands counts as having left."""
_SPENT = """
    SELECT coalesce(sum(CASE WHEN e.seq IS NULL THEN b.cost_usd ELSE coalesce(e.cost_usd, b.cost_usd) END), 0.0)
    FROM ledger AS b LEFT JOIN ledger AS e ON e.request_id = b.request_id AND e.part = 'ended'
    WHERE b.part = 'begun' AND b.at >= ?
"""
_END = 1 << 62


class UnreadableRow(ValueError):
    """A row holds what no version of ours writes."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"row {seq}")
        self.seq = seq


def append(connection: Connection, row: LedgerRow) -> None:
    connection.execute(
        _INSERT,
        (
            row.seq,
            row.request_id,
            row.part,
            float(row.at),
            row.purpose,
            row.host,
            row.conversation_id,
            row.provider,
            row.model,
            None if row.label is None else row.label.value,
            None if row.mode is None else row.mode.value,
            row.consent,
            row.bytes_out,
            row.bytes_in,
            row.prompt_tokens,
            row.completion_tokens,
            json.dumps(row.redactions),
            None if row.cost_usd is None else float(row.cost_usd),
            row.body_sha256,
            row.outcome.value,
            row.mac,
        ),
    )


def last(connection: Connection) -> LedgerRow | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM ledger ORDER BY seq DESC LIMIT 1").fetchone()  # noqa: S608
    return None if row is None else _row(row)


def begun(connection: Connection, request_id: str) -> LedgerRow | None:
    """A request's first row."""
    statement = f"SELECT {_COLUMNS} FROM ledger WHERE request_id = ? AND part = 'begun'"  # noqa: S608
    row = connection.execute(statement, (request_id,)).fetchone()
    return None if row is None else _row(row)


def every(connection: Connection) -> Iterator[LedgerRow]:
    """All rows, the earliest first, while the connection lasts. Raises ``UnreadableRow``."""
    for row in connection.execute(f"SELECT {_COLUMNS} FROM ledger ORDER BY seq"):  # noqa: S608
        try:
            yield _row(row)
        except (ValueError, TypeError) as error:
            raise UnreadableRow(row[0]) from error


def page(connection: Connection, before: int | None, limit: int) -> LedgerPage:
    """Requests, the latest first, each with both of its rows: the second one, where it is there, follows the first."""
    firsts = [_row(row) for row in connection.execute(_FIRST_ROWS, (_END if before is None else before, limit + 1))]
    more, firsts = len(firsts) > limit, firsts[:limit]
    marks = ", ".join("?" * len(firsts))
    statement = f"SELECT {_COLUMNS} FROM ledger WHERE part = 'ended' AND request_id IN ({marks})"  # noqa: S608
    ends = {row[1]: _row(row) for row in connection.execute(statement, [first.request_id for first in firsts])}
    rows = [row for first in firsts for row in (first, ends.get(first.request_id)) if row is not None]
    total = int(connection.execute("SELECT count(*) FROM ledger WHERE part = 'begun'").fetchone()[0])
    return LedgerPage(tuple(rows), firsts[-1].seq if more else None, total)


def bytes_left(connection: Connection, day_start: float) -> BytesLeft:
    since = connection.execute("SELECT min(at) FROM ledger").fetchone()[0]
    total, _ = connection.execute(_LEFT, (0.0,)).fetchone()
    today, requests = connection.execute(_LEFT, (day_start,)).fetchone()
    return BytesLeft(int(total), int(today), int(requests), since)


def spent_usd(connection: Connection, since: float) -> float:
    """By requests that began since then; of those that have not ended, what they may cost at most."""
    return float(connection.execute(_SPENT, (since,)).fetchone()[0])


def limits(connection: Connection) -> tuple[float | None, float | None]:
    """Per day and per month, in dollars."""
    found = dict(connection.execute("SELECT period, limit_usd FROM budgets").fetchall())
    return found.get("day"), found.get("month")


def set_limits(connection: Connection, day_usd: float | None, month_usd: float | None) -> None:
    connection.executemany(
        "INSERT INTO budgets (period, limit_usd) VALUES (?, ?)"
        " ON CONFLICT (period) DO UPDATE SET limit_usd = excluded.limit_usd",
        [("day", day_usd), ("month", month_usd)],
    )


def _row(row: Row) -> LedgerRow:
    return LedgerRow(
        seq=row[0],
        request_id=row[1],
        part=row[2],
        at=row[3],
        purpose=row[4],
        host=row[5],
        conversation_id=row[6],
        provider=row[7],
        model=row[8],
        label=None if row[9] is None else Label(row[9]),
        mode=None if row[10] is None else GateMode(row[10]),
        consent=row[11],
        bytes_out=row[12],
        bytes_in=row[13],
        prompt_tokens=row[14],
        completion_tokens=row[15],
        redactions=tuple((str(kind), int(count)) for kind, count in json.loads(row[16])),
        cost_usd=row[17],
        body_sha256=row[18],
        outcome=Outcome(row[19]),
        mac=row[20],
    )
