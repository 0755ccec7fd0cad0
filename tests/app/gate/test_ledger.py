"""The ledger tells of every row that was changed, taken out, put in or cut off, and of budgets that are used up."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from app.gate.chain import PLAIN_KEY
from app.gate.label import GateMode, Label
from app.gate.ledger import HEAD_FILE, Ending, Ledger
from app.gate.ledger_keys import PURPOSE, keep_former, ledger_keys
from app.gate.permit import Permit
from app.gate.records import LedgerRow, Outcome
from app.lanes import StoreLane
from app.paths import Paths
from app.store.database import Connection
from app.vault.records import StoreSecret
from app.vault.vault import Vault
from engine.errors import GatehouseError

KEY = b"k" * 32
PERMIT = Permit("answer", "https://a.example/v1", "cloud", "sheet", "Example", "m", "c1", Label.INTERNAL, GateMode.ASK)


@pytest.fixture
async def ledger(lane: StoreLane, paths: Paths) -> Ledger:
    return Ledger(lane, lambda: [KEY], paths.data)


async def _request(ledger: Ledger, number: int, cost_usd: float | None = None, ends: bool = True) -> LedgerRow:
    permit = replace(PERMIT, request_id=f"r{number}", cost_usd_at_most=cost_usd, redactions={"IBAN": number})
    first = await ledger.begin(permit, "a.example", 100 + number, "ab" * 32)
    if ends:
        await ledger.end(
            first, Ending(Outcome.COMPLETE, 100 + number, 7, 3, 4, None if cost_usd is None else cost_usd / 2)
        )
    return first


async def _tamper(lane: StoreLane, *statements: str) -> None:
    """As somebody would who has the key of the store and takes the triggers away."""

    def work(connection: Connection) -> None:
        connection.execute("DROP TRIGGER IF EXISTS ledger_is_not_changed")
        connection.execute("DROP TRIGGER IF EXISTS ledger_is_not_deleted")
        for statement in statements:
            connection.execute(statement)

    await lane.write(work)


async def test_an_empty_ledger_says_that_nothing_left(ledger: Ledger) -> None:
    assert (await ledger.verify()).intact
    left = await ledger.bytes_left()
    assert (left.total, left.since) == (0, None)


@pytest.mark.parametrize(
    "statement",
    ["UPDATE ledger SET host = 'b.example' WHERE seq = 1", "DELETE FROM ledger WHERE seq = 1"],
)
async def test_the_store_itself_refuses_changes(ledger: Ledger, lane: StoreLane, statement: str) -> None:
    await _request(ledger, 1)
    with pytest.raises(GatehouseError, match="append-only"):
        await lane.write(lambda connection: connection.execute(statement))
    assert (await ledger.verify()).intact


@pytest.mark.parametrize(
    ("statement", "bad_seq"),
    [
        ("UPDATE ledger SET bytes_out = 0 WHERE seq = 3", 3),
        ("UPDATE ledger SET cost_usd = 0.5 WHERE seq = 4", 4),
        ("UPDATE ledger SET redactions = '[]' WHERE seq = 1", 1),
        ("UPDATE ledger SET outcome = 'made up' WHERE seq = 2", 2),
        ("DELETE FROM ledger WHERE seq = 2", 2),
        ("DELETE FROM ledger WHERE seq >= 5", 5),
        ("DELETE FROM ledger", 1),
        ("UPDATE ledger SET seq = seq + 100 WHERE seq = 6", 6),
    ],
)
async def test_verify_names_the_row(ledger: Ledger, lane: StoreLane, statement: str, bad_seq: int) -> None:
    for number in (1, 2, 3):
        await _request(ledger, number)
    assert (await ledger.verify()).intact
    await _tamper(lane, statement)
    told = await ledger.verify()
    assert not told.intact
    assert told.bad_seq == bad_seq
    assert f"{bad_seq}" in told.sentence


async def test_a_store_that_gets_a_key_later_keeps_its_chain(ledger: Ledger, lane: StoreLane, paths: Paths) -> None:
    plain = Ledger(lane, lambda: [PLAIN_KEY], paths.data)
    await _request(plain, 1)
    assert "not encrypted" in (await plain.verify()).sentence
    sealed = Ledger(lane, lambda: [PLAIN_KEY, KEY], paths.data)
    await _request(sealed, 2)
    told = await sealed.verify()
    assert (told.intact, told.rows) == (True, 4)
    assert "not encrypted" not in told.sentence
    (paths.data / HEAD_FILE).unlink()
    await _request(plain, 3)  # somebody without the key goes on as if there were none
    told = await sealed.verify()
    assert (told.intact, told.bad_seq) == (False, 5)


async def test_the_chain_holds_when_a_store_is_sealed_and_opened_again(lane: StoreLane, paths: Paths) -> None:
    vault = Vault(paths.database)

    def ledger() -> Ledger:
        return Ledger(lane, lambda: ledger_keys(vault), paths.data)

    await _request(ledger(), 1)
    for number in (2, 3):
        vault.adopt(StoreSecret.make())
        await _request(ledger(), 10 * number)
        assert (await ledger().verify()).intact
        secret = vault.secret
        assert secret is not None
        vault.adopt(secret.renewed())  # a rotation
        await _request(ledger(), 10 * number + 1)
        keep_former(paths.data, secret.lasting(PURPOSE))
        vault.adopt(None)
        await _request(ledger(), 10 * number + 2)
        told = await ledger().verify()
        assert told.intact, told.sentence
    await _tamper(lane, "UPDATE ledger SET bytes_in = 8 WHERE seq = 4")
    assert (await ledger().verify()).bad_seq == 4


async def test_rows_that_are_put_in_by_somebody_without_the_key(ledger: Ledger, lane: StoreLane, paths: Paths) -> None:
    await _request(ledger, 1)
    await _request(Ledger(lane, lambda: [b"x" * 32], paths.data / "elsewhere"), 2)
    told = await ledger.verify()
    assert (told.intact, told.bad_seq) == (False, 3)


async def test_rows_cut_off_stay_missed_after_more_were_written(ledger: Ledger, lane: StoreLane) -> None:
    for number in (1, 2, 3):
        await _request(ledger, number)
    await _tamper(lane, "DELETE FROM ledger WHERE seq >= 5")
    row = await _request(ledger, 4)
    assert row.seq == 7
    told = await ledger.verify()
    assert (told.intact, told.bad_seq, told.sentence) == (False, 5, "Rows 5 to 6 are missing.")


async def test_a_lost_head_is_told_and_a_forged_one_stops_requests(ledger: Ledger, paths: Paths) -> None:
    head = paths.data / HEAD_FILE
    await _request(ledger, 1)
    told = await ledger.verify()
    elsewhere = told.head
    head.unlink()
    assert not (await ledger.verify()).intact
    await _request(ledger, 2)
    told = await ledger.verify()
    assert told.intact
    assert "head was lost before row 3" in told.sentence
    assert (await ledger.verify(elsewhere)).intact
    assert not (await ledger.verify("0123456789abcdef")).intact
    fields = json.loads(head.read_text())
    head.write_text(json.dumps(fields | {"seq": 1}))
    assert not (await ledger.verify()).intact
    with pytest.raises(GatehouseError) as caught:
        await _request(ledger, 3)
    assert caught.value.code == "ledger_tampered"


@pytest.mark.parametrize("content", ["[]", "5", '{"seq": []}', '{"seq": 1e999, "mac": ""}', "[" * 4000, "{"])
async def test_a_head_that_is_none_is_told_and_stops_requests(ledger: Ledger, paths: Paths, content: str) -> None:
    await _request(ledger, 1)
    (paths.data / HEAD_FILE).write_text(content)
    told = await ledger.verify()
    assert not told.intact
    assert HEAD_FILE in told.sentence
    with pytest.raises(GatehouseError) as caught:
        await _request(ledger, 2)
    assert caught.value.code == "ledger_tampered"


async def test_an_export_is_not_written_over_the_store(ledger: Ledger, paths: Paths, tmp_path: Path) -> None:
    await _request(ledger, 1)
    for own in (paths.database, paths.data / HEAD_FILE):
        with pytest.raises(GatehouseError) as caught:
            await ledger.export(own)
        assert caught.value.code == "own_file"
    with pytest.raises(GatehouseError) as caught:
        await ledger.export(tmp_path / "nowhere" / "ledger.jsonl")
    assert caught.value.code == "unwritable"
    assert (await ledger.verify()).rows == 2


async def test_a_killed_writer_leaves_a_head_behind_the_table(ledger: Ledger, paths: Paths) -> None:
    head = paths.data / HEAD_FILE
    await _request(ledger, 1)
    older = head.read_bytes()
    await _request(ledger, 2)
    head.write_bytes(older)  # killed between the row and its head
    assert (await ledger.verify()).intact
    await _request(ledger, 3)
    told = await ledger.verify()
    assert (told.intact, told.rows) == (True, 6)


async def test_budgets_stop_and_reserve_what_running_requests_may_cost(ledger: Ledger) -> None:
    await ledger.set_budget(1.0, 2.0)
    with pytest.raises(GatehouseError) as caught:
        await _request(ledger, 1, None)
    assert caught.value.code == "no_price"
    await _request(ledger, 2, 0.6)
    assert (await ledger.budget()).spent_day_usd == pytest.approx(0.3)
    running = await _request(ledger, 3, 0.6, ends=False)
    with pytest.raises(GatehouseError) as caught:
        await _request(ledger, 4, 0.2)
    assert caught.value.code == "budget"
    assert "$0.1000 are left" in caught.value.sentence
    await _request(ledger, 5, 0.0)  # what is free breaks no budget
    await ledger.end(running, Ending(Outcome.COMPLETE, 1, 1, cost_usd=0.1))
    await _request(ledger, 6, 0.2)
    assert (await ledger.verify()).intact


async def test_two_at_once_cannot_both_take_the_last_cent(ledger: Ledger) -> None:
    await ledger.set_budget(0.5, None)
    done = await asyncio.gather(*(_request(ledger, n, 0.4, ends=False) for n in range(4)), return_exceptions=True)
    assert sum(isinstance(one, LedgerRow) for one in done) == 1


async def test_the_month_outlives_the_day(lane: StoreLane, paths: Paths) -> None:
    now = time.mktime((2026, 3, 10, 23, 59, 0, 0, 0, -1))
    ledger = Ledger(lane, lambda: [KEY], paths.data, clock=lambda: now)
    await ledger.set_budget(1.0, 1.5)
    await _request(ledger, 1, 2 * 0.9 / 2, ends=False)
    now += 120.0
    with pytest.raises(GatehouseError, match="this month's"):
        await _request(ledger, 2, 0.7)
    now = time.mktime((2026, 4, 1, 0, 0, 1, 0, 0, -1))
    await _request(ledger, 3, 0.7)


async def test_pages_hold_both_rows_of_a_request_and_export_all(ledger: Ledger, tmp_path: Path) -> None:
    for number in range(5):
        await _request(ledger, number, ends=number != 4)
    page = await ledger.page(limit=2)
    assert [(row.request_id, row.part) for row in page.rows] == [("r4", "begun"), ("r3", "begun"), ("r3", "ended")]
    rest = await ledger.page(page.before, limit=10)
    assert (len(rest.rows), rest.before, rest.total) == (6, None, 5)
    assert await ledger.export(tmp_path / "ledger.jsonl") == 9
    lines = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text("utf-8").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, 10))
    assert lines[-1]["mac"] == (await ledger.verify()).head


async def test_a_locked_store_lets_nothing_leave(lane: StoreLane, paths: Paths) -> None:
    def locked() -> list[bytes]:
        raise GatehouseError("locked", "The store is locked.")

    with pytest.raises(GatehouseError) as caught:
        await _request(Ledger(lane, locked, paths.data), 1)
    assert caught.value.code == "locked"
