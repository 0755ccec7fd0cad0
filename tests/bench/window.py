"""The window's figures: starting, what it holds, opening and streaming a conversation. The measuring is beside this."""

from __future__ import annotations

from tests.bench import chat_window, startup
from tests.bench.table import Row


def measure() -> list[Row]:
    """All rows of the window."""
    return [*startup.measure(), *chat_window.measure_chat()]
