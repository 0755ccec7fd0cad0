"""Search: what is found, what never breaks it, and the spans to highlight."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.chat.records import MessageStatus
from app.lanes import StoreLane
from app.store import conversations, driver, marking, messages, search
from tests.app.written import conversation, message


@pytest.fixture
async def library(lane: StoreLane) -> StoreLane:
    def work(connection: driver.Connection) -> None:
        conversations.insert(connection, conversation("Holidays in Zürich", "zurich"))
        messages.insert(
            connection,
            [
                message("zurich", "Where can one eat Crème brûlée near the lake?", message_id="question"),
                message("zurich", "Try the cafés;\nthey don't close at user@example.com", message_id="answer"),
            ],
        )
        conversations.insert(connection, conversation("Rust macros", "rust"))
        messages.insert(connection, [message("rust", "macro_rules! creates code", message_id="macro")])

    await lane.write(work)
    return lane


async def _found(lane: StoreLane, words: str) -> list[str | None]:
    hits = await lane.read(lambda connection: search.search(connection, words, 50))
    return [hit.message_id or f"title of {hit.conversation_id}" for hit in hits]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("creme", ["question"]),
        ("CRÈME  brulee ", ["question"]),
        ("cre", ["macro", "question"]),
        ("cre ", []),
        ("lake creme", ["question"]),
        ("lake macro", []),
        ("zuric", ["title of zurich"]),
        ("don't", ["answer"]),
        ("user@example.com", ["answer"]),
        ("macro_rules!", ["macro"]),
        ("macro", ["title of rust", "macro"]),
        ("", []),
        ("   ", []),
        ('"', []),
        ("* AND", []),
        ("NOT lake", []),
        ("lake OR", []),
        ("text:lake", []),
        ("-", []),
    ],
)
async def test_what_is_found(library: StoreLane, words: str, expected: list[str]) -> None:
    assert sorted(map(str, await _found(library, words))) == sorted(expected)


async def test_spans_mark_the_words_in_a_plain_line(library: StoreLane) -> None:
    (hit,) = await library.read(lambda connection: search.search(connection, "cafes clos", 5))
    assert "\n" not in hit.snippet
    assert [hit.snippet[start:end] for start, end in hit.matches] == ["cafés", "close"]
    assert hit.conversation_title == "Holidays in Zürich"


async def test_newest_first_and_limited(lane: StoreLane) -> None:
    def work(connection: driver.Connection) -> None:
        conversations.insert(connection, conversation(conversation_id="c"))
        for number in range(5):
            messages.insert(connection, [message("c", f"walrus {number}", message_id=str(number))])

    await lane.write(work)
    hits = await lane.read(lambda connection: search.search(connection, "walrus", 2))
    assert [hit.message_id for hit in hits] == ["4", "3"]


async def test_renamed_title_is_found_by_its_new_words_only(library: StoreLane) -> None:
    await library.write(lambda connection: conversations.rename(connection, "rust", "Borrow checker"))
    assert await _found(library, "borrow") == ["title of rust"]
    assert await _found(library, "rust") == []


async def test_streaming_answer_is_found_once_it_ended(lane: StoreLane) -> None:
    streaming = message("c", "the walrus", message_id="a", status=MessageStatus.STREAMING)

    def begin(connection: driver.Connection) -> None:
        conversations.insert(connection, conversation(conversation_id="c"))
        messages.insert(connection, [streaming])

    await lane.write(begin)
    assert await _found(lane, "walrus") == []
    await lane.write(lambda connection: messages.interrupt_unfinished(connection, "It ended."))
    assert await _found(lane, "walrus") == ["a"]
    ended = message("c", "the seal", message_id="a")
    await lane.write(lambda connection: messages.save_answer(connection, ended))
    assert await _found(lane, "walrus") == []
    assert await _found(lane, "seal") == ["a"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(words=st.text(max_size=40))
def test_no_text_breaks_the_query(words: str) -> None:
    connection = driver.connect(":memory:")
    try:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5 (text, tokenize = 'unicode61 remove_diacritics 2')")
        connection.execute("INSERT INTO t VALUES (?)", (words.encode("utf-8", "replace").decode(),))
        for split in (False, True):
            query = search.match_expression(words.encode("utf-8", "replace").decode(), split=split)
            if query is None:
                continue
            connection.execute("SELECT count(*) FROM t WHERE t MATCH ?", (query,)).fetchone()
    finally:
        connection.close()


@given(marked=st.text(alphabet="ab \n\x02\x03", max_size=30))
def test_spans_never_leave_the_text(marked: str) -> None:
    snippet, spans = marking.unmark(marked)
    assert all(0 <= start < end <= len(snippet) for start, end in spans)
    assert list(spans) == sorted(spans)
