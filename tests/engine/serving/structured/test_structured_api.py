"""Structured output over HTTP, with the real model: every kind, streamed or not, several at once, cut, cancelled."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import jsonschema_rs
import pytest

from tests.engine.serving.receipts import FIELDS, SCHEMA, TASK, receipt

pytestmark = pytest.mark.native

BY_SCHEMA = {"type": "json_schema", "json_schema": {"name": "receipt", "strict": True, "schema": SCHEMA}}


def ask(http: httpx2.Client, number: int = 0, **more: Any) -> dict[str, Any]:
    messages = [{"role": "system", "content": TASK}, {"role": "user", "content": receipt(number)}]
    response = http.post(
        "/v1/chat/completions", json={"messages": messages, "temperature": 0, "max_tokens": 150, **more}
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def content(answer: dict[str, Any], choice: int = 0) -> str:
    text: str = answer["choices"][choice]["message"]["content"]
    return text


def streamed(http: httpx2.Client, body: dict[str, Any]) -> list[dict[str, Any]]:
    with http.stream("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def refused(http: httpx2.Client, path: str = "/v1/chat/completions", **body: Any) -> dict[str, Any]:
    prompt = {"messages": [{"role": "user", "content": "x"}]} if path.endswith("chat/completions") else {"prompt": "x"}
    response = http.post(path, json={**prompt, **body})
    assert response.status_code == 400
    error: dict[str, Any] = response.json()["error"]
    return error


def test_an_answer_by_schema(http: httpx2.Client) -> None:
    answer = ask(http, response_format=BY_SCHEMA)
    jsonschema_rs.validate(SCHEMA, json.loads(content(answer)))
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["timings"]["forced_n"] >= 9
    assert answer["usage"]["completion_tokens"] > answer["timings"]["forced_n"]


@pytest.mark.parametrize(
    ("asked", "pattern"),
    [
        (
            {"json_schema": {"type": "array", "items": {"type": "integer"}, "maxItems": 3}},
            r"\[(-?\d+(, -?\d+){0,2})?\]",
        ),
        ({"regex": "(yes|no), [a-z]{3}!"}, "(yes|no), [a-z]{3}!"),
        ({"choice": ["positive", "negative", "nothing"]}, "positive|negative|nothing"),
        ({"choice": ["only"]}, "only"),
        ({"grammar": 'root ::= "Total: " [0-9]{1,4} "." [0-9]{2}'}, r"Total: \d{1,4}\.\d\d"),
    ],
)
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_each_kind_is_kept(http: httpx2.Client, asked: dict[str, Any], pattern: str, temperature: float) -> None:
    answer = ask(http, **{**asked, "temperature": temperature, "seed": 3})
    assert re.fullmatch(pattern, content(answer))
    assert answer["choices"][0]["finish_reason"] == "stop"


def test_plain_completions_know_it_too(http: httpx2.Client) -> None:
    body = {"prompt": "The answer is", "choice": [" yes", " no"], "temperature": 0}
    assert http.post("/v1/completions", json=body).json()["choices"][0]["text"] in (" yes", " no")


def test_any_object(http: httpx2.Client) -> None:
    answer = ask(http, response_format={"type": "json_object"}, max_tokens=300)
    if answer["choices"][0]["finish_reason"] == "stop":
        assert isinstance(json.loads(content(answer)), dict)
    assert content(answer).startswith("{")


def test_a_stream_says_the_same(http: httpx2.Client) -> None:
    messages = [{"role": "user", "content": receipt(3)}]
    body = {
        "messages": messages,
        "temperature": 0.7,
        "seed": 1,
        "response_format": BY_SCHEMA,
        "n": 2,
        "max_tokens": 300,
    }
    texts = ["", ""]
    chunks = streamed(http, body)
    for chunk in chunks:
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content") or ""
    for text in texts:
        jsonschema_rs.validate(SCHEMA, json.loads(text))
    assert chunks[-1]["timings"]["forced_n"] >= 18


def test_a_stop_string_wins_even_in_forced_text(http: httpx2.Client) -> None:
    answer = ask(http, response_format=BY_SCHEMA, stop=["date"])
    assert content(answer).endswith(',\n  "')
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert content(ask(http, response_format=BY_SCHEMA, stop=["comp"])) == '{\n  "'


@pytest.mark.parametrize("most", [1, 2, 7])
def test_a_limit_cuts_the_text_and_says_length(http: httpx2.Client, most: int) -> None:
    answer = ask(http, response_format=BY_SCHEMA, max_tokens=most)
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == most
    assert '{\n  "company": "'.startswith(content(answer)[:16])


def test_a_complete_text_at_the_limit_is_complete(http: httpx2.Client) -> None:
    n = ask(http, choice=["positive"])["usage"]["completion_tokens"]
    assert ask(http, choice=["positive"], max_tokens=n)["choices"][0]["finish_reason"] == "stop"


def test_probabilities_are_the_models_own_and_under_the_constraint(http: httpx2.Client) -> None:
    answer = ask(http, response_format=BY_SCHEMA, logprobs=True, top_logprobs=2, masked_logprobs=True)
    told = answer["choices"][0]["logprobs"]["content"]
    assert "".join(item["token"] for item in told) == content(answer)
    assert all(item["logprob"] <= item["masked_logprob"] + 1e-4 <= 1e-3 for item in told)
    assert told[0]["logprob"] < -1.0  # the model would not have begun like this
    assert told[0]["masked_logprob"] > -0.01  # but it had to
    assert "masked_logprob" not in ask(http, logprobs=True, max_tokens=1)["choices"][0]["logprobs"]["content"][0]


def test_four_by_schema_next_to_two_without(http: httpx2.Client) -> None:
    alone = ask(http, 9, max_tokens=30)

    def one(number: int) -> dict[str, Any]:
        return ask(http, number, response_format=BY_SCHEMA) if number < 4 else ask(http, 9, max_tokens=30)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(one, range(6)))
    for answer in answers[:4]:
        if answer["choices"][0]["finish_reason"] == "stop":
            assert tuple(json.loads(content(answer))) == FIELDS
    assert all(not content(answer).startswith("{") for answer in [alone, *answers[4:]])
    assert all("forced_n" not in answer["timings"] for answer in answers[4:])


def test_a_reader_that_leaves_frees_its_place(http: httpx2.Client) -> None:
    body = {"messages": [{"role": "user", "content": receipt(1)}], "regex": "[a-z ]{2000}", "stream": True}
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        next(response.iter_lines())
    assert content(ask(http, choice=["free"])) == "free"
    while "gatehouse_active_sequences 0" not in http.get("/metrics").text:
        pass


def test_lookup_and_fast_forward_can_be_switched_off(http: httpx2.Client) -> None:
    answer = ask(http, response_format=BY_SCHEMA, prompt_lookup=False, fast_forward=False)
    assert not {"forced_n", "draft_n"} & set(answer["timings"])


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"regex": "a", "choice": ["b"]}, "invalid_parameter", "regex and choice"),
        ({"regex": "(a"}, "invalid_constraint", "unclosed group"),
        ({"regex": "(?=a)b"}, "invalid_constraint", "look-around"),
        ({"regex": "(a{1000}){1000}"}, "invalid_constraint", "1,000,000"),
        ({"grammar": "root ::= x"}, "invalid_constraint", "'x'"),
        ({"grammar": "%llguidance {}\nstart: /a/"}, "invalid_constraint", "grammar"),
        ({"json_schema": {"type": "string", "not": {"const": "a"}}}, "unsupported_schema", "'not'"),
        (
            {"json_schema": {"type": "object", "required": ["a"], "properties": {"a": False}}},
            "invalid_constraint",
            "'a'",
        ),
        ({"json_schema": {"type": "strnig"}}, "invalid_constraint", "strnig"),
        ({"prompt_lookup": 1}, "invalid_parameter", "prompt_lookup"),
        ({"masked_logprobs": True}, "invalid_parameter", "logprobs"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_what_cannot_be_kept_is_refused_in_a_sentence(
    http: httpx2.Client, path: str, body: dict[str, Any], code: str, words: str
) -> None:
    error = refused(http, path, **body)
    assert error["code"] == code
    assert words in error["message"]


def test_tokens_keep_coming_while_a_bomb_is_compiled(http: httpx2.Client) -> None:
    """The bombs are refused or bounded; the answer that runs meanwhile is not disturbed."""
    enums = {"type": "array", "prefixItems": [{"enum": [f"{n}-{m}" for m in range(60)]} for n in range(90)]}
    fan = {
        f"d{n}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{n + 1}"}] * 2, "minItems": 2} for n in range(30)
    }
    bombs: list[dict[str, Any]] = [
        {"json_schema": enums},
        {"json_schema": {"$ref": "#/$defs/d0", "$defs": {**fan, "d30": {"const": 1}}}},
        {"regex": "|".join(f"a{{{n}}}b" for n in range(1, 100))},
        {"regex": "(.{99}){99}x"},
        {"grammar": "root ::= r0\n" + "\n".join(f"r{n} ::= r{n + 1} r{n + 1}" for n in range(24)) + '\nr24 ::= "a"'},
    ]
    with ThreadPoolExecutor(4) as pool:
        running = pool.submit(ask, http, 2, max_tokens=60, ignore_eos=True)
        for bomb in bombs:
            messages = [{"role": "user", "content": "x"}]
            response = http.post("/v1/chat/completions", json={"messages": messages, "max_tokens": 8, **bomb})
            assert response.status_code in (200, 400), response.text
        assert running.result(timeout=60)["usage"]["completion_tokens"] == 60
