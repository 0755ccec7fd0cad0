"""What strangers and broken clients get: a 4xx with a sentence, and nothing of ours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.engine.served import KEY, MODEL_ID, WorkerProcess

pytestmark = pytest.mark.native

CHAT = "/v1/chat/completions"
ASKED = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}


@pytest.fixture
def stranger(worker: WorkerProcess) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=worker.address, timeout=60) as made:
        yield made


def _error(answer: httpx2.Response, status: int) -> Any:
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param", "hint"}
    assert error["message"]
    return error


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer \u00e9"]
)
def test_without_the_key_nothing_is_served(stranger: httpx2.Client, header: str | None) -> None:
    headers = [] if header is None else [(b"Authorization", header.encode("latin-1"))]
    for path in ("/v1/models", "/metrics"):
        error = _error(stranger.get(path, headers=headers), 401)
        assert error["code"] == "invalid_api_key"
    _error(stranger.post(CHAT, headers=headers, json=ASKED), 401)


def test_health_is_open_and_says_little(stranger: httpx2.Client) -> None:
    answer = stranger.get("/health")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "10.0.0.1"])
def test_a_name_that_only_points_here_is_refused(http: httpx2.Client, host: str) -> None:
    assert _error(http.get("/v1/models", headers={"Host": host}), 403)["code"] == "wrong_host"


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:80"])
def test_a_loopback_name_is_accepted(http: httpx2.Client, host: str) -> None:
    assert http.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://", "http://localhost.evil.example"])
def test_a_web_page_of_another_host_is_refused(http: httpx2.Client, origin: str) -> None:
    assert _error(http.get("/v1/models", headers={"Origin": origin}), 403)["code"] == "wrong_origin"


def test_unknown_paths_and_methods_have_the_same_shape(http: httpx2.Client) -> None:
    assert _error(http.get("/v1/nothing"), 404)["code"] == "not_found"
    assert _error(http.get(CHAT), 405)["code"] == "method_not_allowed"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank", "/rerank"])
def test_a_model_that_writes_makes_no_vectors(http: httpx2.Client, path: str) -> None:
    error = _error(http.post(path, json={"input": "x"}), 400)
    assert error["code"] == "not_supported"
    assert error["message"].startswith(MODEL_ID)


def test_anthropics_key_header_counts(stranger: httpx2.Client) -> None:
    assert stranger.get("/v1/models", headers={"x-api-key": KEY}).status_code == 200
    for wrong in ("", "wrong", f"Bearer {KEY}"):
        _error(stranger.get("/v1/models", headers={"x-api-key": wrong}), 401)


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", "/v1/responses", "/tokenize", "/detokenize"])
@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 50_000, b'{"x": Infinity}'])
def test_a_body_that_is_not_an_object_is_refused(http: httpx2.Client, path: str, body: bytes) -> None:
    assert _error(http.post(path, content=body), 400)["code"] == "invalid_json"


def test_a_body_without_end_is_cut_off(http: httpx2.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"prompt": "'
        for _ in range(12):
            yield b"x" * (1 << 20)

    try:
        answer = http.post("/v1/completions", content=endless())
    except httpx2.TransportError:
        return  # refused while it was still being sent
    assert _error(answer, 413)["code"] == "too_large"


def test_a_prompt_of_megabytes_is_refused_with_the_numbers(http: httpx2.Client) -> None:
    error = _error(http.post("/v1/completions", json={"prompt": "all work and no play " * 100_000}), 400)
    assert error["code"] == "context_length_exceeded"
    assert "2,048" in error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/completions", {"prompt": "x" * 7_000_000}),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 7_000_000}]}),
        (CHAT, {"messages": [{"role": "user", "content": "a"}] * 100_000}),
    ],
    ids=["a word", "a word in a chat", "messages"],
)
def test_what_can_never_fit_is_refused_before_it_is_tokenized(http: httpx2.Client, path: str, body: object) -> None:
    """One word of megabytes takes the tokenizer seconds and a gigabyte; messages by the thousand end the renderer."""
    error = _error(http.post(path, json=body), 400)
    assert error["code"] == "context_length_exceeded"
    assert "at least" in error["message"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"n": 5}, "invalid_parameter"),  # more than this worker's four
        ({"logit_bias": {"99999": 1}}, "invalid_parameter"),
        ({"stop": ["x"] * 1000}, "invalid_parameter"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "invalid_text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "invalid_parameter"),
    ],
)
def test_refusals_have_their_code(http: httpx2.Client, fields: dict[str, Any], code: str) -> None:
    body = json.dumps({**ASKED, **fields}).encode()  # ASCII, so that half a surrogate pair can travel
    assert _error(http.post(CHAT, content=body), 400)["code"] == code


def test_the_worker_has_survived_all_this(http: httpx2.Client) -> None:
    assert http.post(CHAT, json=ASKED).status_code == 200
