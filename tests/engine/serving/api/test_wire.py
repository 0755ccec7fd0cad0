"""Requests as records: what is accepted, and the sentence for what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RequestError
from engine.llama.sampler import SamplingSettings
from engine.llama.template import ChatMessage
from engine.serving.openai import wire
from engine.serving.openai.wire_options import Options, defaults_from_metadata

DEFAULTS = SamplingSettings()
MESSAGES = [{"role": "user", "content": "hi"}]


def chat(**fields: Any) -> wire.ChatCall:
    return wire.parse_chat(json.dumps({"messages": MESSAGES, **fields}).encode(), DEFAULTS)


def refusal(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        chat(**fields)
    assert 400 <= caught.value.status < 500
    assert caught.value.sentence.endswith(".")
    return caught.value


def test_every_setting_arrives() -> None:
    options = chat(
        model="m",
        stream=True,
        stream_options={"include_usage": True},
        n=2,
        max_completion_tokens=9,
        temperature=0.5,
        top_k=7,
        top_p=0.6,
        min_p=0.01,
        repeat_penalty=1.1,
        frequency_penalty=0.2,
        presence_penalty=-0.3,
        repeat_last_n=12,
        seed=42,
        stop=["a", "b"],
        logit_bias={"5": -100},
        logprobs=True,
        top_logprobs=4,
        ignore_eos=True,
        cache_prompt=False,
    ).options
    assert options == Options(
        model="m",
        stream=True,
        include_usage=True,
        choices=2,
        max_tokens=9,
        sampling=SamplingSettings(
            temperature=0.5,
            top_k=7,
            top_p=0.6,
            min_p=0.01,
            repeat_penalty=1.1,
            frequency_penalty=0.2,
            presence_penalty=-0.3,
            penalty_tokens=12,
            seed=42,
            logit_bias={5: -100.0},
            top_logprobs=4,
        ),
        stops=("a", "b"),
        ignore_end=True,
        reuse_prefix=False,
    )


def test_null_is_the_same_as_nothing() -> None:
    assert chat(temperature=None, stop=None, tools=None, n=None, seed=3) == chat(seed=3)


def test_without_a_seed_each_request_has_its_own() -> None:
    assert chat().options.sampling.seed != chat().options.sampling.seed


@pytest.mark.parametrize("name", ["metadata", "store", "service_tier"])
def test_what_changes_nothing_is_accepted(name: str) -> None:
    assert chat(**{name: "x", "seed": 1}) == chat(seed=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("functions", [{}]),
        ("best_of", 3),
        ("mirostat", 2),
        ("modalities", ["text", "audio"]),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(name: str, value: Any) -> None:
    error = refusal(**{name: value})
    assert (error.code, error.param) == ("unsupported_parameter", name)
    assert name in error.sentence


@pytest.mark.parametrize(
    ("name", "value"), [("tools", []), ("tool_choice", "auto"), ("response_format", {"type": "text"}), ("best_of", 1)]
)
def test_what_asks_for_nothing_is_accepted(name: str, value: Any) -> None:
    assert chat(**{name: value, "seed": 1}) == chat(seed=1)


def test_a_parameter_that_nobody_knows_is_refused() -> None:
    assert refusal(temprature=1).code == "unknown_parameter"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -1),
        ("temperature", "warm"),
        ("temperature", True),
        ("temperature", 1e300),
        ("top_p", 1.5),
        ("top_k", 1.5),
        ("max_tokens", 0),
        ("max_tokens", -5),
        ("max_tokens", 1 << 40),
        ("max_tokens", "many"),
        ("n", 0),
        ("n", 1000),
        ("seed", 1 << 70),
        ("stream", "yes"),
        ("stream_options", 3),
        ("stop", 5),
        ("stop", [""]),
        ("stop", ["x"] * 1000),
        ("stop", "x" * 10_000),
        ("stop", [1]),
        ("logprobs", 3),
        ("top_logprobs", 2),
        ("logit_bias", []),
        ("logit_bias", {"x": 1}),
        ("logit_bias", {"1": 1000}),
        ("logit_bias", {"²": 1}),
        ("model", 7),
        ("messages", []),
        ("messages", "hi"),
        ("messages", [1]),
        ("messages", [{"role": "wizard", "content": "x"}]),
        ("messages", [{"role": "user"}]),
        ("messages", [{"role": "user", "content": [{"type": "image_url"}]}]),
        ("messages", [{"role": "user", "content": [{"type": "text", "text": 1}]}]),
        ("messages", [{"role": "assistant", "content": "x", "tool_calls": [{}]}]),
    ],
)
def test_wrong_values_are_named(name: str, value: Any) -> None:
    error = refusal(**{name: value})
    assert error.param is not None
    assert error.param.startswith(name)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}', b"9" * 10_000]
)
def test_what_is_not_a_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        wire.parse_chat(body, DEFAULTS)
    assert caught.value.code == "invalid_json"


def test_contents_may_be_parts_and_developers_are_systems() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    call = chat(
        messages=[{"role": "developer", "content": "be kind"}, {"role": "user", "content": parts, "name": "Eve"}]
    )
    assert call.messages == (ChatMessage("system", "be kind"), ChatMessage("user", "ab", "Eve"))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a", ("a",)),
        (["a", "b"], ("a", "b")),
        ([1, 2], ((1, 2),)),
        ([[1], [2, 3]], ((1,), (2, 3))),
        (["a", [4]], ("a", (4,))),
    ],
)
def test_prompts_come_in_every_form(prompt: Any, expected: tuple[Any, ...]) -> None:
    assert wire.parse_completion(json.dumps({"prompt": prompt}).encode(), DEFAULTS).prompts == expected


@pytest.mark.parametrize("prompt", [None, [], {}, [[]], [1, "a"], [1.5], [-1], [True], ["a"] * 100])
def test_other_prompts_are_refused(prompt: Any) -> None:
    with pytest.raises(RequestError) as caught:
        wire.parse_completion(json.dumps({"prompt": prompt}).encode(), DEFAULTS)
    assert caught.value.param == "prompt"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_NAMES = st.sampled_from(
    [
        "messages",
        "prompt",
        "content",
        "model",
        "stream",
        "n",
        "max_tokens",
        "temperature",
        "top_k",
        "top_p",
        "min_p",
        "seed",
        "stop",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "stream_options",
        "echo",
        "tools",
        "tool_choice",
        "chat_template_kwargs",
        "reasoning_effort",
        "repeat_last_n",
        "frequency_penalty",
    ]
)


@given(st.dictionaries(_NAMES, _JSON, max_size=6))
def test_any_json_is_taken_or_refused_with_a_sentence(fields: dict[str, Any]) -> None:
    body = json.dumps(fields).encode()
    for parse in (wire.parse_chat, wire.parse_completion, wire.parse_tokenize):
        assert _outcome(parse, body) in ("taken", "refused")


def _outcome(parse: Any, body: bytes) -> str:
    try:
        parse(body) if parse is wire.parse_tokenize else parse(body, DEFAULTS)
    except RequestError as error:
        return "refused" if error.status == 400 and error.sentence else f"{error.status} {error.sentence}"
    return "taken"


def test_the_models_own_recommendation_is_the_default_where_it_makes_sense() -> None:
    found = defaults_from_metadata({"temp": "0.6", "top_k": "20", "top_p": "7", "min_p": "nonsense"})
    assert (found.temperature, found.top_k, found.top_p, found.min_p) == (0.6, 20, 0.95, 0.05)
