"""The client against a real process that speaks the worker's HTTP, well and badly."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from app.providers.local import LocalProvider
from app.providers.local_wire import Parts, chunk_of
from app.providers.provider import Chunk, Endpoint, PromptMessage, Sampling
from engine.errors import GatehouseError, RequestError, WorkerError
from tests.app.providers.worker_double import WORDS

PROMPT = (PromptMessage("system", "Be brief."), PromptMessage("user", "Hello"))


@pytest.fixture
def address() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.app.providers.worker_double"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@pytest.fixture
async def provider() -> AsyncIterator[LocalProvider]:
    made = LocalProvider()
    yield made
    await made.close()


def _endpoint(address: str, model_id: str, key: str = "secret") -> Endpoint:
    return Endpoint(address, key, model_id, 100, "CPU")


async def _collect(provider: LocalProvider, endpoint: Endpoint, into: list[Chunk]) -> None:
    async for chunk in provider.stream(endpoint, PROMPT, Sampling(max_tokens=7)):
        into.append(chunk)  # noqa: PERF401 - what came before an error matters


async def test_whole_answer_with_counts(address: str, provider: LocalProvider) -> None:
    chunks: list[Chunk] = []
    await _collect(provider, _endpoint(address, "good"), chunks)
    assert "".join(chunk.text for chunk in chunks) == "".join(WORDS)
    assert "".join(chunk.reasoning for chunk in chunks) == "hm"
    assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == ["stop"]
    usage, timings = chunks[-1].usage, chunks[-1].timings
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (8, 3, 5)
    assert timings is not None
    assert (timings.predicted_per_second, timings.prompt_n) == (12.5, 3)
    assert (timings.predicted_n, timings.cache_n) == (None, None), "what is no number is left out"


async def test_nothing_of_the_environment_reaches_the_wire(
    address: str, provider: LocalProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, "of-the-person")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Person: somebody")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://example.com/v1")
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    chunks: list[Chunk] = []
    await _collect(provider, _endpoint(address, "tell-headers"), chunks)
    allowed = {"host", "authorization", "content-type", "content-length", "accept", "accept-encoding"}
    sent = "".join(chunk.text for chunk in chunks).split()[-1].split(",")
    assert "authorization" in sent
    assert set(sent) <= allowed


async def test_address_that_is_not_loopback_is_refused(provider: LocalProvider) -> None:
    for address in ("http://192.0.2.1:80", "http://example.com", "http://127.0.0.1.example.com"):
        with pytest.raises(GatehouseError, match="leave this machine"):
            await provider.count_tokens(_endpoint(address, "good"), PROMPT)
        with pytest.raises(GatehouseError, match="leave this machine"):
            await _collect(provider, _endpoint(address, "good"), [])


@pytest.mark.parametrize("model_id", ["cut", "die", "endless"])
async def test_broken_stream_is_no_end(address: str, provider: LocalProvider, model_id: str) -> None:
    chunks: list[Chunk] = []
    with pytest.raises(WorkerError, match="before its answer was complete") as caught:
        await _collect(provider, _endpoint(address, model_id), chunks)
    assert caught.value.code == "connection_lost"
    assert "".join(chunk.text for chunk in chunks) == "".join(WORDS)


async def test_nobody_there(provider: LocalProvider) -> None:
    with pytest.raises(WorkerError) as caught:
        await _collect(provider, _endpoint("http://127.0.0.1:9", "good"), [])
    assert caught.value.code == "connection_lost"


async def test_refusal_keeps_code_sentence_and_hint(address: str, provider: LocalProvider) -> None:
    with pytest.raises(RequestError) as caught:
        await _collect(provider, _endpoint(address, "refuse"), [])
    error = caught.value
    assert (error.code, error.sentence, error.hint, error.status) == (
        "context_length_exceeded",
        "Too long: 9 of 8 tokens.",
        "Shorten it.",
        400,
    )


async def test_error_inside_a_stream(address: str, provider: LocalProvider) -> None:
    chunks: list[Chunk] = []
    with pytest.raises(WorkerError, match="cache is full") as caught:
        await _collect(provider, _endpoint(address, "late-error"), chunks)
    assert caught.value.code == "cache_full"
    assert len(chunks) == 1 + len(WORDS)


async def test_counting(address: str, provider: LocalProvider) -> None:
    assert await provider.count_tokens(_endpoint(address, "good"), PROMPT) > 3
    with pytest.raises(RequestError, match="key is wrong") as caught:
        await provider.count_tokens(_endpoint(address, "good", "other"), PROMPT)
    assert (caught.value.code, caught.value.status) == ("bad_key", 401)


async def test_another_endpoint_gets_its_own_key(address: str, provider: LocalProvider) -> None:
    for model_id in ("good", "other"):
        chunks: list[Chunk] = []
        await _collect(provider, _endpoint(address, model_id), chunks)
        assert chunks[-1].usage is not None


async def test_leaving_a_stream_closes_its_connection(address: str, provider: LocalProvider) -> None:
    async with aclosing(provider.stream(_endpoint(address, "good"), PROMPT, Sampling())) as chunks:
        async for chunk in chunks:
            if chunk.text:
                break


def test_the_sdk_of_the_clouds_is_not_imported_for_a_worker() -> None:
    code = (
        "import sys, app.providers.loopback, app.providers.local; assert not {'openai', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_parts_are_whole_however_they_arrive(size: int) -> None:
    said = ["one", "line\u2028end \x85", "東京 🙂"]
    stream = b": comment\n\n"
    for text in said:
        part = {"choices": [{"delta": {"content": text}}]}
        stream += b"data: " + json.dumps(part, ensure_ascii=False).encode() + b"\n\n"
    stream += b"data: [DONE]\n\n"
    parts = Parts()
    found = [part for at in range(0, len(stream), size) for part in parts.feed(stream[at : at + size])]
    assert [chunk_of(part).text for part in found] == said


@pytest.mark.parametrize("part", ["{}", '{"choices":[7]}', '{"choices":[{"delta":3,"logprobs":{"content":[1]}}]}'])
def test_what_is_of_another_type_is_left_out(part: str) -> None:
    assert chunk_of(json.loads(part)) == Chunk()


def test_key_is_not_shown() -> None:
    assert "secret" not in repr(_endpoint("http://127.0.0.1:1", "good"))
