"""Everything about documents: what ``app.documents.api.DocumentsApi`` promises, put together from its parts.

All coroutines run in the core thread.
"""

from __future__ import annotations

from collections.abc import Callable

from app.documents.announcing import Announcer
from app.documents.attaching import AskOutlook, Attaching
from app.documents.batches import Batches
from app.documents.exporting import Exporting
from app.documents.kit import Kit, MakeAsker
from app.documents.review import Reviews
from app.documents.schema_shelf import SchemaShelf
from app.documents.schemas import Schemas


class DocumentsService(Batches, Reviews, Schemas, Attaching, Exporting):
    """The one implementation of ``DocumentsApi``."""

    def __init__(
        self,
        kit: Kit,
        shelf: SchemaShelf,
        make_asker: MakeAsker,
        expected_n_ctx: Callable[[], int] | None = None,
        outlook: AskOutlook | None = None,
    ) -> None:
        announcer = Announcer(kit.lane, kit.bus)
        Batches.__init__(self, kit, shelf, announcer)
        Reviews.__init__(self, kit, announcer)
        Schemas.__init__(self, kit, shelf, make_asker)
        Attaching.__init__(self, kit, expected_n_ctx, outlook)
        Exporting.__init__(self, kit)

    async def start(self) -> None:
        """In the one window of a data folder: go on with what was left."""
        await Batches.start(self)
        await self.take_up()

    @property
    def busy(self) -> bool:
        """Files of batches are worked on, or documents of conversations are read."""
        return self._runner.busy or bool(self._reading)

    async def close(self) -> None:
        """End what runs, and the readers; what was at work waits for the next start."""
        await self.end_reading()
        await Batches.close(self)
        await self._announcer.close()
        await self._kit.extractor.close()
        await self._kit.readers.close()
