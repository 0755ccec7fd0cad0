"""The log names places and kinds, and holds nothing that was said."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.log import close_log, open_log

SECRET = "my secret prompt"


@pytest.fixture
def log_file(tmp_path: Path) -> Iterator[Path]:
    handler = open_log(tmp_path / "log")
    yield tmp_path / "log"
    close_log(handler)


def _fail() -> None:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ValueError(f"cannot use {SECRET!r}") from error


def test_a_logged_exception_is_without_its_message(log_file: Path) -> None:
    try:
        _fail()
    except ValueError:
        logging.getLogger("app.somewhere").exception("A bug.")
    written = log_file.read_text("utf-8")
    assert "A bug." in written
    assert written.index("KeyError") < written.index("ValueError")
    assert "test_log.py" in written
    assert " _fail\n" in written
    assert SECRET not in written


def test_what_a_forgotten_task_raised_is_without_its_message_too(log_file: Path) -> None:
    async def forgets() -> None:
        async def fails() -> None:
            _fail()

        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        asyncio.get_running_loop().call_exception_handler({"message": "forgotten", "exception": task.exception()})

    asyncio.run(forgets())
    written = log_file.read_text("utf-8")
    assert "forgotten" in written
    assert "ValueError" in written
    assert SECRET not in written
