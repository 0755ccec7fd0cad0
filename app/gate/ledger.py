"""The ledger: a row before each request's first byte leaves, one after its last. Rows are added and never changed.

A row that cannot be written stops its request. Rows are sealed with ``app.gate.chain``; their head lies in a file
beside the store, so that rows cut off at the end are noticed. Budgets are checked in the transaction that writes the
first row, so that two requests cannot both take the last cent. What left is told by counts and hashes, never by text.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from app.gate import budget as budgets
from app.gate import chain
from app.gate.permit import Permit
from app.gate.records import Budget, BytesLeft, LedgerCheck, LedgerPage, LedgerRow, Outcome
from app.lanes import StoreLane
from app.paths import refuse_own_file
from app.store import ledger as rows
from app.store.database import Connection
from engine.errors import GatehouseError

_log = logging.getLogger(__name__)

HEAD_FILE = "ledger.head"
_HEAD_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known when a request is over."""

    outcome: Outcome
    bytes_out: int
    bytes_in: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost_usd: float | None = None
    """``None`` counts as what was said it may cost at most."""


class Ledger:
    """All coroutines run in the core thread."""

    def __init__(
        self,
        lane: StoreLane,
        keys: Callable[[], Sequence[bytes]],
        folder: Path,
        publish: Callable[[LedgerRow], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``keys`` in the order in which they came into use; rows are sealed with the last one.

        It may block, and raises ``GatehouseError`` while the store is locked.
        """
        self._lane = lane
        self._keys = keys
        self._head = _HeadFile(folder / HEAD_FILE)
        self._publish = publish
        self._clock = clock
        self._noting = asyncio.Lock()

    async def begin(self, permit: Permit, host: str, bytes_out: int, body_sha256: str) -> LedgerRow:
        """Write that a request is about to leave. Raises ``GatehouseError``: then it must not."""
        now = self._clock()
        row = LedgerRow(
            seq=0,
            request_id=permit.request_id,
            part="begun",
            at=now,
            purpose=permit.purpose,
            host=host,
            conversation_id=permit.conversation_id,
            provider=permit.provider,
            model=permit.model,
            label=permit.label,
            mode=permit.mode,
            consent=permit.consent,
            bytes_out=bytes_out,
            prompt_tokens=permit.prompt_tokens,
            redactions=tuple(sorted(permit.redactions.items())),
            cost_usd=permit.cost_usd_at_most,
            body_sha256=body_sha256,
        )
        paid_for = permit.purpose in ("answer", "test")

        def work(connection: Connection, keys: Sequence[bytes]) -> LedgerRow:
            if rows.begun(connection, row.request_id) is not None:
                raise GatehouseError("sent_already", "This request was sent before; it is not sent again by itself.")
            if paid_for:
                budgets.check(_budget(connection, now), permit.cost_usd_at_most, permit.provider or host)
            return self._append(connection, keys, row)

        return await self._write(work)

    async def end(self, first: LedgerRow, ending: Ending) -> LedgerRow:
        """Write how a request ended. Raises ``GatehouseError``: then it stands as begun, at its highest cost."""
        row = replace(
            first,
            part="ended",
            at=self._clock(),
            bytes_out=ending.bytes_out,
            bytes_in=ending.bytes_in,
            prompt_tokens=ending.prompt_tokens,
            completion_tokens=ending.completion_tokens,
            cost_usd=ending.cost_usd,
            outcome=ending.outcome,
        )
        return await self._write(lambda connection, keys: self._append(connection, keys, row))

    async def page(self, before: int | None = None, limit: int = 100) -> LedgerPage:
        return await self._lane.read(lambda connection: rows.page(connection, before, limit))

    async def verify(self, expected_head: str = "") -> LedgerCheck:
        """Hold all rows against their seals and the head. ``expected_head``: one that was written down elsewhere."""
        keys = await asyncio.to_thread(self._keys)

        def work(connection: Connection) -> LedgerCheck:
            try:
                head = self._head.read(keys)
            except ValueError:
                return LedgerCheck(False, 0, None, f"The head in {self._head.path.name} is not what was written.")
            try:
                return chain.check(rows.every(connection), keys, head, expected_head)
            except rows.UnreadableRow as error:
                return LedgerCheck(False, error.seq - 1, error.seq, f"Row {error.seq} cannot be read.")

        told = await self._lane.read(work)
        if told.intact and told.rows and keys[-1] == chain.PLAIN_KEY:
            plain = " The store is not encrypted, so whoever can write its files could have written all of them."
            told = replace(told, sentence=told.sentence + plain)
        return told

    async def export(self, path: Path) -> int:
        """Write every row as a line of JSON, with its seal; returns how many. Raises ``GatehouseError``."""

        def work(connection: Connection) -> int:
            count = 0
            try:
                refuse_own_file(path, self._head.path.parent)
                with path.open("w", encoding="utf-8", newline="\n") as file:
                    for row in rows.every(connection):
                        file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
                        count += 1
            except OSError as error:  # of this file, not of the store
                raise GatehouseError("unwritable", f"{path} cannot be written: {error.strerror or error}.") from error
            return count

        return await self._lane.read(work)

    async def bytes_left(self) -> BytesLeft:
        return await self._lane.read(lambda connection: rows.bytes_left(connection, budgets.day_start(self._clock())))

    async def budget(self) -> Budget:
        return await self._lane.read(lambda connection: _budget(connection, self._clock()))

    async def set_budget(self, day_usd: float | None, month_usd: float | None) -> None:
        """Raises ``GatehouseError`` for what is no amount."""
        for amount in (day_usd, month_usd):
            if amount is not None and not 0 <= amount < 1e9:
                raise GatehouseError("bad_budget", "A budget is an amount in dollars, from 0 on.")
        await self._lane.write(lambda connection: rows.set_limits(connection, day_usd, month_usd))

    async def _write(self, work: Callable[[Connection, Sequence[bytes]], LedgerRow]) -> LedgerRow:
        # Shielded, so that a request which is broken off still gets its last row and the head follows the table.
        row = await asyncio.shield(asyncio.ensure_future(self._write_through(work)))
        self._publish(row)
        return row

    async def _write_through(self, work: Callable[[Connection, Sequence[bytes]], LedgerRow]) -> LedgerRow:
        async with self._noting:
            keys = await asyncio.to_thread(self._keys)
            remade = self._head.is_missing
            row = await self._lane.write(lambda connection: work(connection, keys))
            try:
                await asyncio.to_thread(self._head.write, keys, row, remade=remade and row.seq > 1)
            except OSError as error:
                # The row is there; only rows cut off behind the last head could go unnoticed.
                _log.warning("The ledger's head could not be noted: %s", error.strerror or error)
            return row

    def _append(self, connection: Connection, keys: Sequence[bytes], row: LedgerRow) -> LedgerRow:
        previous, seq = chain.GENESIS, 0
        found = rows.last(connection)
        if found is not None:
            previous, seq = found.mac, found.seq
        head = self._read_head(keys)
        if head is not None and head.seq > seq:
            # Rows are missing at the end. The gap stays for all to see, instead of being filled.
            previous, seq = head.mac, head.seq
        sealed = chain.seal(keys[-1], previous, replace(row, seq=seq + 1))
        rows.append(connection, sealed)
        return sealed

    def _read_head(self, keys: Sequence[bytes]) -> chain.Head | None:
        try:
            return self._head.read(keys)
        except ValueError as error:
            raise GatehouseError(
                "ledger_tampered",
                f"The head of the ledger in {self._head.path} is not what was written, so nothing leaves.",
                "See: gatehouse ledger verify. Moving the file away makes a new one; the ledger tells of that.",
            ) from error


def is_head_under(path: Path, key: bytes) -> bool:
    """Whether there is a head that was sealed with this key. Raises ``OSError``."""
    try:
        return _HeadFile(path).read((key,)) is not None
    except ValueError:
        return False


class _HeadFile:
    """The head, sealed, in a file of its own that is replaced as a whole. Blocking."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def is_missing(self) -> bool:
        return not self.path.exists()

    def read(self, keys: Sequence[bytes]) -> chain.Head | None:
        """``None`` when there is none. Raises ``ValueError`` when it is not what was written, ``OSError``."""
        try:
            with self.path.open("rb") as file:
                fields = json.loads(file.read(_HEAD_LIMIT_BYTES))
            head = chain.Head(int(fields["seq"]), str(fields["mac"]), int(fields.get("remade_at", 0)))
        except FileNotFoundError:
            return None
        except (TypeError, KeyError, OverflowError, RecursionError) as error:
            raise ValueError("no head") from error
        if all(chain.seal_head(key, head) != fields.get("seal") for key in keys):
            raise ValueError("another seal")
        return head

    def write(self, keys: Sequence[bytes], row: LedgerRow, *, remade: bool) -> None:
        known = None if remade else self.read(keys)
        head = chain.Head(row.seq, row.mac, row.seq if remade else (known.remade_at if known is not None else 0))
        if known is not None and known.seq > head.seq:
            return  # another process was quicker
        fields = {
            "seq": head.seq,
            "mac": head.mac,
            "remade_at": head.remade_at,
            "seal": chain.seal_head(keys[-1], head),
        }
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump(fields, file)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(self.path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _budget(connection: Connection, now: float) -> Budget:
    day_usd, month_usd = rows.limits(connection)
    return Budget(
        day_usd,
        month_usd,
        rows.spent_usd(connection, budgets.day_start(now)),
        rows.spent_usd(connection, budgets.month_start(now)),
    )
