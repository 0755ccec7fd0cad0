"""Readers that do not read."""

from __future__ import annotations

import pytest

from engine.errors import RequestError
from engine.serving.http.mailbox import MAX_WAITING_DELTAS, Mailbox, deliver
from engine.serving.sequence import Delta


async def test_a_step_is_taken_as_a_whole_and_numbered() -> None:
    mailbox = Mailbox(on_overflow=lambda: None)
    first, second = mailbox.sink(0), mailbox.sink(2)
    deliver([(first, Delta(1, "a")), (second, Delta(0, "b"))])
    assert await mailbox.take() == [(1, Delta(1, "a")), (2, Delta(0, "b"))]


async def test_a_reader_too_far_behind_is_dropped_and_memory_stays_bounded() -> None:
    overflows: list[str] = []
    mailbox = Mailbox(on_overflow=lambda: overflows.append("cancelled"))
    sink = mailbox.sink(0)
    for _ in range(MAX_WAITING_DELTAS):
        sink(Delta(0, "x"))
    assert not overflows
    for _ in range(MAX_WAITING_DELTAS):
        sink(Delta(0, "x"))
    assert overflows == ["cancelled"]
    with pytest.raises(RequestError, match="not read"):
        await mailbox.take()


async def test_what_waits_for_one_choice_is_taken_as_one() -> None:
    mailbox = Mailbox(on_overflow=lambda: None)
    receive = mailbox.sink(first_choice=2)
    deliver([(receive, Delta(0, "a")), (receive, Delta(0, "b")), (receive, Delta(1, "x"))])
    deliver([(receive, Delta(0, "c")), (receive, Delta(0, "d", finish="stop"))])

    taken = await mailbox.take()

    assert [(choice, delta.text, delta.finish) for choice, delta in taken] == [
        (2, "ab", None),
        (3, "x", None),
        (2, "cd", "stop"),
    ]
