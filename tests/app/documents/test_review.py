"""Deciding about values: accept, correct, absent, a box on the page, and taking it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.documents.announcing import Announcer
from app.documents.batch_records import BatchState, NewBatch
from app.documents.batches import Batches
from app.documents.pool import ReaderPool
from app.documents.records import Box
from app.documents.review import Reviews
from app.documents.review_records import ReviewAction
from app.events import BatchChanged, ValueChanged
from app.extraction.learning import learn
from app.lanes import StoreLane
from engine.errors import GatehouseError
from tests.app.documents.batch_kit import SLIP, Heard, RegexExtractor, made_kit, made_shelf
from tests.app.documents.made_files import PdfPage, pdf

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Desk:
    """One extracted document: a shop, "Total: 7.00", and another amount further down."""

    def __init__(self, reviews: Reviews, heard: Heard, file_id: str) -> None:
        self.reviews = reviews
        self.heard = heard
        self.file_id = file_id


@pytest_asyncio.fixture(loop_scope="module")
async def desk(lane: StoreLane, pool: ReaderPool, tmp_path: Path) -> AsyncIterator[Desk]:
    path = tmp_path / "slip.pdf"
    lines = ((72, 72, 12, "Corner Shop"), (72, 100, 12, "Total: 7.00"), (72, 130, 12, "Cash 10.00"))
    path.write_bytes(pdf(PdfPage(lines)))
    kit = made_kit(lane, pool, RegexExtractor())
    announcer, heard = Announcer(lane, kit.bus), Heard(kit.bus)
    batches = Batches(kit, made_shelf(kit), announcer)
    await batches.start()
    batch = await batches.create(NewBatch((path,), "slip"))
    await heard.until(lambda event: isinstance(event, BatchChanged) and event.batch.state is BatchState.DONE)
    (file,) = await batches.files(batch.id)
    heard.forget()
    yield Desk(Reviews(kit, announcer), heard, file.id)
    await batches.close()
    await announcer.close()


async def test_decisions_replace_values_and_undo_brings_them_back(desk: Desk) -> None:
    before = await desk.reviews.result(desk.file_id)
    assert [item.name for item in before.by_doubt] == ["shop", "total"]
    accepted = await desk.reviews.accept(desk.file_id, "shop")
    assert (accepted.doubtful, accepted.shown) == (False, "Corner Shop")
    corrected = await desk.reviews.correct(desk.file_id, "total", "10,00 EUR")
    assert corrected.shown == "10.00"
    assert corrected.value.value == "7.00"  # the machine's stays beside it
    assert [place.text for place in corrected.places] == ["10.00"]  # found on the page again
    after = await desk.reviews.result(desk.file_id)
    assert (after.file.doubtful_values, after.file.reviewed, after.undoable) == (0, True, True)
    assert {event.value.name for event in desk.heard.events if isinstance(event, ValueChanged)} == {"shop", "total"}
    (undone,) = await desk.reviews.undo(desk.file_id)
    assert (undone.shown, undone.review) == ("7.00", None)
    await desk.reviews.undo(desk.file_id)
    assert await desk.reviews.undo(desk.file_id) == ()
    assert (await desk.reviews.result(desk.file_id)).values == before.values


async def test_accepting_all_is_one_step(desk: Desk) -> None:
    await desk.reviews.mark_absent(desk.file_id, "shop")
    assert [item.name for item in await desk.reviews.accept_all(desk.file_id)] == ["total"]
    assert len(await desk.reviews.undo(desk.file_id)) == 1
    result = await desk.reviews.result(desk.file_id)
    shop = next(item for item in result.values if item.name == "shop")
    assert shop.review is not None
    assert (shop.review.action, shop.shown, shop.places) == (ReviewAction.ABSENT, None, ())


async def test_box_on_the_page_gives_value_and_place(desk: Desk) -> None:
    document = (await desk.reviews.result(desk.file_id)).document
    reading = await desk.reviews.reading(document.id)
    cash = next(word for word in reading.pages[0].words if word.text == "10.00")
    around = Box(60, cash.box.y0 - 2, 300, cash.box.y1 + 2)
    assert (await desk.reviews.read_box(document.id, 1, around)).text == "Cash 10.00"
    taken = await desk.reviews.take_box(desk.file_id, "total", 1, around)
    (place,) = taken.places
    assert (taken.shown, place.text) == ("10.00", "10.00")
    assert place.box is not None
    assert place.box.overlap_ratio(cash.box) > 0.9
    with pytest.raises(GatehouseError) as raised:
        await desk.reviews.take_box(desk.file_id, "total", 1, Box(400, 400, 500, 500))
    assert raised.value.code == "empty_box"


async def test_text_that_is_not_of_the_type_is_refused(desk: Desk) -> None:
    for name, text, code in (("total", "soon", "not_of_type"), ("lines[0].amount", "1", "no_such_value")):
        with pytest.raises(GatehouseError) as raised:
            await desk.reviews.correct(desk.file_id, name, text)
        assert raised.value.code == code
    assert not (await desk.reviews.result(desk.file_id)).undoable


async def test_page_is_drawn_only_from_the_bytes_that_were_read(desk: Desk, tmp_path: Path) -> None:
    document = (await desk.reviews.result(desk.file_id)).document
    assert (await desk.reviews.page_picture(document.id, 1, 200)).startswith(b"\x89PNG")
    (tmp_path / "slip.pdf").write_bytes(pdf(PdfPage(((72, 72, 12, "Another text"),))))
    with pytest.raises(GatehouseError) as raised:
        await desk.reviews.page_picture(document.id, 1, 300)
    assert raised.value.code == "file_changed"
    (tmp_path / "slip.pdf").unlink()
    with pytest.raises(GatehouseError) as raised:
        await desk.reviews.page_picture(document.id, 1, 300)
    assert raised.value.code == "file_missing"


async def test_decisions_become_examples_and_calibration(desk: Desk, lane: StoreLane) -> None:
    assert (await lane.read(lambda connection: learn(connection, SLIP))).examples == ()
    await desk.reviews.correct(desk.file_id, "total", "10.00")
    await desk.reviews.accept(desk.file_id, "shop")
    lesson = await lane.read(lambda connection: learn(connection, SLIP))
    (example,) = lesson.examples
    assert "Corner Shop" in example.text
    assert {value.name: value.value for value in example.values} == {"total": "10.00", "shop": "Corner Shop"}
