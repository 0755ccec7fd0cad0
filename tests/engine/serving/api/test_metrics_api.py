"""What a worker tells about itself: Prometheus' text, each answer's timings, and the steps of a slow one."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from engine.serving.metrics import Metrics
from engine.serving.sequence import Timings
from tests.engine.serving.prometheus import Family, parse

QUESTION = [{"role": "user", "content": "Name three colours."}]


def families(http: httpx2.Client) -> dict[str, Family]:
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return parse(answer.text)


def ask(http: httpx2.Client, **more: Any) -> dict[str, Any]:
    body = {"messages": QUESTION, "max_tokens": 8, "temperature": 0, "ignore_eos": True, **more}
    answer = http.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    return dict(answer.json())


def test_values_fall_under_their_bounds_and_names_are_escaped() -> None:
    metrics = Metrics(device='card "zero"\\')
    for n, s in ((1, 0.004), (3, 0.3), (2, 100.0)):
        metrics.note_request(Timings(10, 2, n, s, s, s, drafted_tokens=5, accepted_tokens=3), "length")
    found = parse("\n".join(metrics.lines()) + "\n")
    assert found["gatehouse_ttft_seconds"].samples["gatehouse_ttft_seconds_bucket", (("le", "1"),)] == 2
    assert found["gatehouse_ttft_seconds"].samples["gatehouse_ttft_seconds_count", ()] == 3
    assert found["gatehouse_tpot_seconds"].samples["gatehouse_tpot_seconds_sum", ()] == pytest.approx(100.15)
    assert found["gatehouse_accepted_tokens_total"].value == 9
    ((_, label),) = found["gatehouse_device_info"].samples
    assert label == (("device", 'card \\"zero\\"\\\\'),)


@pytest.mark.native
def test_the_worker_speaks_prometheus_format(http: httpx2.Client) -> None:
    before = families(http)
    ask(http)
    after = families(http)
    assert after["gatehouse_completion_tokens_total"].value == before["gatehouse_completion_tokens_total"].value + 8
    assert after["gatehouse_steps_total"].value > before["gatehouse_steps_total"].value
    ours = [after[f"gatehouse_{name}_seconds_total"].value for name in ("decode", "python", "step")]
    assert ours[0] + ours[1] == pytest.approx(ours[2], abs=1e-5)
    assert after["gatehouse_requests_total"].samples["gatehouse_requests_total", (("finish", "length"),)] >= 1
    assert after["gatehouse_active_sequences"].value == 0


@pytest.mark.native
def test_an_answer_tells_where_its_time_went(http: httpx2.Client) -> None:
    timings = ask(http)["timings"]
    assert timings["device"] == "CPU"
    assert timings["ttft_ms"] == pytest.approx(timings["queue_ms"] + timings["prompt_ms"], abs=0.01)
    assert "steps" not in timings


@pytest.mark.native
def test_a_slow_answer_can_be_looked_into(http: httpx2.Client) -> None:
    answer = ask(http, trace=True, cache_prompt=False)
    steps = answer["timings"]["steps"]
    assert sum(step["own_rows"] for step in steps) == answer["usage"]["prompt_tokens"] + 7
    assert all(step["decode_ms"] > 0 for step in steps)
    kept = http.get("/trace").json()["data"]
    assert [step["ended_s"] for step in kept][-len(steps) :] == [step["ended_s"] for step in steps]


@pytest.mark.native
def test_priority_and_user_are_read_and_wrong_ones_refused(http: httpx2.Client) -> None:
    assert ask(http, priority="batch", user="somebody")["usage"]["completion_tokens"] == 8
    refused = http.post("/v1/chat/completions", json={"messages": QUESTION, "priority": "urgent"})
    assert refused.status_code == 400
    assert "interactive or batch" in refused.json()["error"]["message"]
    assert http.post("/v1/chat/completions", json={"messages": QUESTION, "user": 7}).status_code == 400
