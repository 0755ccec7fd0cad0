"""A batch service over a real store and real readers, with an extractor that finds ``Total: N`` without a model."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from app.bus import Bus
from app.documents.kit import Extracted, Kit, Readers
from app.documents.records import Reading
from app.documents.schema_shelf import SchemaShelf
from app.events import Event
from app.extraction.manifest import ModelIdentity, write_manifest
from app.extraction.records import Evidence, Extraction, Grounding, Value
from app.extraction.schema import Field, FieldType, Schema
from app.lanes import StoreLane
from engine.errors import GatehouseError

SLIP = Schema(
    "slip",
    "Slip",
    "A slip of paper",
    (Field("total", FieldType.AMOUNT, "What is to pay", required=True), Field("shop", FieldType.TEXT, "Who sells")),
)
MODEL = ModelIdentity("double", "00" * 32, 1, 4096)
_TOTAL = re.compile(r"Total:\s*(\d+\.\d\d)")


class RegexExtractor:
    """Counts what it was asked; ``hold`` keeps answers back until it is set, ``refuse`` raises."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.hold: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.refuse: Callable[[Reading], GatehouseError | None] = lambda reading: None

    async def extract(self, reading: Reading, schema: Schema, model_id: str | None) -> Extracted:
        self.asked.append(reading.sha256)
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        error = self.refuse(reading)
        if error is not None:
            raise error
        extraction = Extraction((total_of(reading), _shop_of(reading)), "double", prompt_sha256="ab")
        return Extracted(extraction, write_manifest(schema, MODEL, (), "ab"))

    async def close(self) -> None:
        """Nothing runs."""


def total_of(reading: Reading) -> Value:
    found = _TOTAL.search(reading.text)
    if found is None:
        return Value("total", FieldType.AMOUNT, None, "", 0.4, Grounding.ABSENT)
    places = reading.places(*found.span(1))
    evidence = Evidence(places[0].page, places[0].box, *found.span(1), found[1])
    return Value("total", FieldType.AMOUNT, found[1], found[1], 0.97, Grounding.EXACT, (evidence,), score=0.9)


def _shop_of(reading: Reading) -> Value:
    line = reading.text.split("\n")[0].strip()
    places = reading.places(0, len(line))
    evidence = tuple(Evidence(place.page, place.box, 0, len(line), line) for place in places[:1])
    return Value("shop", FieldType.TEXT, line, line, 0.7, Grounding.EXACT, evidence, score=0.5)


def made_kit(lane: StoreLane, readers: Readers, extractor: RegexExtractor) -> Kit:
    return Kit(lane, Bus(), readers, extractor, seal_key=b"k" * 32)


def made_shelf(kit: Kit) -> SchemaShelf:
    return SchemaShelf(kit.lane, kit.bus, lambda: (SLIP,))


class Heard:
    """Everything announced, and waiting for what is."""

    def __init__(self, bus: Bus) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()
        bus.subscribe(self._take)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, wanted: Callable[[Event], bool], timeout_s: float = 20.0) -> Event:
        """The first event, past ones included, that is wanted."""
        seen = 0
        async with asyncio.timeout(timeout_s):
            while True:
                for event in self.events[seen:]:
                    seen += 1
                    if wanted(event):
                        return event
                self._news.clear()
                await self._news.wait()

    def forget(self) -> None:
        self.events.clear()
