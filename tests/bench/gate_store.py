"""What encryption costs: the queries of the product on a sealed store beside the same store in clear, and an unlock.

Both stores hold the same 100,000 messages and are asked in turn through the real lanes, so that the machine's moods
fall on both. Ratios are of medians. The unlock is that of a fresh process: from the passphrase to the first list.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from app.chat.records import Message, MessageStatus
from app.lanes import StoreLane
from app.store import conversations, messages, search
from app.store.database import Connection
from app.vault import changing, wrapping
from app.vault.vault import Vault
from tests import sample_data
from tests.bench.table import Row

_LONG = 2_000
_MESSAGES_EACH = 98
_CONVERSATIONS = 1_000
_QUERIES = ("the", "index created", "sourdough", "kilometres slow", "unfindableword", "conv")
_REPEATS = 101
_PASSPHRASE = "correct horse battery staple"
_MOST_COST = 1.15
_GOAL = f"≤ {_MOST_COST:.2f} ×"
_MOST_UNLOCK_S = 0.3
_UNLOCKS = 5

_UNLOCK = """
import json, sys, time
from pathlib import Path
from app.store import conversations, database
from app.vault.vault import Vault
from app.vault.wrapping import warm_up
vault = Vault(Path(sys.argv[1]))
assert vault.needs_passphrase()
warm_up()  # as the page does while one types
begun = time.perf_counter()
vault.unlock(sys.stdin.readline().strip())
opened = time.perf_counter()
connection = database.open_writer(Path(sys.argv[1]), vault.open())
connection.execute("SELECT count(*) FROM conversations").fetchone()
ended = time.perf_counter()
connection.close()
print(json.dumps({"key": opened - begun, "whole": ended - begun}))
"""

Query = Callable[[StoreLane], Awaitable[object]]


def measure() -> list[Row]:
    """Needs about a minute, most of it for writing the sample."""
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))
    try:
        return asyncio.run(_measure(folder))
    finally:
        shutil.rmtree(folder)


async def _measure(folder: Path) -> list[Row]:
    plain_file, sealed_file = folder / "plain" / "gatehouse.db", folder / "sealed" / "gatehouse.db"
    topic = sample_data.TOPICS[0]
    head, line = sample_data.conversation(topic, _LONG, 0, seed=2)
    filling = StoreLane(plain_file)
    await filling.write(lambda connection: sample_data.fill(connection, _CONVERSATIONS, _MESSAGES_EACH))
    await filling.write(lambda connection: conversations.insert(connection, head))
    await filling.write(lambda connection: messages.insert_line(connection, line))
    filling.close()
    sealed_file.parent.mkdir()
    shutil.copy(plain_file, sealed_file)
    vault = Vault(sealed_file)
    begun = time.perf_counter()
    changing.set_passphrase(vault, _PASSPHRASE)
    sealing_s = time.perf_counter() - begun
    lanes = {"plain": StoreLane(plain_file), "sealed": StoreLane(sealed_file, vault.page_key)}
    numbers = iter(range(1_000_000))
    turns: dict[StoreLane, int] = {}
    queries: dict[str, Query] = {
        f"Open a conversation of {_LONG:,} messages": lambda lane: lane.read(lambda c: messages.branch(c, head.id)),
        "Open another conversation each time": lambda lane: _open_next(lane, turns),
        "Open the store and list its conversations": _open_and_list,
        f"List {_CONVERSATIONS + 1:,} conversations": lambda lane: lane.read(conversations.every),
        "Save a growing answer": lambda lane: _save(lane, line[-1], MessageStatus.STREAMING),
        "Save an answer that has ended": lambda lane: _save(lane, line[-1], MessageStatus.COMPLETE),
        "Add a conversation of 20 messages": lambda lane: _add(lane, topic, next(numbers)),
        **{f"Search {words!r}": partial(_search, words=words) for words in _QUERIES},
    }
    try:
        rows = [await _compare(name, query, lanes) for name, query in queries.items()]
    finally:
        for lane in lanes.values():
            lane.close()
    together = statistics.geometric_mean(row.ours / row.peer for row in rows if row.peer)
    size_mb = sealed_file.stat().st_size / 1e6
    note = "geometric mean of the ratios"
    whole = Row("SQLCipher's cost over these", together, "×", None, _GOAL, together <= _MOST_COST, note)
    note = "once, with every row counted and every page checked"
    sealing = Row(f"Encrypt a plain store of {size_mb:.0f} MB", sealing_s, "s", None, "–", True, note)
    return [*rows, whole, sealing, *_unlock_rows(sealed_file)]


async def _compare(name: str, query: Query, lanes: Mapping[str, StoreLane]) -> Row:
    times: dict[str, list[float]] = {key: [] for key in lanes}
    for number in range(_REPEATS + 1):
        for key, lane in lanes.items():
            begun = time.perf_counter()
            await query(lane)
            if number:  # the first fills the page cache, as the first of a session does
                times[key].append((time.perf_counter() - begun) * 1e3)
    plain, sealed = (statistics.median(times[key]) for key in ("plain", "sealed"))
    note = f"peer: the same store in clear; medians of {_REPEATS}, in turn"
    return Row(name, sealed, "ms", plain, _GOAL, sealed / plain <= _MOST_COST, note)


async def _open_next(lane: StoreLane, turns: dict[StoreLane, int]) -> None:
    """Pages that no cache of ours holds: each is read and, when sealed, decrypted and authenticated."""
    turn = turns[lane] = turns.get(lane, -1) + 1
    number = turn * 37 % _CONVERSATIONS
    found = await lane.read(lambda c: messages.branch(c, f"sample-1-{number}"))
    assert len(found) == _MESSAGES_EACH


async def _open_and_list(lane: StoreLane) -> None:
    """What a start does: connect, check the schema, list."""
    fresh = StoreLane(lane.path, lane._key)
    try:
        await fresh.read(conversations.every)
    finally:
        fresh.close()


async def _save(lane: StoreLane, answer: Message, status: MessageStatus) -> None:
    """Words go into the index when an answer ends, not while it grows."""
    await lane.write(lambda connection: messages.save_answer(connection, replace(answer, status=status)))


async def _search(lane: StoreLane, words: str) -> object:
    return await lane.read(lambda connection: search.search(connection, words, 50))


async def _add(lane: StoreLane, topic: sample_data.Topic, number: int) -> None:
    head, line = sample_data.conversation(topic, 20, 0, seed=1_000 + number)

    def work(connection: Connection) -> None:
        conversations.insert(connection, head)
        messages.insert_line(connection, line)

    await lane.write(work)


def _unlock_rows(sealed: Path) -> list[Row]:
    runs = [_unlock_once(sealed) for _ in range(_UNLOCKS)]
    whole = statistics.median(run["whole"] for run in runs)
    key = statistics.median(run["key"] for run in runs)
    costs = f"Argon2id {wrapping.MEMORY_KIB // 1024} MiB, {wrapping.PASSES} passes, {wrapping.LANES} lanes"
    note = f"{costs}: {key:.3f} s of it; worst {max(run['whole'] for run in runs):.3f} s of {_UNLOCKS}"
    return [Row("Unlock: passphrase to open store", whole, "s", None, "≤ 0.3 s", whole <= _MOST_UNLOCK_S, note)]


def _unlock_once(sealed: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-c", _UNLOCK, str(sealed)],
        input=_PASSPHRASE + "\n",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    return dict(json.loads(done.stdout))
