"""What is gathered, how it is cut, kept and looked up: the pure parts around batches, and their rows."""

from __future__ import annotations

import os
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.documents.blocks import blocks_of
from app.documents.gather import gather
from app.documents.pace import Pace
from app.documents.packing import pack, unpack
from app.documents.passages import LENGTH, cut
from app.documents.pool import ReaderPool
from app.documents.records import Box, DocumentKind, Page, Reading, Table, Word
from app.documents.watch import settled
from app.gate.label import Label
from app.lanes import StoreLane
from app.store import documents, passages
from app.store.database import Connection
from engine.errors import GatehouseError, StoreError
from tests.app.documents.made_files import PdfPage, pdf


def reading_of(*texts: str, sha256: str = "ab") -> Reading:
    """Pages of plain text, each word a box of its own."""
    pages, whole, at = [], [], 0
    for number, text in enumerate(texts, 1):
        words, start = [], 0
        for word in text.split():
            start = text.index(word, start)
            box = Box(start, number * 10.0, start + len(word), number * 10.0 + 8)
            words.append(Word(word, box, 0.5, at + start, at + start + len(word)))
            start += len(word)
        pages.append(Page(number, 600, 800, "text", tuple(words), at, at + len(text)))
        whole.append(text)
        at += len(text) + 1
    return Reading(DocumentKind.TEXT, sha256, "\n".join(whole), tuple(pages), ("A note.",), (), at)


def test_gathering_takes_documents_in_a_persons_order(tmp_path: Path) -> None:
    for name in ("10.pdf", "2.pdf", ".hidden.pdf", "~$2.docx", "Thumbs.db", "half.part", "deep/1.txt", ".git/a.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    found = gather((tmp_path / "in", tmp_path / "in" / "2.pdf", tmp_path / "in" / ".hidden.pdf"))
    assert [str(file.path.relative_to(tmp_path / "in")) for file in found] == [
        "2.pdf",
        "10.pdf",
        os.path.join("deep", "1.txt"),  # noqa: PTH118
        ".hidden.pdf",  # named, so it is wanted
    ]
    with pytest.raises(GatehouseError, match="There is no"):
        gather((tmp_path / "nowhere",))


def test_words_are_taken_from_where_a_set_keeps_them(tmp_path: Path) -> None:
    for name in ("box/1.csv", "img/1.jpg", "key/1.json", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [file.path.name for file in gather((tmp_path,), as_words=True)] == ["1.csv"]


def test_growing_files_do_not_join(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one")
    first = gather((tmp_path,))
    before = {file.path: (file.size_bytes, file.modified_ns) for file in first}
    assert settled(first, {}) == ()
    assert settled(first, before) == first
    path.write_text("one and more")
    assert settled(gather((tmp_path,)), before) == ()


def test_pace_counts_files_that_share_time_and_not_the_rest() -> None:
    pace = Pace()
    assert Pace().left_s(3) is None
    pace.begin(100.0)
    for ended_at in (104.0, 104.0, 108.0, 108.0):  # two at a time, four seconds each
        pace.end_file(ended_at)
    assert pace.file_s == 2.0
    assert pace.left_s(10) == 20.0
    pace.rest()
    assert pace.left_s(10) is None
    pace.begin(1000.0)
    pace.end_file(1003.0)
    assert pace.file_s == 3.0


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=400), min_size=1, max_size=4))
def test_passages_and_blocks_hold_every_word_at_its_place(texts: list[str]) -> None:
    reading = reading_of(*texts)
    for spans in (
        [(start, end) for _, start, end, text in cut(reading) if text == reading.text[start:end]],
        [(block.start, block.end) for block in blocks_of(reading)],
    ):
        held = {offset for start, end in spans for offset in range(start, end)}
        for page in reading.pages:
            assert all(offset in held for word in page.words for offset in range(word.start, word.end))
    blocks = blocks_of(reading)
    assert all(one.end <= other.start for one, other in pairwise(blocks))


