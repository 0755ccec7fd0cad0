"""``/v1/responses`` as OpenAI's own client uses it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.engine.served import MODEL_ID

pytestmark = pytest.mark.native

ASKED: dict[str, Any] = {"model": MODEL_ID, "temperature": 0, "max_output_tokens": 12}


def test_a_text_is_answered(client: OpenAI) -> None:
    answer = client.responses.create(
        input="What is the capital of France?", instructions="Be brief.", metadata={"a": "b"}, **ASKED
    )
    assert answer.object == "response"
    assert answer.output_text
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens
    assert (answer.instructions, answer.metadata, answer.max_output_tokens) == ("Be brief.", {"a": "b"}, 12)
    assert (answer.status == "incomplete") == (answer.usage.output_tokens == 12)
    if answer.status == "incomplete":
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"


def test_it_is_the_chat_of_the_same_messages(client: OpenAI) -> None:
    chat = client.chat.completions.create(
        model=MODEL_ID,
        temperature=0,
        max_tokens=12,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Name a colour."},
            {"role": "assistant", "content": "Blue."},
            {"role": "user", "content": "Another."},
        ],
    )
    spoken: list[Any] = [
        {"role": "user", "content": "Name a colour."},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Blue."}]},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Ano"}, {"type": "input_text", "text": "ther."}],
        },
    ]
    answer = client.responses.create(
        instructions="Be brief.",
        input=spoken,
        **ASKED,
    )
    assert answer.output_text == chat.choices[0].message.content
    assert chat.usage is not None
    assert answer.usage is not None
    assert answer.usage.input_tokens == chat.usage.prompt_tokens


def test_a_stream_has_every_event_in_its_place(client: OpenAI) -> None:
    expected = client.responses.create(input="What is the capital of Italy?", **ASKED)
    with client.responses.create(input="What is the capital of Italy?", stream=True, **ASKED) as stream:
        events = list(stream)
    names = [event.type for event in events]
    text = names.count("response.output_text.delta")
    assert text > 1
    assert names == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        *["response.output_text.delta"] * text,
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        f"response.{expected.status}",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (
        "".join(event.delta for event in events if event.type == "response.output_text.delta") == expected.output_text
    )
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert last.response.output_text == expected.output_text
    assert {event.item_id for event in events if event.type.startswith("response.output_text")} == {
        last.response.output[0].id
    }


def test_the_clients_own_accumulator_agrees(client: OpenAI) -> None:
    expected = client.responses.create(input="What is the capital of France?", **ASKED)
    with client.responses.stream(input="What is the capital of France?", **ASKED) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    assert text == expected.output_text


def test_logprobs_come_when_they_are_asked_for(client: OpenAI) -> None:
    answer = client.responses.create(
        input="What is the capital of France?", include=["message.output_text.logprobs"], top_logprobs=2, **ASKED
    )
    part = answer.output[0].content[0]
    assert part.type == "output_text"
    assert part.logprobs
    assert "".join(item.token for item in part.logprobs).startswith(part.text)
    assert {len(item.top_logprobs) for item in part.logprobs} == {2}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"include": ["file_search_call.results"]}, "include"),
        ({"input": []}, "input"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"metadata": {"a": [1]}}, "metadata"),
        ({"n": 2}, "n"),
        ({"frobnicate": 1}, "frobnicate"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(client: OpenAI, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(**{"input": "hi", **ASKED, "extra_body": fields})
    assert refused.value.param == param


def test_errors_have_their_status(client: OpenAI, http: httpx2.Client) -> None:
    with pytest.raises(NotFoundError):
        client.responses.create(**{**ASKED, "model": "another"}, input="hi")
    with pytest.raises(BadRequestError, match="the context holds 2,048"):
        client.responses.create(input="word " * 4000, **ASKED)
    assert http.get("/v1/responses").status_code == 405
