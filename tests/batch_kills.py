"""Batches under ``kill -9``: of the app and of its children, at random moments, until every file is done.

``python -m tests.batch_kills 1000 40`` is the long form: so many small files, about so many kills. A trigger in the
store counts how often each file became done.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from app.store import database

_COUNT_DONE = (
    "CREATE TABLE IF NOT EXISTS done_log (file_id TEXT NOT NULL)",
    "CREATE TRIGGER IF NOT EXISTS count_done AFTER UPDATE OF state ON batch_files"
    " WHEN new.state = 'done' AND old.state <> 'done' BEGIN INSERT INTO done_log VALUES (new.id); END",
)


@dataclass(frozen=True)
class Outcome:
    """What became of the files."""

    app_kills: int
    child_kills: int
    states: dict[str, int]
    done_more_than_once: int
    extractions: int
    wrong: int
    """Values that are not their file's total."""
    causes: tuple[str, ...]
    """Why files failed."""
    seconds: float


def run(folder: Path, count: int, kills: int, seed: int) -> Outcome:
    """Make the files, work on them under fire, and look at what is in the store."""
    chance = random.Random(seed)
    files, data = folder / "files", folder / "data"
    _make_files(files, count)
    data.mkdir()
    with closing(database.open_writer(data / "gatehouse.db")) as connection:
        for statement in _COUNT_DONE:
            connection.execute(statement)
    began_at, app_kills, child_kills = time.monotonic(), 0, 0
    while True:
        left = kills - app_kills - child_kills
        with _App(data, files) as app:
            # A pause before each shot, so long that about all shots fall while there is work.
            while left > 0 and app.works_for(chance.uniform(0.02, 1.2)):
                left -= 1
                if chance.random() < 0.5 and app.kill_child(chance):
                    child_kills += 1
                elif app.kill():
                    app_kills += 1
                    break
            else:
                app.wait_until_done()
                break
    return _outcome(data, app_kills, child_kills, time.monotonic() - began_at)


def _make_files(folder: Path, count: int) -> None:
    folder.mkdir()
    for number in range(count):
        (folder / f"slip{number:04}.txt").write_text(f"Corner Shop {number}\nThree pears\nTotal: {number}.50\n")


class _App:
    """One life of the app."""

    def __init__(self, data: Path, files: Path) -> None:
        command = [sys.executable, "-m", "tests.batch_process", "app", str(data), str(files)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._working = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def __enter__(self) -> _App:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._process.wait()
        self._listener.join()

    def works_for(self, seconds: float) -> bool:
        """Wait until it works and then so long; False when it has ended by then."""
        self._working.wait()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.poll() is None

    def kill(self) -> bool:
        """``kill -9``; its children must notice by themselves. False when it had ended."""
        if self._process.poll() is not None:
            return False
        self._process.kill()
        return True

    def kill_child(self, chance: random.Random) -> bool:
        """A reader, or the model's process."""
        with suppress(psutil.Error):
            children = psutil.Process(self._process.pid).children()
            if children:
                chance.choice(children).kill()
                return True
        return False

    def wait_until_done(self) -> None:
        code = self._process.wait(600)
        assert code == 0, f"the app ended with {code}"

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for _ in stream:
                self._working.set()
        self._working.set()


def _outcome(data: Path, app_kills: int, child_kills: int, seconds: float) -> Outcome:
    with closing(database.open_reader(data / "gatehouse.db")) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM batch_files GROUP BY state"))
        (twice,) = connection.execute(
            "SELECT count(*) FROM (SELECT 1 FROM done_log GROUP BY file_id HAVING count(*) > 1)"
        ).fetchone()
        (extractions,) = connection.execute("SELECT count(*) FROM extractions").fetchone()
        causes = connection.execute("SELECT DISTINCT cause || ': ' || sentence FROM batch_files WHERE cause <> ''")
        why = tuple(cause for (cause,) in causes)
        rows = connection.execute(
            "SELECT f.path, v.value FROM batch_files AS f JOIN extractions AS e ON e.file_id = f.id"
            " JOIN extraction_values AS v ON v.extraction = e.seq WHERE v.name = 'total'"
        ).fetchall()
    wrong = sum(value != f"{int(Path(path).stem[4:])}.50" for path, value in rows)
    return Outcome(app_kills, child_kills, states, twice, extractions, wrong, why, seconds)


def main() -> int:
    count, kills = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), count, kills, seed=int(time.time()))
    print(outcome)  # noqa: T201
    whole = outcome.states == {"done": count} and outcome.extractions == count
    return 0 if whole and not outcome.done_more_than_once and not outcome.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
