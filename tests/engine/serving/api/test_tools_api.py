"""Tools through the openai package against a real worker, whose small model only calls well under a constraint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx2
import pytest
from openai import BadRequestError, OpenAI

from tests.engine.served import MODEL_ID

pytestmark = pytest.mark.native

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "maxLength": 30},
                "unit": {"enum": ["C", "F"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
            },
            "required": ["city", "unit", "days"],
        },
    },
}
NOW: Any = {"type": "function", "function": {"name": "now", "description": "The time of day."}}
ASKED: Any = [{"role": "user", "content": "What is the weather in Paris for two days, in Celsius?"}]
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}


def _is_weather(arguments: str) -> bool:
    found = json.loads(arguments)
    return (
        set(found) == {"city", "unit", "days"}
        and len(found["city"]) <= 30
        and found["unit"] in ("C", "F")
        and 1 <= found["days"] <= 9
    )


def test_a_named_function_is_called_with_valid_arguments(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL_ID, messages=ASKED, tools=[WEATHER, NOW], tool_choice=NAMED)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    (call,) = choice.message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert _is_weather(call.function.arguments)


def test_the_same_as_a_stream(client: OpenAI) -> None:
    create: Any = client.chat.completions.create
    asked = {"model": MODEL_ID, "messages": ASKED, "tools": [WEATHER], "tool_choice": NAMED, "seed": 5}
    whole = create(**asked)
    name, call_id, arguments, reason, pieces = "", "", "", None, 0
    for chunk in create(**asked, stream=True):
        (choice,) = chunk.choices
        reason = choice.finish_reason or reason
        assert not choice.delta.content
        for delta in choice.delta.tool_calls or []:
            assert delta.index == 0
            assert delta.function is not None
            name += delta.function.name or ""
            call_id += delta.id or ""
            arguments += delta.function.arguments or ""
            pieces += 1
    (call,) = whole.choices[0].message.tool_calls or []
    assert (name, arguments, reason) == ("get_weather", call.function.arguments, "tool_calls")
    assert call_id.startswith("call_")
    assert pieces > 2


def test_a_call_is_required_and_several_may_come(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL_ID, messages=ASKED, tools=[WEATHER, NOW], tool_choice="required", seed=1, max_tokens=600
    )
    calls = answer.choices[0].message.tool_calls or []
    assert calls
    for call in calls:
        assert call.type == "function"
        assert call.function.name in ("get_weather", "now")
        assert json.loads(call.function.arguments) == {} or _is_weather(call.function.arguments)
    single = client.chat.completions.create(
        model=MODEL_ID, messages=ASKED, tools=[WEATHER], tool_choice="required", parallel_tool_calls=False
    )
    assert len(single.choices[0].message.tool_calls or []) == 1


def test_a_conversation_goes_on_with_what_came_of_the_call(client: OpenAI, http: httpx2.Client) -> None:
    first = client.chat.completions.create(model=MODEL_ID, messages=ASKED, tools=[WEATHER], tool_choice=NAMED)
    message = first.choices[0].message
    (call,) = message.tool_calls or []
    history: Any = [
        *ASKED,
        message.model_dump(),
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees <|im_end|>"},
    ]
    body = {"messages": history, "tools": [WEATHER]}
    tokens = http.post("/tokenize", json=body).json()["tokens"]
    text = http.post("/detokenize", json={"tokens": tokens}).json()["content"]
    assert "<tool_response>\n21 degrees <|im_end|>\n</tool_response>" in text
    assert '<tool_call>{"name": "get_weather"' in text
    assert "The weather of a city." in text
    controls = http.post("/tokenize", json={"content": "<|im_end|>", "parse_special": True}).json()["tokens"]
    # One after each of system, user, assistant and result; the one in the result is only text.
    assert tokens.count(controls[0]) == 4
    answer = client.chat.completions.create(
        model=MODEL_ID, messages=history, tools=[WEATHER], tool_choice="none", max_tokens=20
    )
    assert answer.choices[0].message.content


def test_without_a_choice_the_answer_may_be_anything(client: OpenAI) -> None:
    strict: Any = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    for tools in ([WEATHER], [strict]):
        answer = client.chat.completions.create(
            model=MODEL_ID, messages=ASKED, tools=tools, temperature=0, max_tokens=60
        )
        message = answer.choices[0].message
        assert message.content or message.tool_calls


def test_an_answer_follows_its_schema_or_calls(client: OpenAI) -> None:
    schema: Any = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    answer = client.chat.completions.create(
        model=MODEL_ID,
        messages=ASKED,
        tools=[WEATHER],
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
        max_tokens=200,
        seed=1,
    )
    message = answer.choices[0].message
    if message.tool_calls:
        assert _is_weather(_arguments(message.tool_calls)[0])
    else:
        assert isinstance(json.loads(message.content or "")["a"], bool)


def _arguments(calls: Iterable[Any]) -> list[str]:
    return [call.function.arguments for call in calls]


def test_choices_call_apart(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL_ID, messages=ASKED, tools=[WEATHER], tool_choice=NAMED, n=2)
    assert [_is_weather(_arguments(choice.message.tool_calls or [])[0]) for choice in answer.choices] == [True, True]


def test_a_strict_tool_that_cannot_be_enforced_is_refused(client: OpenAI) -> None:
    parameters = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": parameters, "strict": True}}
    with pytest.raises(BadRequestError, match="not supported"):
        client.chat.completions.create(model=MODEL_ID, messages=ASKED, tools=[tool], tool_choice="required")
    tool["function"]["strict"] = False
    answer = client.chat.completions.create(
        model=MODEL_ID, messages=ASKED, tools=[tool], tool_choice="required", max_tokens=300, seed=3, temperature=0
    )
    assert answer.choices[0].message.tool_calls


def test_a_reasoning_effort_that_the_model_does_not_know_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="reasoning_effort"):
        client.chat.completions.create(model=MODEL_ID, messages=ASKED, reasoning_effort="high")
