"""Opening: a new file, an old one, one from the future, a damaged one, one that another process left open."""

from __future__ import annotations

import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from app.store import database, driver, faults, migrations
from engine.errors import StoreError


def _make(path: Path) -> None:
    database.open_writer(path).close()


def test_migrations_end_at_the_known_schema() -> None:
    names = migrations.names()
    assert [int(name[1:4]) for name in names] == list(range(1, database.SCHEMA_VERSION + 1))


def test_new_database_is_private_durable_and_current(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.db"
    with closing(database.open_writer(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (database.SCHEMA_VERSION,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _make(path)
    with (
        closing(database.open_reader(path)) as connection,
        pytest.raises(driver.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM messages")


def test_current_schema_needs_no_migration_library(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _make(path)
    code = (
        "import sys; from pathlib import Path; from app.store import database\n"
        "database.open_writer(Path(sys.argv[1])).close(); print('sqlite_utils' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"


def test_first_start_brings_no_numpy_along(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from app.store import database\n"
        "database.open_writer(Path(sys.argv[1])).close(); print('sqlite_utils' in sys.modules, 'numpy' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new.db")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True False"


def test_future_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _make(path)
    with closing(driver.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 41")
        connection.execute("UPDATE facts SET value = '7.3.0' WHERE name = 'written_by'")
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        database.open_writer(path)
    assert caught.value.code == "newer_schema"
    for part in ("7.3.0", "41", f"up to {database.SCHEMA_VERSION}"):
        assert part in caught.value.sentence
    assert path.read_bytes() == before


def test_future_without_a_name_is_refused_too(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(driver.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 41")
    with pytest.raises(StoreError, match="a newer Gatehouse"):
        database.open_writer(path)


def test_foreign_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is a letter, not a database " * 100)
    with pytest.raises(StoreError, match="damaged: file is not a database") as caught:
        database.open_writer(path)
    assert caught.value.code == "store_damaged"


def test_damage_is_found_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _make(path)
    with closing(driver.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO conversations (id, title, created_at, updated_at) VALUES (?, ?, 1, 1)",
            [(f"{number:040}", "title " * 20) for number in range(500)],
        )
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'conversations'").fetchone()[0]
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    _leave_open(path)
    with pytest.raises(StoreError, match="damaged") as caught:
        database.open_writer(path)
    assert caught.value.code == "store_damaged"
    assert str(path) in caught.value.sentence


def _leave_open(path: Path) -> None:
    """A process that dies with an open database leaves its log behind."""
    code = (
        "import os, sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA journal_mode = WAL'); c.execute(\"REPLACE INTO facts VALUES ('x', 'y')\"); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], timeout=60, check=False)
    assert done.returncode == 9
    assert path.with_name(path.name + "-wal").stat().st_size > 0


def test_migration_backs_up_first_and_fails_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.db"
    _make(path)
    with closing(driver.connect(path)) as connection, connection:
        connection.execute("INSERT INTO conversations (id, title, created_at, updated_at) VALUES ('c', 'kept', 1, 1)")
    steps = list(migrations._MIGRATIONS._migrations)
    monkeypatch.setattr(migrations._MIGRATIONS, "_migrations", steps)
    before = database.SCHEMA_VERSION
    monkeypatch.setattr(database, "SCHEMA_VERSION", before + 1)

    def m999_break_things(db: Database) -> None:
        db.conn.execute("ALTER TABLE conversations ADD COLUMN colour TEXT")
        db.conn.execute("INSERT INTO no_such_table VALUES (1)")

    migrations._step(m999_break_things)
    with pytest.raises(StoreError, match="no_such_table"):
        database.open_writer(path)
    with closing(driver.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (before,)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(conversations)")]
        assert "colour" not in columns
    (backup,) = (tmp_path / "backups").glob(f"schema-{before:03d}-*.db")
    with closing(driver.connect(backup)) as connection:
        assert connection.execute("SELECT title FROM conversations").fetchall() == [("kept",)]


def test_starts_at_the_same_time_make_one_database(tmp_path: Path) -> None:
    """A window and a command, both the first on this machine."""
    code = (
        "import sys; from pathlib import Path; from app.store import database\n"
        "sys.stdin.read(1)\n"  # until all are there
        "database.open_writer(Path(sys.argv[1])).close()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.db")]
    starts = [subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(5)]
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("x")
        start.stdin.flush()
    assert [start.communicate(timeout=120)[1] for start in starts] == [""] * 5
    with closing(database.open_reader(tmp_path / "a.db")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (database.SCHEMA_VERSION,)


def test_a_schema_that_is_no_text_any_more_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _make(path)
    content = path.read_bytes()
    assert content.count(b"status TEXT NOT NULL") == 1
    path.write_bytes(content.replace(b"status TEXT NOT NULL", b"status \xc8EXT NOT NULL"))
    with pytest.raises(StoreError) as caught:
        database.open_writer(path)
    assert caught.value.code == "store_damaged"


def test_damage_of_a_sealed_store_is_a_sentence_and_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """SQLCipher would write to standard error of its own accord."""
    path, key = tmp_path / "a.db", bytes(range(32))
    with closing(database.open_writer(path, key)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'conversations'").fetchone()
    content = path.read_bytes()
    path.write_bytes(content[: 4096 * (root - 1)] + b"\xff" * 4096 + content[4096 * root :])
    with (
        closing(database.open_writer(path, key)) as connection,
        pytest.raises(driver.DatabaseError) as damaged,
    ):
        connection.execute("SELECT * FROM conversations").fetchall()
    assert faults.explain(damaged.value, path).code == "store_damaged"
    path.write_bytes(b"\xff" * 4096 + content[4096:])
    with pytest.raises(StoreError, match="damaged"):
        database.open_writer(path, key)
    assert capfd.readouterr().err == ""


def test_plain_store_under_a_key_is_not_called_damaged(tmp_path: Path) -> None:
    _make(tmp_path / "a.db")
    with pytest.raises(StoreError, match="not encrypted yet") as caught:
        database.open_writer(tmp_path / "a.db", bytes(32))
    assert caught.value.code == "store_plain"
