"""How much of an answer is missing after the app was killed in the middle of it, in seconds of writing.

A real process streams into a real store and says when it said what; it is killed at moments that no save is in step
with. What is missing in the store then is at most as old as the time between the oldest missing word and the kill.
"""

from __future__ import annotations

import bisect
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.bench.table import Row

_GOAL_S = 1.0
_LIVES_S = (1.9, 2.15, 2.4, 2.65, 2.9, 3.15)
"""After the first word. A quarter of a second apart, so that together they meet every moment of a save's round."""


def measure() -> list[Row]:
    """One row."""
    ages = [_age_of_the_oldest_missing(life_s) for life_s in _LIVES_S]
    note = f"text missing in the store after kill -9 of the app while it writes; worst of {len(ages)} kills"
    return [Row("Text lost with a killed app", max(ages), "s", None, "≤ 1.0 s", max(ages) <= _GOAL_S, note)]


def _age_of_the_oldest_missing(life_s: float) -> float:
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        database = Path(name) / "gatehouse.db"
        answer_id, said, killed_at = _live_and_die(database, life_s)
        with closing(sqlite3.connect(database)) as connection:
            (text,) = connection.execute("SELECT text FROM messages WHERE id = ?", (answer_id,)).fetchone()
        missing = bisect.bisect_right([length for length, _ in said], len(text))
        return killed_at - said[missing][1] if missing < len(said) else 0.0


def _live_and_die(database: Path, life_s: float) -> tuple[str, list[tuple[int, float]], float]:
    """The answer's id, its length at each time it was said, and when the process was killed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.app.chat.streaming_child", str(database)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    killed: list[float] = []

    def kill() -> None:
        killed.append(time.perf_counter())
        child.kill()

    said: list[tuple[int, float]] = []
    with child.stdout as told:
        answer_id = told.readline().strip()
        told.readline()
        timer = threading.Timer(life_s, kill)
        timer.start()
        said.extend((int(line), time.perf_counter()) for line in told if line.endswith("\n"))
    timer.join()
    child.wait(10)
    return answer_id, said, killed[0]
