"""Every misfortune of a provider ends in a sentence, keeps what had come, is in the ledger, and is not sent again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from app.gate.records import LedgerRow, Outcome
from app.lanes import StoreLane
from app.paths import Paths
from app.providers.provider import Chunk
from engine.errors import GatehouseError
from tests.app.gate.made_egress import MadeEgress, body_for, permit_for, provider_at
from tests.cloud_double import KEY, WORDS, CloudDouble


@pytest.fixture(scope="module")
def shared() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest.fixture
def cloud(shared: CloudDouble) -> CloudDouble:
    shared.misbehave()
    return shared


@pytest.fixture
async def made(lane: StoreLane, paths: Paths) -> MadeEgress:
    return MadeEgress(lane, paths)


async def _ask(made: MadeEgress, base_url: str, model: str = "good", max_tokens: int | None = 400) -> list[Chunk]:
    """All chunks; a ``GatehouseError`` carries those before it in ``args[1]``."""
    provider = provider_at(base_url, model)
    body = body_for(provider, max_tokens)
    chunks: list[Chunk] = []
    try:
        async for chunk in made.provider.stream(provider, body, permit_for(provider, body), max_tokens):
            chunks.append(chunk)  # noqa: PERF401 - what came before an error matters
    except GatehouseError as error:
        error.args = (*error.args, chunks)
        raise
    return chunks


async def _rows(made: MadeEgress) -> Sequence[LedgerRow]:
    return (await made.ledger.page()).rows


async def _text_of(stream: AsyncIterator[Chunk]) -> str:
    return _text([chunk async for chunk in stream])


def _text(chunks: Sequence[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


async def test_whole_answer_leaves_as_shown_and_stands_in_the_ledger(made: MadeEgress, cloud: CloudDouble) -> None:
    before = len(cloud.seen())
    chunks = await _ask(made, cloud.base_url)
    assert _text(chunks) == "".join(WORDS)
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    (seen,) = cloud.seen()[before:]
    assert seen.body.encode() == body_for(provider_at(cloud.base_url))
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    told = {"host", "accept", "content-type", "content-length", "authorization", "user-agent", "accept-encoding"}
    assert set(seen.headers) <= told | {"connection"}
    assert seen.headers["user-agent"] == "gatehouse"
    begun, ended = await _rows(made)
    assert (begun.part, ended.part, ended.outcome) == ("begun", "ended", Outcome.COMPLETE)
    assert (ended.prompt_tokens, ended.completion_tokens) == (1000, 500)
    assert ended.cost_usd == pytest.approx((1000 * 2.0 + 500 * 10.0) / 1e6)
    assert begun.bytes_out == ended.bytes_out > len(seen.body)
    assert ended.bytes_in > len("".join(WORDS))
    assert begun.redactions == (("PERSON", 2),)
    assert (await made.ledger.verify()).intact


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "bad_request"), (401, "wrong_key"), (403, "forbidden"), (404, "not_found"), (408, "timed_out"),
        (409, "conflict"), (413, "too_large"), (429, "rate_limited"), (500, "server_error"), (503, "server_error"),
    ],
)  # fmt: skip
async def test_refusals_are_told_once_and_not_repeated(
    made: MadeEgress, cloud: CloudDouble, status: int, code: str
) -> None:
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await _ask(made, cloud.base_url, f"status:{status}")
    assert caught.value.code == code
    assert str(status) in caught.value.sentence
    assert KEY not in str(caught.value)
    assert "\n" not in caught.value.sentence
    assert len(cloud.seen()) == before + 1
    assert (await _rows(made))[1].outcome is Outcome.REFUSED
    assert (await made.ledger.budget()).spent_day_usd == 0.0


async def test_a_provider_that_asks_to_wait_is_not_asked_before(made: MadeEgress, cloud: CloudDouble) -> None:
    with pytest.raises(GatehouseError, match="too many"):
        await _ask(made, cloud.base_url, "status:429")
    before = len(cloud.seen())
    with pytest.raises(GatehouseError, match="7 s are left, so nothing was sent"):
        await _ask(made, cloud.base_url)
    assert len(cloud.seen()) == before
    made.now += 7.1
    assert _text(await _ask(made, cloud.base_url)) == "".join(WORDS)


async def test_a_provider_that_dies_in_mid_answer_leaves_what_had_come(made: MadeEgress) -> None:
    """Its process ends: the system resets the connection, with nothing said."""
    with CloudDouble() as mortal, pytest.raises(GatehouseError) as caught:
        await _ask(made, mortal.base_url, "dies")
    assert caught.value.code == "cut_off"
    assert _text(caught.value.args[1]).startswith("Good day ")
    with pytest.raises(GatehouseError) as caught:
        await _ask(made, mortal.base_url)
    assert caught.value.code == "unreachable"
    ended_last, ended = (row for row in await _rows(made) if row.part == "ended")
    assert (ended.outcome, ended_last.outcome, ended_last.bytes_out) == (Outcome.CUT, Outcome.UNREACHABLE, 0)


@pytest.mark.parametrize(
    ("model", "code", "kept"),
    [
        ("stall", "stalled", True), ("cut", "cut_off", True), ("no-end", "cut_off", True),
        ("garbage", "bad_answer", True), ("late-error", "broken_off", True), ("endless", "endless", True),
        ("silent", "no_answer", False), ("wrong-types", "bad_answer", False), ("not-http", "bad_answer", False),
        ("html", "bad_answer", False),
        ("packed", "bad_answer", False), ("endless-line", "endless", False), ("redirect", "redirected", False),
    ],
)  # fmt: skip
async def test_broken_answers_keep_what_had_come(
    made: MadeEgress, cloud: CloudDouble, model: str, code: str, kept: bool
) -> None:
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await _ask(made, cloud.base_url, model)
    assert caught.value.code == code, caught.value.sentence
    assert _text(caught.value.args[1]).startswith("Good day " if model != "endless" else "on and on ") is kept
    assert KEY not in str(caught.value)
    assert len(cloud.seen()) == before + 1
    begun, ended = await _rows(made)
    assert ended.outcome in (Outcome.CUT, Outcome.UNREACHABLE)
    assert ended.bytes_out == begun.bytes_out


async def test_the_next_address_of_a_name_is_tried_before_anything_left(
    lane: StoreLane, paths: Paths, cloud: CloudDouble
) -> None:
    made = MadeEgress(lane, paths, lambda *_: ["127.0.0.9", "127.0.0.1"])
    before = len(cloud.seen())
    assert _text(await _ask(made, f"http://localhost:{cloud.port}/v1")) == "".join(WORDS)
    assert len(cloud.seen()) == before + 1
    assert len(await _rows(made)) == 2


async def test_an_answer_without_counts_costs_about_what_came(made: MadeEgress, cloud: CloudDouble) -> None:
    await _ask(made, cloud.base_url, "no-usage")
    ended = (await _rows(made))[1]
    assert ended.prompt_tokens is None
    assert ended.cost_usd == pytest.approx((20 * 2.0 + len(WORDS) * 10.0) / 1e6)


async def test_stopping_hangs_up_and_is_written(made: MadeEgress, cloud: CloudDouble) -> None:
    provider = provider_at(cloud.base_url, "endless")
    body = body_for(provider, None)
    async with aclosing(made.provider.stream(provider, body, permit_for(provider, body))) as stream:
        async for chunk in stream:
            assert chunk.text
            break
    assert (await _rows(made))[1].outcome is Outcome.STOPPED


async def test_switching_offline_breaks_off_what_is_under_way(made: MadeEgress, cloud: CloudDouble) -> None:
    provider = provider_at(cloud.base_url, "stall")
    body = body_for(provider)
    stream = made.provider.stream(provider, body, permit_for(provider, body))
    assert (await anext(stream)).text
    await made.offline.switch(True)
    with pytest.raises(GatehouseError) as caught:
        await _text_of(stream)
    assert caught.value.code == "offline"
    before = len(cloud.seen())
    with pytest.raises(GatehouseError) as caught:
        await _ask(made, cloud.base_url)
    assert caught.value.code == "offline"
    assert len(cloud.seen()) == before


async def test_no_connection_is_told_and_nothing_left(made: MadeEgress, cloud: CloudDouble) -> None:
    del cloud
    for base_url, code in (("http://127.0.0.1:9/v1", "unreachable"), ("https://nowhere.invalid/v1", "name_not_found")):
        with pytest.raises(GatehouseError) as caught:
            await _ask(made, base_url)
        assert caught.value.code == code
        assert (await _rows(made))[1].outcome is Outcome.UNREACHABLE
    left = await made.ledger.bytes_left()
    assert (left.total, left.requests_today) == (0, 2)


async def test_certificates_are_held_against_the_name(
    lane: StoreLane, paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def here(*_: object) -> list[str]:
        return ["127.0.0.1"]

    with CloudDouble(tls=tmp_path) as double:
        untrusting = MadeEgress(lane, paths, here)
        with pytest.raises(GatehouseError) as caught:
            await _ask(untrusting, f"https://localhost:{double.port}/v1")
        assert caught.value.code == "untrusted_certificate"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        trusting = MadeEgress(lane, paths, here)
        with pytest.raises(GatehouseError) as caught:
            await _ask(trusting, f"https://elsewhere.example:{double.port}/v1")
        assert caught.value.code == "untrusted_certificate"
        with pytest.raises(GatehouseError) as caught:
            await _ask(trusting, f"http://localhost:{double.port}/v1")
        assert caught.value.code in ("bad_answer", "cut_off")
        assert double.seen() == []
        assert _text(await _ask(trusting, f"https://localhost:{double.port}/v1")) == "".join(WORDS)
        assert len(double.seen()) == 1


async def test_the_test_of_a_provider_asks_for_models_and_a_word(made: MadeEgress, cloud: CloudDouble) -> None:
    told = await made.provider.test(provider_at(cloud.base_url))
    assert told.ok
    assert told.models == ("good", "better")
    assert [json.loads(one.body)["messages"][0]["content"] for one in cloud.seen() if one.body][-1] == "Say OK."
    assert [row.purpose for row in await _rows(made)] == ["test"] * 4
    cloud.misbehave("status:401")
    refused = await made.provider.test(provider_at(cloud.base_url))
    assert not refused.ok
    assert "does not accept the key" in refused.sentence
