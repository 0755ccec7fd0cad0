"""What is restricted is known again where it was pasted: word for word, however it is wrapped, and it stays here."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from app.documents.records import DocumentKind, Reading
from app.gate import quotes
from app.gate.label import GateMode, Label
from app.gate.leaks import squeeze, views_of
from app.gate.records import Ask, Preview
from app.lanes import StoreLane
from app.paths import resolve
from app.store import documents, prints
from engine.errors import GatehouseError
from tests.app.gate.encodings import ENCODINGS
from tests.app.gate.made_gate import GateStage, close, gate_stage
from tests.cloud_double import CloudDouble

KEY = bytes(range(32))
SECRET = (
    "The examiners found that the left valve of the Falcon pump cracks at minus twelve degrees, and that the works in"
    " Ostrava knew of it since the spring of last year. The board has decided to say nothing before the hearing."
)
PASSAGE = SECRET[60:190]
OTHERS = (
    "Which valves crack in winter? I have heard of pumps whose left valve breaks at low temperatures, and that a works"
    " may know of such things for a year and say nothing. What would a board decide before a hearing?"
)


def _is_quoted(secret: str, *texts: str) -> bool:
    printed = quotes.blocks(secret, KEY)
    return any(quotes.is_quoted(printed, window) for window in quotes.windows(texts, KEY))


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_quote_is_known_however_it_is_wrapped(name: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": f"Look: {ENCODINGS[name](PASSAGE)} What then?"}]})
    assert _is_quoted(SECRET, views_of(body.encode()).squeezed)


def test_the_same_matter_in_other_words_is_no_quote() -> None:
    assert not _is_quoted(SECRET, OTHERS)
    assert not _is_quoted(SECRET, "", "cracks at minus twelve")
    assert not any(quotes.is_quoted(quotes.blocks(SECRET, KEY), window) for window in quotes.windows([SECRET], KEY[1:]))


def test_a_long_word_that_many_have_is_no_quote() -> None:
    address = "https://www.example.org/products/catalogue-of-the-year"
    assert not _is_quoted(f"Order it at {address} today.", f"Look at {address} please.")
    assert _is_quoted(
        "検査官は、左の弁が氷点下十二度で割れることと、工場がそれを知っていたことを確認した。",
        "検査官は、左の弁が氷点下十二度で割れることと、工場がそれを",
    )


@given(
    words=st.lists(st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=12), min_size=90),
    start=st.integers(0, 150),
)
def test_from_a_certain_length_on_every_quote_is_known(words: list[str], start: int) -> None:
    text = " ".join(words)
    letters = squeeze(text)
    part = letters[start : start + quotes.CERTAIN_CHARS]
    if len(part) == quotes.CERTAIN_CHARS:
        assert _is_quoted(text, f"before {part} after")


# In the product.


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory, cloud: CloudDouble) -> AsyncIterator[GateStage]:
    paths = resolve(tmp_path_factory.mktemp("gate") / "data")
    paths.make_folders()
    lane = StoreLane(paths.database)
    made = await gate_stage(lane, paths)
    await made.gate.add_term("Falcon", "PROJECT")
    await made.provider(cloud.base_url)
    await made.gate.scan("the detectors' process lives as long as the module")
    yield made
    await close(made)
    lane.close()


in_module = pytest.mark.asyncio(loop_scope="module")


async def _preview(stage: GateStage, text: str) -> Preview:
    local = await stage.answered("A question.", "An answer.", GateMode.ASK)
    return await stage.gate.preview(Ask(local.conversation_id, draft=f"Please shorten: {text}"))


@in_module
async def test_what_is_pasted_from_a_restricted_conversation_stays_here(stage: GateStage, cloud: CloudDouble) -> None:
    """Also where a hidden name would cut it in two; and no longer once the conversation may leave."""
    source = await stage.answered("What did they find?", SECRET, GateMode.LOCAL, Label.RESTRICTED)
    await stage.chat.rename(source.conversation_id, "The hearing")
    before = len(cloud.seen())
    for passage in (PASSAGE, SECRET[35:105], PASSAGE.replace(" ", "\n> "), ENCODINGS["base64 at 1"](PASSAGE)):
        preview = await _preview(stage, passage)
        assert (preview.verdict.code, preview.body) == ("restricted_quote", b""), passage
        assert "“The hearing”" in preview.verdict.sentence
        with pytest.raises(GatehouseError):
            await stage.gate.send(preview.id, preview.body_sha256)
    opened = await stage.answered("A question.", "An answer.", GateMode.OPEN)
    with pytest.raises(GatehouseError) as caught:
        await stage.gate.ask(Ask(opened.conversation_id, draft=PASSAGE))
    assert caught.value.code == "restricted_quote"
    assert len(cloud.seen()) == before
    assert (await _preview(stage, OTHERS)).verdict.allowed
    await stage.gate.set_label(source.conversation_id, Label.INTERNAL)
    assert (await _preview(stage, PASSAGE)).verdict.allowed


@in_module
async def test_a_workspace_and_a_document_that_become_restricted_under_an_open_sheet(
    stage: GateStage, cloud: CloudDouble
) -> None:
    source = await stage.answered("What did they find?", SECRET[:120], GateMode.LOCAL)
    reading = Reading(DocumentKind.TEXT, "b6" * 32, SECRET[120:], ())
    document = await stage.lane.write(
        lambda connection: documents.keep(connection, reading, Path("/files/minutes.txt"), Label.INTERNAL, 1.0)
    )
    from_talk, from_document = await _preview(stage, SECRET[20:110]), await _preview(stage, SECRET[130:])
    assert from_talk.verdict.allowed
    assert from_document.verdict.allowed
    ward = await stage.gate.add_place("Board", Label.RESTRICTED)
    await stage.gate.move(source.conversation_id, ward.id)
    await stage.lane.write(lambda connection: documents.set_label(connection, document.id, Label.RESTRICTED))
    before = len(cloud.seen())
    for preview, name in ((from_talk, source.conversation_id), (from_document, "minutes.txt")):
        answer = await stage.finished(await stage.gate.send(preview.id, preview.body_sha256))
        assert "word for word what is restricted" in answer.error, name
    assert len(cloud.seen()) == before
    assert "“minutes.txt”" in (await _preview(stage, SECRET[130:])).verdict.sentence
    newer = Reading(DocumentKind.TEXT, "b6" * 32, OTHERS, ())
    await stage.lane.write(
        lambda connection: documents.keep(connection, newer, Path("minutes.txt"), Label.INTERNAL, 2.0)
    )
    assert (await _preview(stage, OTHERS)).verdict.code == "restricted_quote", "read anew, and still restricted"
    assert (await _preview(stage, SECRET[130:])).verdict.allowed
    await stage.lane.write(lambda connection: connection.execute("DELETE FROM documents"))
    assert {one.name for one in await stage.lane.read(lambda c: list(prints.every(c)))} == {"What did they find?"}


@in_module
async def test_a_restricted_text_that_cannot_be_read_lets_nothing_out(stage: GateStage) -> None:
    reading = Reading(DocumentKind.TEXT, "c7" * 32, SECRET, ())
    await stage.lane.write(lambda c: documents.keep(c, reading, Path("damaged.txt"), Label.RESTRICTED, 1.0))
    await stage.lane.write(lambda c: c.execute("UPDATE documents SET reading = x'00' WHERE path = 'damaged.txt'"))
    with pytest.raises(GatehouseError) as caught:
        await _preview(stage, "Nothing of it.")
    assert caught.value.code == "damaged_reading"
    await stage.lane.write(lambda c: c.execute("DELETE FROM documents"))
    assert (await _preview(stage, "Nothing of it.")).verdict.allowed
