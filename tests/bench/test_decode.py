"""The client of the decode bench takes an answer apart only when it is over."""

from __future__ import annotations

from tests.bench.decode import _told


def test_an_event_has_arrived_when_its_last_byte_has() -> None:
    arrivals = [
        (1.0, b'HTTP says\n\ndata: {"choices":[{"text":"a"}]}\n\ndata: {"choi'),
        (2.0, b'ces":[{"text":"b"}]}\n\ndata: {"choices":[{"text":"c"}]}\n'),
        (3.0, b'\ndata: {"choices":[{"text":""}]}\n\n'),
        (4.0, b'data: {"choices":[],"usage":{"completion_tokens":3}}\n\ndata: [DONE]\n\n'),
    ]
    assert _told(arrivals) == (1.0, 3.0, {"choices": [], "usage": {"completion_tokens": 3}})
