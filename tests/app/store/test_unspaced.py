"""Writing without spaces: found from anywhere in a sentence, marked at its place, in stores old and new."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.chat.records import MessageStatus
from app.lanes import StoreLane
from app.paths import Paths
from app.store import (
    conversations,
    database,
    marking,
    messages,
    migration_characters,
    migrations,
    passages,
    search,
    unspaced,
)
from app.store.database import Connection
from tests.app.written import conversation, message

TEXTS = {
    "zh": "我们明天上午去北京大学图书馆借书，请带上学生证。",
    "zh-latin": "使用Python編程：第一步是安裝 pip，然後執行測試。",
    "ja": "契約の解除は、三十日前までに書面で通知しなければならない。",
    "ja-kana": "東京タワーのｶﾒﾗは、ﾃﾞｰﾀを保存します。",
    "ko": "서울대학교에서 인공지능을 공부하는 학생입니다.",
    "th": "พรุ่งนี้เราจะไปเที่ยวเชียงใหม่กับเพื่อนที่ทำงานด้วยกัน",
    "km": "ខ្ញុំរៀនភាសាខ្មែរនៅភ្នំពេញ",
    "latin": "A walrus in Beijing (Python 3)",
}
FOUND = [
    ("北京", ["zh"]),
    ("图书馆", ["zh"]),
    ("京大", ["zh"]),
    ("馆书", []),
    ("学", ["ko-title", "zh"]),
    ("明天 学生证", ["zh"]),
    ("明天，上午", ["zh"]),
    ("編程", ["zh-latin"]),
    ("Python編", ["zh-latin"]),
    ("python", ["latin", "zh-latin"]),
    ("pyth", ["latin", "zh-latin"]),
    ("Ｐｙｔｈｏｎ", ["zh-latin"]),
    ("pip 測試", ["zh-latin"]),
    ("walrus 北京", []),
    ("解除", ["ja"]),
    ("通知しなければ", ["ja"]),
    ("⽉", []),
    ("タワー", ["ja-kana"]),
    ("カメラ", ["ja-kana"]),
    ("ﾀﾜｰ", ["ja-kana"]),
    ("データ", ["ja-kana"]),
    ("テータ", []),
    (unicodedata.normalize("NFD", "データ"), ["ja-kana"]),
    ("대학교", ["ko"]),
    ("지능을 학생", ["ko"]),
    (unicodedata.normalize("NFD", "대학"), ["ko"]),
    ("한국", ["ko-title"]),
    ("เชียงใหม่", ["th"]),
    ("เพื่อน ", ["th"]),
    ("เพือน ", []),
    ("ทำงาน", ["th"]),
    ("ភ្នំពេញ", ["km"]),
    ("・", []),
]


def _fill(connection: Connection) -> None:
    conversations.insert(connection, conversation("한국 留学の計画", "ko-title"))
    messages.insert(connection, [message("ko-title", text, message_id=name) for name, text in TEXTS.items()])


def _found(connection: Connection, words: str) -> list[str]:
    return sorted(hit.message_id or hit.conversation_id for hit in search.search(connection, words, 50))


@pytest.fixture
async def library(lane: StoreLane) -> StoreLane:
    await lane.write(_fill)
    return lane


async def test_what_is_found(library: StoreLane) -> None:
    found = await library.read(lambda connection: [(words, _found(connection, words)) for words, _ in FOUND])
    assert found == FOUND


@pytest.mark.parametrize(
    ("words", "marked"),
    [
        ("北京大学 学生", ["北京大学", "学生"]),
        ("python編", ["Python編"]),
        ("ﾀﾜｰ データ", ["タワー", "ﾃﾞｰﾀ"]),
        ("대학교에", ["대학교에"]),
        ("เชียงใหม่", ["เชียงใหม่"]),
        ("留学", ["留学"]),
    ],
)
async def test_matches_are_marked_at_their_place(library: StoreLane, words: str, marked: list[str]) -> None:
    (hit,) = await library.read(lambda connection: search.search(connection, words, 5))
    assert [hit.snippet[start:end] for start, end in hit.matches] == marked
    whole = TEXTS.get(hit.message_id or "", hit.conversation_title)
    assert hit.snippet == whole


def test_a_part_of_a_long_text_shows_the_words_uncut() -> None:
    text = "序章の文。" * 60 + "ここに深海魚がいる Café au lait。" + "終章の文。" * 60
    snippet, spans = marking.unmark(marking.Marker(["深海魚", "cafe"], unfinished=False)(text, whole=False))
    assert [snippet[start:end] for start, end in spans] == ["深海魚", "Café"]
    assert (snippet[0], snippet[-1], len(snippet) < 110) == ("…", "…", True)
    assert snippet[1:-1] in text
    thai = TEXTS["th"] * 5
    snippet, spans = marking.unmark(marking.Marker(["ที่ทำ"], unfinished=True)(thai, whole=False))
    assert [snippet[start:end] for start, end in spans] == ["ที่ทำ"] * len(spans) != []
    assert unicodedata.category(snippet.strip("…")[0])[0] != "M"
    assert unicodedata.category(thai[thai.index(snippet.strip("…")) + len(snippet.strip("…"))])[0] != "M"


def test_marks_stay_with_their_letter_and_letters_stand_apart() -> None:
    """By what Unicode says of every character that is split."""
    for number in range(0x0E00, 0x323AF):
        character = chr(number)
        if unspaced.holds(character) and unicodedata.category(character) != "Cn":  # not in Python's Unicode yet
            category = unicodedata.category(unspaced.fold(character)[0])
            assert (category[0] == "M") == (len(unspaced.tokens(f"ก{character}")[0]) == 2), hex(number)


_WRITTEN = st.text(alphabet="東京タワーﾃﾞガの計画대학교에ที่ทำใหม่ខ្មែ Pé,。", min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(text=_WRITTEN, data=st.data())
def test_whatever_stands_in_a_text_is_found_and_marked(text: str, data: st.DataObject) -> None:
    pieces = unspaced.spaced(text).split()
    if not pieces or not any(map(unspaced.holds, pieces)):
        return
    start = data.draw(st.integers(0, len(pieces) - 1))
    end = data.draw(st.integers(start + 1, len(pieces)))
    words = "".join(pieces[start:end])
    if unspaced.tokens(words) != [token for one in pieces[start:end] for token in unspaced.tokens(one)]:
        return  # what was apart is one word now
    query = search.match_expression(words, split=True)
    if query is None or not unspaced.tokens(words):
        return
    with closing(database.connect_to(Path(":memory:"), None)) as connection:
        connection.executescript(_table())
        unspaced.add(connection, "messages_characters", [(1, text)])
        found = connection.execute("SELECT rowid FROM messages_characters WHERE text MATCH ?", (query,)).fetchall()
    assert found == [(1,)], (words, query)
    _, spans = marking.unmark(marking.Marker([words], unfinished=True)(text, whole=True))
    assert spans, words


def _table() -> str:
    return migration_characters._STATEMENTS[0]


async def test_an_answer_is_found_once_it_ended_and_by_its_last_words(lane: StoreLane) -> None:
    streaming = message("c", "海象在冰上", message_id="a", status=MessageStatus.STREAMING)

    def begin(connection: Connection) -> None:
        conversations.insert(connection, conversation(conversation_id="c"))
        messages.insert(connection, [streaming])
        messages.save_answer(connection, replace(streaming, text="海象在冰上睡"))

    await lane.write(begin)
    assert await lane.read(lambda connection: _found(connection, "冰上")) == []
    await lane.write(lambda connection: messages.interrupt_unfinished(connection, "It ended."))
    assert await lane.read(lambda connection: _found(connection, "冰上")) == ["a"]
    ended = message("c", "海豹在水里", message_id="a")
    await lane.write(lambda connection: messages.save_answer(connection, ended))
    assert await lane.read(lambda connection: _found(connection, "冰上")) == []
    assert await lane.read(lambda connection: _found(connection, "水里")) == ["a"]
    await lane.write(lambda connection: conversations.rename(connection, "c", "海豹与冰山"))
    await lane.write(lambda connection: conversations.rename(connection, "c", "海豹与鲸鱼"))
    assert await lane.read(lambda connection: _found(connection, "冰山")) == []
    assert await lane.read(lambda connection: _found(connection, "鲸鱼")) == ["c"]


def test_purge_leaves_no_character_on_the_disk(paths: Paths) -> None:
    with closing(database.open_writer(paths.database)) as connection:
        _fill(connection)
        for number in range(20):  # so that the index has parts to write anew
            conversations.insert(connection, conversation("公开", f"kept{number}"))
            messages.insert(connection, [message(f"kept{number}", "公开的水獭")])
        conversations.delete(connection, "ko-title", 9.0)
        conversations.purge(connection)
    content = paths.database.read_bytes()
    assert "獭".encode() in content
    assert [one for one in ("契約", "館", "馆", "編", "ชี", "공", "留") if one.encode() in content] == []


def _make_old(path: Path, key: bytes | None = None) -> None:
    """A store of schema 5 with the samples in it."""
    with closing(database.open_writer(path, key)) as connection:
        _fill(connection)
        messages.insert(connection, [message("ko-title", "未完の文", message_id="s", status=MessageStatus.STREAMING)])
        _document(connection)
        for trigger, _ in migrations.acts_of(connection):
            if "_characters_" in trigger:
                connection.execute(f"DROP TRIGGER {trigger}")
        for table in ("messages", "conversations", "passages"):
            connection.execute(f"DROP TABLE {table}_characters")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name >= 'm006'")
        connection.execute("PRAGMA user_version = 5")


def _document(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO documents (id, sha256, path, kind, size_bytes, characters, pages, read_at, reading)"
        " VALUES ('d', 'd', 'd', 'text', 1, 1, '[]', 1, x'00')"
    )
    texts = (*TEXTS.values(), "賃料は毎月末日までに支払う。", "敷金は明渡し後に返還する。", "The deposit is 500 yen.")
    passages.replace(connection, "d", [(1, at, at + 1, text) for at, text in enumerate(texts)])


@pytest.mark.parametrize("key", [None, bytes(range(32))], ids=["plain", "sealed"])
def test_a_store_of_before_is_searched_the_same(tmp_path: Path, key: bytes | None) -> None:
    path = tmp_path / "a.db"
    _make_old(path, key)
    with closing(database.open_writer(path, key)) as connection:
        assert [(words, _found(connection, words)) for words, _ in FOUND] == FOUND
        assert _found(connection, "未完") == []
        messages.interrupt_unfinished(connection, "It ended.")
        assert _found(connection, "未完") == ["s"]
        (first, *_) = passages.by_words(connection, ["d"], "家賃はいつまでに支払いますか", 3)
        assert first.text == "賃料は毎月末日までに支払う。"
        assert migrations.acts_of(connection) == migrations.acts()


@pytest.mark.skipif(sys.platform == "win32", reason="dies by signal")
def test_a_start_that_dies_while_it_fills_the_index_is_done_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    _make_old(path)
    code = (
        "import os, signal, sys; from pathlib import Path; from app.store import database, unspaced\n"
        "add = unspaced.add\n"
        "def last(connection, table, rows):\n"
        "    add(connection, table, rows)\n"
        "    if table == 'conversations_characters': os.kill(os.getpid(), signal.SIGKILL)\n"
        "unspaced.add = last; database.open_writer(Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, timeout=60, check=False)
    assert done.returncode == -9, done.stderr
    with closing(database.connect_to(path, None)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (5,)
        assert connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'messages_characters'").fetchone() is None
    with closing(database.open_writer(path)) as connection:
        assert _found(connection, "北京") == ["zh"]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("家賃はいつまでに支払いますか", "賃料は毎月末日までに支払う。"),
        ("敷金はいつ返還されますか？", "敷金は明渡し後に返還する。"),
        ("契約を解除するにはどうすればよいですか", TEXTS["ja"]),
        ("图书馆在哪里借书？", TEXTS["zh"]),
        ("怎么安装 pip", TEXTS["zh-latin"]),
        ("인공지능 전공", TEXTS["ko"]),
        ("ไปเชียงใหม่เมื่อไร", TEXTS["th"]),
        ("How much is the deposit?", "The deposit is 500 yen."),
        ("Who has seen Beijing?", TEXTS["latin"]),
    ],
)
async def test_a_question_finds_its_passage(lane: StoreLane, question: str, expected: str) -> None:
    await lane.write(_document)
    first = await lane.read(lambda connection: passages.by_words(connection, ["d"], question, 3))
    assert first[0].text == expected
    await lane.write(lambda connection: passages.replace(connection, "d", [(1, 0, 9, "another text")]))
    assert await lane.read(lambda connection: passages.by_words(connection, ["d"], question, 3)) == ()
