"""One pool of real readers for each module: a recogniser takes two seconds to load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from app.documents.pool import ReaderPool


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReaderPool]:
    readers = ReaderPool(1)
    first = tmp_path_factory.mktemp("first") / "first.txt"
    first.write_text("The reader starts with the module, not with its first test.")
    await readers.read(first)
    yield readers
    await readers.close()
    await asyncio.sleep(0)  # lets the transports that were just closed go
