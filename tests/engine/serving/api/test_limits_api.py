"""A worker at its limits: a context that is soon full, a queue that is soon full, clients that leave or do not read."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from openai import OpenAI

from tests.engine.served import KEY, MODEL_ID, WorkerProcess, plan, serving

pytestmark = pytest.mark.native

WaitFor = Callable[..., None]
N_CTX = 256
SLOTS = 3
QUEUE = 2


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    with serving(plan=plan(n_ctx=N_CTX, n_seq_max=SLOTS), queue_limit=QUEUE) as made:
        yield made


def _gauges(http: httpx2.Client) -> dict[str, float]:
    lines = http.get("/metrics").text.splitlines()
    found = [re.fullmatch(r"gatehouse_(\S+) (\S+)", line) for line in lines]
    return {match[1]: float(match[2]) for match in found if match}


def _quiet(http: httpx2.Client) -> bool:
    gauges = _gauges(http)
    return gauges["active_sequences"] == gauges["waiting_sequences"] == gauges["answers_open"] == 0


def _count(client: OpenAI, start: int, n: int, **asked: Any) -> str:
    prompt = " ".join(str(number) for number in range(start, start + n))
    answer = client.completions.create(
        model=MODEL_ID, prompt=prompt, temperature=0, extra_body={"ignore_eos": True}, **asked
    )
    return answer.choices[0].text


def test_an_answer_ends_where_the_context_ends(client: OpenAI) -> None:
    answer = client.completions.create(
        model=MODEL_ID, prompt="word " * 220, temperature=0, extra_body={"ignore_eos": True}
    )
    assert answer.usage is not None
    assert answer.usage.total_tokens == N_CTX
    assert answer.choices[0].finish_reason == "length"


@pytest.mark.slow
def test_answers_that_outgrow_the_context_together_are_all_finished_and_unchanged(
    client: OpenAI, http: httpx2.Client
) -> None:
    """Each fits alone; together they need more cells than there are, so that some are sent back and computed again."""
    starts = (100, 400, 700)
    alone = [_count(client, start, 12, max_tokens=70) for start in starts]
    http.post("/cache/drop")
    with ThreadPoolExecutor(len(starts)) as pool:
        together = list(pool.map(lambda start: _count(client, start, 12, max_tokens=70), starts))
    assert together == alone
    assert _gauges(http)["preemptions_total"] > 0


def test_cells_return_to_zero(client: OpenAI, http: httpx2.Client) -> None:
    _count(client, 1, 5, max_tokens=5)
    assert _gauges(http)["kv_cells_used"] > 0
    http.post("/cache/drop")
    gauges = _gauges(http)
    assert gauges["kv_cells_used"] == gauges["idle_prefixes"] == 0


def test_more_than_the_queue_holds_is_told_to_come_back(client: OpenAI, http: httpx2.Client, wait_for: WaitFor) -> None:
    open_answers: list[httpx2.Response] = []
    waiting: list[threading.Thread] = []
    try:
        for index in range(SLOTS):
            body = {"prompt": f"{index} b c", "stream": True, "ignore_eos": True}
            open_answers.append(http.send(http.build_request("POST", "/v1/completions", json=body), stream=True))
        waiting = [
            threading.Thread(target=_ignore, args=(http.base_url.copy_with(path="/v1/completions"), index))
            for index in range(QUEUE)
        ]
        for thread in waiting:
            thread.start()
        wait_for(lambda: _gauges(http)["answers_open"] == SLOTS + QUEUE)
        refused = http.post("/v1/completions", json={"prompt": "x", "max_tokens": 1})
        assert refused.status_code == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["error"]["code"] == "queue_full"
    finally:
        for answer in open_answers:
            answer.close()
    for thread in waiting:
        thread.join(30)
    assert [answer.status_code for answer in open_answers] == [200] * SLOTS
    wait_for(lambda: _quiet(http))


def test_a_burst_is_taken_or_told_when_to_come_back(http: httpx2.Client, wait_for: WaitFor) -> None:
    """Many at once: as many as there is room for are answered, the others at once learn a time, and nobody hangs."""

    def ask(index: int) -> httpx2.Response:
        with httpx2.Client(base_url=http.base_url, headers=http.headers, timeout=60) as client:
            return client.post("/v1/completions", json={"prompt": f"{index} of many", "max_tokens": 8})

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(ask, range(40)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert len(answers) - len(refused) >= SLOTS + QUEUE
    assert all(1 <= int(answer.headers["Retry-After"]) <= 60 for answer in refused)
    assert all(f"in {answer.headers['Retry-After']} s" in answer.json()["error"]["hint"] for answer in refused)
    wait_for(lambda: _quiet(http))
    assert ask(0).status_code == 200


def _ignore(url: httpx2.URL, index: int) -> None:
    body = {"prompt": f"{index} waits", "max_tokens": 2}
    assert httpx2.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=60).status_code == 200


@pytest.mark.parametrize("stream", [True, False])
def test_who_hangs_up_is_not_computed_for(
    http: httpx2.Client, worker: WorkerProcess, wait_for: WaitFor, stream: bool
) -> None:
    host, port = worker.address.removeprefix("http://").split(":")
    body = json.dumps({"prompt": "Go on and on", "ignore_eos": True, "stream": stream})
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        wait_for(lambda: _gauges(http)["active_sequences"] == 1)
    wait_for(lambda: _quiet(http))
    assert _gauges(http)['requests_total{finish="cancelled"}'] >= 1


def test_one_who_asks_nonsense_does_not_disturb_the_others(client: OpenAI, http: httpx2.Client) -> None:
    expected = _count(client, 50, 8, max_tokens=20)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_count, client, 50, 8, max_tokens=20)
        while not running.done():
            assert http.post("/v1/completions", json={"prompt": [10**8]}).status_code == 400
            assert http.post("/v1/completions", json={"prompt": "x " * 2000}).status_code == 400
        assert running.result() == expected
