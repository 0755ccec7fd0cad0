"""The list of conversations: order, previews, deleting with a way back, purging for good."""

from __future__ import annotations

import pytest

from app.lanes import StoreLane
from app.paths import Paths
from app.store import conversations, driver, messages, search
from engine.errors import StoreError
from tests.app.written import conversation, message


async def _add(lane: StoreLane, conversation_id: str, updated_at: float, *texts: str) -> None:
    def work(connection: driver.Connection) -> None:
        head = conversation(f"Title {conversation_id}", conversation_id, updated_at)
        conversations.insert(connection, head)
        parent = None
        for text in texts:
            (added,) = messages.insert(connection, [message(conversation_id, text, parent=parent)])
            parent = added.id

    await lane.write(work)


async def test_pinned_first_then_latest(lane: StoreLane) -> None:
    for name, at in (("old", 1.0), ("new", 3.0), ("middle", 2.0)):
        await _add(lane, name, at)
    await lane.write(lambda connection: conversations.pin(connection, "old", True))
    assert [c.id for c in await lane.read(conversations.every)] == ["old", "new", "middle"]


async def test_preview_is_one_line_of_the_last_message(lane: StoreLane) -> None:
    await _add(lane, "c", 1.0, "first", "second\n\n  line " + "x" * 500)
    (found,) = await lane.read(conversations.every)
    assert found.message_count == 2
    assert found.preview.startswith("second line xxx")
    assert len(found.preview) == 160


async def test_activity_moves_forward_only(lane: StoreLane) -> None:
    await _add(lane, "c", 50.0)
    await lane.write(lambda connection: conversations.touch(connection, "c", 40.0, "model"))
    found = await lane.read(lambda connection: conversations.get(connection, "c"))
    assert (found.updated_at, found.model_id) == (50.0, "model")
    await lane.write(lambda connection: conversations.touch(connection, "c", 60.0))
    found = await lane.read(lambda connection: conversations.get(connection, "c"))
    assert (found.updated_at, found.model_id) == (60.0, "model")


async def test_deleted_is_gone_and_comes_back(lane: StoreLane) -> None:
    await _add(lane, "c", 1.0, "a walrus")
    assert await lane.write(lambda connection: conversations.delete(connection, "c", 9.0)) == "Title c"
    assert await lane.read(conversations.every) == ()
    assert await lane.read(lambda connection: search.search(connection, "walrus", 9)) == ()
    with pytest.raises(StoreError, match="not there any more"):
        await lane.read(lambda connection: conversations.get(connection, "c"))
    await lane.write(lambda connection: conversations.undelete(connection, "c"))
    assert len(await lane.read(lambda connection: search.search(connection, "walrus", 9))) == 1


async def test_purge_takes_messages_and_words_along(lane: StoreLane) -> None:
    await _add(lane, "gone", 1.0, "a walrus", "another walrus")
    await _add(lane, "kept", 1.0, "a third walrus")
    await lane.write(lambda connection: conversations.delete(connection, "gone", 9.0))
    assert await lane.write(conversations.purge) == 1

    def look(connection: driver.Connection) -> tuple[list[str], int]:
        texts = [row[0] for row in connection.execute("SELECT text FROM messages")]
        words = connection.execute("SELECT count(*) FROM messages_text WHERE messages_text MATCH 'walrus'").fetchone()
        return texts, words[0]

    assert await lane.read(look) == (["a third walrus"], 1)
    # The index agrees with the table it describes: raises when not.
    check = "INSERT INTO messages_text (messages_text) VALUES ('integrity-check')"
    await lane.write(lambda connection: connection.execute(check).rowcount)


async def test_purge_leaves_no_word_on_the_disk(paths: Paths) -> None:
    lane = StoreLane(paths.database)
    await _add(lane, "gone", 1.0, "a secret walrus")
    await lane.write(lambda connection: conversations.rename(connection, "gone", "Walruses"))
    for number in range(20):  # so that the index has parts to write anew
        await _add(lane, f"kept{number}", 1.0, "a public otter")
    await lane.write(lambda connection: conversations.delete(connection, "gone", 9.0))
    await lane.write(conversations.purge)
    lane.close()
    files = {path.name: path.read_bytes().lower() for path in paths.data.iterdir() if path.name.startswith("gatehouse")}
    assert b"otter" in files["gatehouse.db"]
    assert [name for name, content in files.items() if b"walrus" in content] == []


async def test_purge_of_a_very_long_conversation(lane: StoreLane) -> None:
    await _add(lane, "gone", 1.0, *(f"word {number}" for number in range(1200)))
    await lane.write(lambda connection: conversations.delete(connection, "gone", 9.0))
    assert await lane.write(conversations.purge) == 1
    assert await lane.read(lambda connection: connection.execute("SELECT count(*) FROM messages").fetchone()) == (0,)
