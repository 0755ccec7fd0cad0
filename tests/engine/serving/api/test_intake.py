"""Bodies on their way in."""

from __future__ import annotations

import asyncio

import httpx2
import pytest
from starlette.requests import Request
from starlette.types import Message

from engine.errors import RequestError
from engine.serving.http.intake import Intake
from engine.serving.http.state_api import MAX_TOKENIZE_CHARS


async def test_a_client_that_stops_in_the_middle_of_its_body_is_given_up() -> None:
    sent = [{"type": "http.request", "body": b'{"messages": [', "more_body": True}]

    async def receive() -> Message:
        if sent:
            return sent.pop()
        await asyncio.Event().wait()
        raise AssertionError

    intake = Intake()
    intake.body_timeout_s = 0.05
    try:
        with pytest.raises(RequestError) as caught:
            async with intake.read(Request({"type": "http", "method": "POST", "headers": []}, receive), len):
                raise AssertionError
    finally:
        intake.close()
    assert (caught.value.status, caught.value.code) == (408, "body_timeout")
    assert "0.05 s" in caught.value.sentence


@pytest.mark.native
@pytest.mark.parametrize("as_chat", [False, True])
def test_a_word_of_megabytes_is_not_tokenized(http: httpx2.Client, as_chat: bool) -> None:
    word = "a" * (MAX_TOKENIZE_CHARS + 1)
    body = {"messages": [{"role": "user", "content": word}]} if as_chat else {"content": word}
    answer = http.post("/tokenize", json=body)
    assert answer.status_code == 413
    assert f"{MAX_TOKENIZE_CHARS:,} are tokenized" in answer.json()["error"]["message"]
