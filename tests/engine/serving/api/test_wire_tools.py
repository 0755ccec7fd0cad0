"""Tools, their choice, calls in the history, template options: what is accepted, and what is said of the rest."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.errors import RequestError
from engine.llama.chat import ChatMessage, PastCall, Tool
from engine.llama.sampler import SamplingSettings
from engine.serving.openai import wire
from engine.serving.openai.chat_preparation import template_variables
from engine.serving.openai.wire_tools import TemplateOptions, ToolUse

DEFAULTS = SamplingSettings()
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def tool(name: str = "look", **fields: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": SCHEMA, **fields}}


def chat(**fields: Any) -> wire.ChatCall:
    body = {"messages": [{"role": "user", "content": "hi"}], **fields}
    return wire.parse_chat(json.dumps(body).encode(), DEFAULTS)


def uses(**fields: Any) -> ToolUse:
    return chat(**fields).tool_use


def refused(**fields: Any) -> RequestError:
    with pytest.raises(RequestError) as caught:
        chat(**fields)
    assert caught.value.status == 400
    assert caught.value.sentence.endswith(".")
    return caught.value


def test_tools_arrive() -> None:
    found = uses(tools=[tool(description="Looks.", strict=True), {"type": "function", "function": {"name": "now"}}])
    assert found.tools == (Tool("look", "Looks.", SCHEMA), Tool("now"))
    assert found.offered == found.tools
    assert (found.mode, found.parallel, found.strict) == ("auto", True, frozenset({"look"}))


@pytest.mark.parametrize(
    ("choice", "mode", "names"),
    [
        ("auto", "auto", ["look", "now"]),
        ("none", "none", []),
        ("required", "required", ["look", "now"]),
        ({"type": "function", "function": {"name": "now"}}, "required", ["now"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("look")]}}, "auto", ["look"]),
    ],
)
def test_a_choice_says_what_is_offered(choice: Any, mode: str, names: list[str]) -> None:
    found = uses(tools=[tool(), tool("now")], tool_choice=choice)
    assert found.mode == mode
    assert [one.name for one in found.offered] == names
    assert found.parallel == (not isinstance(choice, dict) or choice["type"] != "function")
    assert not uses(tools=[tool()], parallel_tool_calls=False).parallel


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": "x"}, "tools"),
        ({"tools": [tool()] * 2}, "tools"),
        ({"tools": [tool(f"t{i}") for i in range(129)]}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [tool("a b")]}, "tools[0].function.name"),
        ({"tools": [tool(parameters=[])]}, "tools[0].function.parameters"),
        ({"tools": [tool(parameters={"properties": []})]}, "tools[0].function.parameters.properties"),
        ({"tools": [tool(parameters={"x": "y" * 70_000})]}, "tools[0].function.parameters"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "any", "tools": [tool()]}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "x"}}, "tools": [tool()]}, "tool_choice"),
        ({"tool_choice": "required", "tools": [tool()], "regex": "a"}, "tool_choice"),
        ({"parallel_tool_calls": "x"}, "parallel_tool_calls"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"chat_template_kwargs": []}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"a": [[[[[[[[[[1]]]]]]]]]]}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {f"a{i}": 1 for i in range(33)}}, "chat_template_kwargs"),
        ({"chat_template_kwargs": {"a": "x" * 20_000}}, "chat_template_kwargs"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    assert refused(**fields).param == param


def test_a_deep_schema_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(80):
        schema = {"properties": {"a": schema}}
    assert "64 levels" in refused(tools=[tool(parameters=schema)]).sentence


def test_calls_results_and_reasoning_are_history() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a": "x"}'}}
    messages = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm", "refusal": None},
        {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "seen"}]},
    ]
    assert chat(messages=messages).messages == (
        ChatMessage("user", "go"),
        ChatMessage("assistant", "", None, "hm", (PastCall("call_1", "look", '{"a": "x"}'),)),
        ChatMessage("tool", "seen", tool_call_id="call_1"),
    )


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
        ({"role": "tool", "content": "x", "tool_call_id": "x" * 300}, "messages[0].tool_call_id"),
        ({"role": "assistant", "content": None}, "messages[0].content"),
        ({"role": "assistant", "tool_calls": {}}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages[0].tool_calls[0]"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": 5}}]}, "messages[0].tool_calls[0].function.name"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"role": "function", "content": "x"}, "messages[0].role"),
        ({"role": "assistant", "content": "x", "reasoning_content": 5}, "messages[0].reasoning_content"),
    ],
)
def test_broken_history_is_refused(message: dict[str, Any], param: str) -> None:
    assert refused(messages=[message]).param == param


@pytest.mark.parametrize(
    ("effort", "template", "expected"),
    [
        ("none", "{% if enable_thinking %}", {"enable_thinking": False}),
        ("low", "{% if enable_thinking %}", {"enable_thinking": True}),
        ("high", "{{ reasoning_effort }}", {"reasoning_effort": "high"}),
        ("minimal", "<|channel|>{{ reasoning_effort }}", {"reasoning_effort": "low"}),
        ("none", "no switch and no thoughts", {}),
    ],
)
def test_an_effort_is_put_into_the_templates_words(effort: str, template: str, expected: dict[str, Any]) -> None:
    assert template_variables(TemplateOptions({}, effort), template, thinks=False) == expected


def test_an_effort_that_would_be_ignored_is_refused() -> None:
    with pytest.raises(RequestError, match="not known"):
        template_variables(TemplateOptions({}, "high"), "no switch", thinks=False)
    with pytest.raises(RequestError, match="not known"):
        template_variables(TemplateOptions({}, "none"), "<think> always", thinks=True)


def test_an_option_goes_before_the_effort() -> None:
    options = TemplateOptions({"enable_thinking": True}, "none")
    assert template_variables(options, "enable_thinking", thinks=True) == {"enable_thinking": True}
