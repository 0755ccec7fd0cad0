"""What the list of chats shows is kept beside it, and is always what the messages say."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from app.chat.records import MessageStatus
from app.store import conversations, database, messages, migrations
from app.store.database import Connection
from tests import sample_data


def _as_shown(connection: Connection) -> dict[str, tuple[int, str]]:
    return {one.id: (one.message_count, one.preview) for one in conversations.every(connection)}


def _as_counted(connection: Connection) -> dict[str, tuple[int, str]]:
    found = {}
    for one in conversations.every(connection):
        texts = connection.execute(
            "SELECT text FROM messages WHERE conversation_id = ? AND chosen = 1 AND text <> '' ORDER BY seq DESC",
            (one.id,),
        ).fetchall()
        (count,) = connection.execute("SELECT count(*) FROM messages WHERE conversation_id = ?", (one.id,)).fetchone()
        found[one.id] = count, conversations.preview(texts[0][0][:600]) if texts else ""
    return found


def test_outlines_follow_whatever_happens_to_messages(tmp_path: Path) -> None:
    draw = random.Random(5)
    with closing(database.open_writer(tmp_path / "a.db")) as connection:
        sample_data.fill(connection, 4, 6)
        for step in range(120):
            head = f"sample-1-{draw.randrange(4)}"
            branch = messages.branch(connection, head)
            one = draw.choice(branch)
            match draw.randrange(4):
                case 0:
                    status = draw.choice([MessageStatus.STREAMING, MessageStatus.COMPLETE, MessageStatus.FAILED])
                    messages.save_answer(connection, replace(one, text=f"changed {step}", status=status))
                case 1:
                    made = replace(one, id=f"made-{step}", text=draw.choice(["", f"another {step}"]))
                    messages.insert(connection, [made])
                case 2:
                    messages.choose(connection, messages.sibling(connection, one.id, -1))
                case _:
                    conversations.delete(connection, head, 1.0)
                    conversations.undelete(connection, head)
            assert _as_shown(connection) == _as_counted(connection), step


def test_a_store_of_before_gets_them_and_keeps_all(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with closing(database.open_writer(path)) as connection:
        sample_data.fill(connection, 3, 4)
        shown = _as_shown(connection)
        for trigger, _ in migrations.acts_of(connection):
            if trigger.startswith(("outlines_", "prints_")) or "_characters_" in trigger:
                connection.execute(f"DROP TRIGGER {trigger}")
        for statement in (
            "DROP TABLE outlines",
            "DROP TABLE prints",
            *(f"DROP TABLE {table}_characters" for table in ("messages", "conversations", "passages")),
            "DROP INDEX messages_restricted",
            "DELETE FROM facts WHERE name = 'prints_key'",
            "DELETE FROM _sqlite_migrations WHERE name >= 'm004'",
            "PRAGMA user_version = 3",
        ):
            connection.execute(statement)
    with closing(database.open_writer(path)) as connection:
        assert _as_shown(connection) == shown
        assert connection.execute("SELECT count(*) FROM outlines").fetchone() == (3,)
        assert connection.execute("SELECT length(value) FROM facts WHERE name = 'prints_key'").fetchone() == (64,)
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
