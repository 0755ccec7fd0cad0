"""One worker a module, and clients that are closed with each test."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from openai import OpenAI

from tests.engine.served import KEY, WorkerProcess, serving


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    with serving() as made:
        yield made


@pytest.fixture
def client(worker: WorkerProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{worker.address}/v1", api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


@pytest.fixture
def http(worker: WorkerProcess) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=worker.address, headers=headers, timeout=60) as made:
        yield made