def test_passages_are_short_overlap_and_keep_to_pages() -> None:
    lines = [f"Clause {number}: the tenant pays {number} euros on the first day of the month." for number in range(60)]
    reading = reading_of("\n".join(lines[:40]), "\n".join(lines[40:]), "x" * 5000)
    found = cut(reading)
    assert max(len(text) for *_, text in found) <= LENGTH
    assert {page for page, *_ in found} == {1, 2, 3}
    starts = [start for _, start, _, _ in found]
    assert starts == sorted(set(starts))
    first, second = found[0], found[1]
    assert second[1] < first[2]  # the last lines of one are the first of the next


@pytest.mark.asyncio(loop_scope="module")
async def test_readings_come_back_from_the_store_as_they_were(pool: ReaderPool, tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(PdfPage(((72, 72, 12, "Größe 42 – naïve"),), lines=((60, 60, 300, 60),)), PdfPage()))
    reading = await pool.read(path)
    assert unpack(pack(reading)) == reading
    table = Table(Box(0, 0, 1, 1), (("a", "b"), ("", "d")))
    odd = Page(1, 10, 10, "ocr", (Word("ﬁ", Box(0, 0, 1, 1), 0.25, 0, 2),), 0, 2, 90, "Sheet", (table,))
    strange = Reading(DocumentKind.XLSX, "cd", "fi", (odd,), (), (), 2, password=True)
    assert unpack(pack(strange)) == strange
    for damaged in (b"", b"\0", pack(reading)[:-9]):
        with pytest.raises(StoreError):
            unpack(damaged)


async def test_the_same_bytes_are_one_document_with_the_stricter_label(lane: StoreLane) -> None:
    def keep(connection: Connection, label: Label, path: str) -> str:
        return documents.keep(connection, reading_of("Hello"), Path(path), label, 1.0).id

    first = await lane.write(lambda connection: keep(connection, Label.RESTRICTED, "/a.txt"))
    second = await lane.write(lambda connection: keep(connection, Label.PUBLIC, "/b.txt"))
    assert first == second
    document = await lane.read(lambda connection: documents.get(connection, first))
    assert (document.label, document.path) == (Label.RESTRICTED, Path("/b.txt"))


@pytest.mark.parametrize("with_extension", [True, False])
async def test_passages_are_found_by_words_and_by_meaning(
    lane: StoreLane, with_extension: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ("The rent is due on the first.", "Pets need a permit.", "Notice: three months, and drops'; DROP TABLE")
    if not with_extension:
        monkeypatch.setattr(passages, "load_vec", lambda connection: False)

    def fill(connection: Connection) -> str:
        document = documents.keep(connection, reading_of(*texts), Path("/lease.txt"), Label.INTERNAL, 1.0)
        passages.replace(connection, document.id, cut(reading_of(*texts)))
        return document.id

    document_id = await lane.write(fill)

    async def words(asked: str) -> list[str]:
        found = await lane.read(lambda connection: passages.by_words(connection, [document_id], asked, 2))
        return [passage.text for passage in found]

    assert (await words("When is rent due?"))[0] == texts[0]
    assert await words("permits for pets") == [texts[1]]  # stemmed
    assert await words('" OR NEAR( * drop') == [texts[2]]  # words, not a query
    assert await words("the of and") == []
    stored = await lane.read(lambda connection: passages.of_document(connection, document_id))
    vectors = [
        (one.seq, struct.pack("<2f", *pair)) for one, pair in zip(stored, ((1, 0), (0, 1), (0.6, 0.8)), strict=True)
    ]
    await lane.write(lambda connection: passages.add_vectors(connection, "m", vectors))
    near = await lane.read(
        lambda connection: passages.by_vector(connection, [document_id], "m", struct.pack("<2f", 0.1, 0.99), 2)
    )
    assert [passage.text for passage in near] == [texts[1], texts[2]]
    assert await lane.read(lambda connection: passages.without_vectors(connection, [document_id], "m")) == ()
