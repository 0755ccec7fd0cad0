"""Models that make vectors or scores, served by a real worker; the numbers are those of llama-server."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.bench.peers import locate
from tests.engine.served import KEY, MODEL_ID, WorkerProcess, plan, serving
from tests.made_embedding import EMBEDDING_RECIPES, LONGEST, RERANK_RECIPES, WIDTH, make_embedding

pytestmark = pytest.mark.native

WaitFor = Callable[..., None]
TEXTS = ["the cat of tom", "hello", "a station, being loaded", "x", "the the the the", "Z\u00fcrich (%)"]
QUERY = "who is tom?"
CLOSE = 1e-3


def _model(folder: Path, kind: str) -> Path:
    return make_embedding({**EMBEDDING_RECIPES, **RERANK_RECIPES}[kind], folder / f"tiny-pooling-{kind}.gguf")


@contextmanager
def _serving(model: Path, **changes: object) -> Iterator[WorkerProcess]:
    with serving(plan=plan(model_path=model, n_ctx=LONGEST, n_ubatch=LONGEST, **changes)) as worker:
        yield worker


@contextmanager
def _client(worker: WorkerProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{worker.address}/v1", api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


@contextmanager
def _http(worker: WorkerProcess) -> Iterator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {KEY}"}
    with httpx2.Client(base_url=worker.address, headers=headers, timeout=60) as client:
        yield client


@contextmanager
def _peer(model: Path, flag: str, wait_for: WaitFor) -> Iterator[httpx2.Client]:
    program = locate().path("llama-server")
    if not program.exists():
        pytest.skip("llama-server has not been built here; make bench builds it")
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    asked = ["-m", model, flag, "--port", port, "-t", 1, "-c", LONGEST, "-b", LONGEST, "-ub", LONGEST, "-np", 1]
    process = subprocess.Popen(
        [str(program), *map(str, asked)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
    )
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:

            def healthy() -> bool:
                try:
                    return client.get("/health").status_code == 200
                except httpx2.TransportError:
                    return False

            wait_for(healthy, 60)
            yield client
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", sorted(EMBEDDING_RECIPES))
def test_vectors_are_those_of_llama_server(kind: str, made_folder: Path, wait_for: WaitFor) -> None:
    """One text at a time there; here all at once, by several clients at a time."""
    model = _model(made_folder, kind)
    with _peer(model, "--embedding", wait_for) as peer:
        answers = [peer.post("/v1/embeddings", json={"input": text}).json() for text in TEXTS]
    expected = [answer["data"][0]["embedding"] for answer in answers]
    with _serving(model) as worker, _client(worker) as client, ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(client.embeddings.create, model=MODEL_ID, input=TEXTS) for _ in range(8)]
        for answer in [future.result() for future in asked]:
            assert [item.index for item in answer.data] == list(range(len(TEXTS)))
            assert np.abs(np.array([item.embedding for item in answer.data]) - expected).max() < CLOSE
            assert answer.usage.prompt_tokens == sum(other["usage"]["prompt_tokens"] for other in answers)


@pytest.mark.parametrize("kind", sorted(RERANK_RECIPES))
def test_scores_are_those_of_llama_server(kind: str, made_folder: Path, wait_for: WaitFor) -> None:
    """Alone to the last digits; together the matrices have other shapes, and a score is not normalised."""
    model = _model(made_folder, kind)
    with _peer(model, "--rerank", wait_for) as peer:
        expected = [_score(peer, text) for text in TEXTS]
    with _serving(model) as worker, _http(worker) as http:
        assert [_score(http, text) for text in TEXTS] == pytest.approx(expected, abs=1e-6)
        asked = {"query": QUERY, "documents": TEXTS, "model": MODEL_ID}
        answer = http.post("/v1/rerank", json=asked).json()
        top = http.post("/rerank", json={**asked, "top_n": 2, "return_documents": True}).json()
    scores = {item["index"]: item["relevance_score"] for item in answer["results"]}
    assert [scores[index] for index in range(len(TEXTS))] == pytest.approx(expected, abs=1e-2)
    assert list(scores.values()) == sorted(scores.values(), reverse=True)
    assert [item["index"] for item in top["results"]] == list(scores)[:2]
    assert top["results"][0]["document"]["text"] == TEXTS[top["results"][0]["index"]]


def _score(http: httpx2.Client, text: str) -> float:
    answer = http.post("/v1/rerank", json={"query": QUERY, "documents": [text]}).json()
    assert answer["usage"]["prompt_tokens"] > len(text) / 2
    return float(answer["results"][0]["relevance_score"])


@pytest.fixture(scope="module")
def worker(made_folder: Path) -> Iterator[WorkerProcess]:
    with _serving(_model(made_folder, "cls")) as made:
        yield made


def test_a_vector_can_be_cut_and_packed(client: OpenAI, http: httpx2.Client) -> None:
    whole = np.array(client.embeddings.create(model=MODEL_ID, input="hello", encoding_format="float").data[0].embedding)
    assert whole.shape == (WIDTH,)
    assert np.linalg.norm(whole) == pytest.approx(1, abs=1e-6)
    short = np.array(client.embeddings.create(model=MODEL_ID, input="hello", dimensions=8).data[0].embedding)
    assert short == pytest.approx(whole[:8] / np.linalg.norm(whole[:8]), abs=1e-6)  # the package asks for base64
    raw = http.post("/v1/embeddings", json={"input": "hello", "encoding_format": "base64"}).json()
    assert isinstance(raw["data"][0]["embedding"], str)


def test_tokens_are_taken_as_they_are(client: OpenAI, http: httpx2.Client) -> None:
    tokens = http.post("/tokenize", json={"content": TEXTS[0], "add_special": True}).json()["tokens"]
    by_text = client.embeddings.create(model=MODEL_ID, input=TEXTS[0]).data[0].embedding
    for given in (tokens, [tokens]):
        assert client.embeddings.create(model=MODEL_ID, input=given).data[0].embedding == pytest.approx(by_text)


def test_outside_text_spells_no_control_token(http: httpx2.Client) -> None:
    tokens = http.post("/tokenize", json={"content": "[SEP]", "add_special": True}).json()["tokens"]
    assert len(tokens) > 3
    assert tokens.count(3) == 1  # the mark at the end, which the model's vocabulary adds


def test_refusals_name_the_numbers(client: OpenAI, http: httpx2.Client) -> None:
    with pytest.raises(BadRequestError, match=rf"Text 1 of the input has 302 tokens; {LONGEST} are the most"):
        client.embeddings.create(model=MODEL_ID, input=["short", "a " * 300])
    with pytest.raises(BadRequestError, match=rf"dimensions is 100; the vectors of this model have {WIDTH}"):
        client.embeddings.create(model=MODEL_ID, input="x", dimensions=100)
    with pytest.raises(NotFoundError):
        client.embeddings.create(model="another", input="x")
    bodies: list[object] = [{}, {"input": []}, {"input": [[]]}, {"input": [1, "x"]}, {"input": [10**9]}, {"input": 5}]
    for body in bodies:
        assert http.post("/v1/embeddings", json=body).status_code == 400


def test_it_does_not_write_and_does_not_score(client: OpenAI, http: httpx2.Client) -> None:
    with pytest.raises(BadRequestError, match="makes vectors of texts; it does not write"):
        client.chat.completions.create(model=MODEL_ID, messages=[{"role": "user", "content": "hi"}])
    for path in ("/v1/completions", "/v1/responses", "/v1/rerank"):
        answer = http.post(path, json={"query": "x", "documents": ["y"]})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "not_supported"


def test_who_hangs_up_is_not_computed_for(http: httpx2.Client, worker: WorkerProcess, wait_for: WaitFor) -> None:
    host, port = worker.address.removeprefix("http://").split(":")
    body = json.dumps({"input": ["a " * (LONGEST - 10)] * 2000})
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /v1/embeddings HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        wait_for(lambda: "gatehouse_waiting_sequences 1" in http.get("/metrics").text, 30)
        # Another's text does not wait for two thousand of somebody else's.
        assert http.post("/v1/embeddings", json={"input": "hello"}).status_code == 200
        assert "gatehouse_waiting_sequences 1" in http.get("/metrics").text
    wait_for(lambda: "gatehouse_waiting_sequences 0" in http.get("/metrics").text)
    assert 'gatehouse_requests_total{finish="cancelled"} 1' in http.get("/metrics").text


def test_a_text_longer_than_a_batch_is_computed_in_pieces(made_folder: Path) -> None:
    """Only where the last token says it all."""
    model = _model(made_folder, "last")
    text = "the quick brown fox. " * 10
    vectors = []
    for n_ubatch in (64, LONGEST):
        with (
            serving(plan=plan(model_path=model, n_ctx=LONGEST, n_ubatch=n_ubatch)) as worker,
            _client(worker) as client,
        ):
            vectors.append(client.embeddings.create(model=MODEL_ID, input=text).data[0].embedding)
    assert vectors[0] == pytest.approx(vectors[1], abs=CLOSE)
