"""The store with what a heavy user collects in years: 100,000 messages, and one conversation of 2,000.

Through the real lanes, as the services use them; painting is measured by the window's section.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from app.lanes import StoreLane
from app.store import conversations, messages, search
from tests import sample_data
from tests.bench.table import Row

_LONG = 2_000
_MESSAGES_EACH = 98
_CONVERSATIONS = 1_000
_QUERIES = ("the", "t", "index created", "sourdough", "kilometres slow", '"quotes', "unfindableword", "conv", "a b c")
_REPEATS = 9


def measure() -> list[Row]:
    """Needs about half a minute, most of it for writing the sample."""
    return asyncio.run(_measure())


async def _measure() -> list[Row]:
    folder = Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))
    lane = StoreLane(folder / "gatehouse.db")
    try:
        await lane.write(lambda connection: sample_data.fill(connection, _CONVERSATIONS, _MESSAGES_EACH))
        topic = sample_data.TOPICS[0]
        head, line = sample_data.conversation(topic, _LONG, 0, seed=2)

        def add_long(c: sqlite3.Connection) -> int:
            conversations.insert(c, head)
            messages.insert_line(c, line)
            return int(c.execute("SELECT count(*) FROM messages").fetchone()[0])

        total = await lane.write(add_long)
        opened = await _times_ms(lambda: lane.read(lambda c: messages.branch(c, head.id)))
        listed = await _times_ms(lambda: lane.read(conversations.every))
        searched = {words: await _times_ms(partial(_search, lane, words)) for words in _QUERIES}
        saved = await _times_ms(lambda: lane.write(lambda c: messages.save_answer(c, line[-1])))
    finally:
        lane.close()
        shutil.rmtree(folder)
    slowest = max(searched, key=lambda words: statistics.median(searched[words]))
    return [
        _row(f"Open a conversation of {_LONG:,} messages (store)", opened, 30, "part of ≤ 200 ms in the window"),
        _row(f"Search over {total:,} messages", searched[slowest], 50, f"slowest of {len(_QUERIES)}: {slowest!r}"),
        _row(f"List {_CONVERSATIONS + 1:,} conversations", listed, 100, "with counts and previews"),
        _row("Save a growing answer", saved, 100, "one durable transaction"),
    ]


async def _search(lane: StoreLane, words: str) -> object:
    return await lane.read(lambda connection: search.search(connection, words, 50))


async def _times_ms(work: Callable[[], Awaitable[object]]) -> list[float]:
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        await work()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def _row(measure: str, times_ms: list[float], goal_ms: float, note: str) -> Row:
    median = statistics.median(times_ms)
    spread = f"median of {_REPEATS}, worst {max(times_ms):.1f} ms"
    return Row(measure, median, "ms", None, f"≤ {goal_ms:.0f} ms", median <= goal_ms, f"{note}; {spread}")
