"""``/v1/messages`` as Anthropic's own client uses it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, AuthenticationError, BadRequestError, NotFoundError
from openai import OpenAI

from tests.engine.served import KEY, MODEL_ID, WorkerProcess

pytestmark = pytest.mark.native

ASKED: dict[str, Any] = {"model": MODEL_ID, "max_tokens": 12, "extra_body": {"temperature": 0}}
HELLO: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def claude(worker: WorkerProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=worker.address, api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def test_it_is_the_chat_of_the_same_messages(claude: Anthropic, client: OpenAI) -> None:
    chat = client.chat.completions.create(
        model=MODEL_ID,
        temperature=0,
        max_tokens=12,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Name a\ncolour."},
            {"role": "assistant", "content": "Blue."},
            {"role": "user", "content": "Another."},
        ],
    )
    answer = claude.messages.create(
        system=[{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Name a"}, {"type": "text", "text": "colour."}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Blue."}]},
            {"role": "user", "content": "Another."},
        ],
        **ASKED,
    )
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", MODEL_ID)
    assert answer.content[0].type == "text"
    assert answer.content[0].text == chat.choices[0].message.content
    assert chat.usage is not None
    used = answer.usage
    assert used.cache_read_input_tokens is not None
    assert used.input_tokens + used.cache_read_input_tokens == chat.usage.prompt_tokens
    assert used.output_tokens == chat.usage.completion_tokens
    assert answer.stop_reason == ("max_tokens" if chat.choices[0].finish_reason == "length" else "end_turn")


def test_a_stream_has_every_event_in_its_place(claude: Anthropic) -> None:
    expected = claude.messages.create(messages=HELLO, **ASKED)
    with claude.messages.create(messages=HELLO, stream=True, **ASKED) as stream:
        names = [event.type for event in stream]
    deltas = names.count("content_block_delta")
    assert deltas > 1
    head = ["message_start", "content_block_start"]
    assert names == head + ["content_block_delta"] * deltas + ["content_block_stop", "message_delta", "message_stop"]
    with claude.messages.stream(messages=HELLO, **ASKED) as accumulated:
        text = "".join(accumulated.text_stream)
        final = accumulated.get_final_message()
    assert expected.content[0].type == final.content[0].type == "text"
    assert text == final.content[0].text == expected.content[0].text
    assert (final.stop_reason, final.usage.output_tokens) == (expected.stop_reason, expected.usage.output_tokens)


def test_the_stop_sequence_is_named(claude: Anthropic) -> None:
    messages: list[Any] = [{"role": "user", "content": "Count: one, two, three, four, five."}]
    whole = claude.messages.create(messages=messages, **{**ASKED, "max_tokens": 40})
    assert whole.content[0].type == "text"
    word = whole.content[0].text.split()[2]
    answer = claude.messages.create(messages=messages, stop_sequences=["@@", word], **{**ASKED, "max_tokens": 40})
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", word)


def test_tokens_are_counted(claude: Anthropic) -> None:
    answer = claude.messages.create(messages=HELLO, system="Be brief.", **ASKED)
    counted = claude.messages.count_tokens(model=MODEL_ID, messages=HELLO, system="Be brief.")
    assert counted.input_tokens == answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


def test_errors_have_their_class_and_shape(claude: Anthropic, worker: WorkerProcess, http: httpx2.Client) -> None:
    with pytest.raises(NotFoundError, match="is not served here"):
        claude.messages.create(**{**ASKED, "model": "claude-x"}, messages=HELLO)
    with pytest.raises(BadRequestError, match="the context holds 2,048"):
        claude.messages.create(messages=[{"role": "user", "content": "word " * 4000}], **ASKED)
    with (
        Anthropic(base_url=worker.address, api_key="wrong", max_retries=0) as stranger,
        pytest.raises(AuthenticationError) as refused,
    ):
        stranger.messages.create(messages=HELLO, **ASKED)
    assert refused.value.body == {
        "type": "error",
        "error": {"type": "authentication_error", "message": "The bearer token is missing or wrong."},
    }
    assert http.post("/v1/messages", content=b"[").json()["type"] == "error"


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"max_tokens": None}, "max_tokens is missing"),
        ({"messages": []}, "messages must be a list"),
        ({"messages": [{"role": "assistant", "content": "Once"}]}, "does not go on with a given beginning"),
        ({"messages": [{"role": "user", "content": []}]}, r"messages\[0\].content must have at least one block"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, "is 'image'; this worker takes text"),
        ({"messages": [{"role": "tool", "content": "x"}]}, r"messages\[0\].role must be user or assistant"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, r"tools\[0\].type is 'web_search"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type is 'some'"),
        ({"thinking": {"type": "perhaps"}}, "thinking.type is 'perhaps'"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type is 'xml'"),
        ({"frobnicate": 1}, "There is no parameter 'frobnicate'"),
    ],
)
def test_what_would_change_the_answer_is_refused_by_name(http: httpx2.Client, fields: Any, match: str) -> None:
    answer = http.post("/v1/messages", json={"model": MODEL_ID, "max_tokens": 1, "messages": HELLO, **fields})
    assert answer.status_code == 400
    with pytest.raises(AssertionError, match=match):
        raise AssertionError(answer.json()["error"]["message"])


def test_both_clients_read_the_list_of_models(claude: Anthropic, client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [MODEL_ID]
    (model,) = claude.models.list()
    assert (model.id, model.type, model.created_at.tzinfo is not None) == (MODEL_ID, "model", True)
    assert claude.models.retrieve(MODEL_ID).id == client.models.retrieve(MODEL_ID).id == MODEL_ID
    with pytest.raises(NotFoundError):
        claude.models.retrieve("another")
