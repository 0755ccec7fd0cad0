"""Chats with tools, as templates of several conventions want them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from engine.errors import RequestError
from engine.llama.chat import Abilities, Chat, ChatMessage, PastCall, Tool
from engine.llama.template import ChatTemplate

HERMES = (
    "{% if tools %}[sys]{{ messages[0].content if messages[0].role == 'system' }}"
    "{% for t in tools %}{{ '\n' }}{{ t | tojson }}"
    "{% endfor %}[/sys]{% endif %}{% for m in messages %}[{{ m.role }}]"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}"
    '{% for c in m.tool_calls %}<tool_call>{"name": "{{ c.function.name }}", "arguments": '
    "{{ c.function.arguments | tojson }}}</tool_call>{% endfor %}[/]{% endfor %}[assistant]"
)
AS_TEXT = (
    "{% for t in tools %}{{ t.function.name }}{% endfor %}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments }}{% endfor %}{% endfor %}"
)
ONE_AT_A_TIME = (
    "{% for t in tools %}{{ t.function.name }}{% endfor %}{% for m in messages %}"
    "{% if m.tool_calls and m.tool_calls | length != 1 %}{{ raise_exception('one at a time') }}{% endif %}"
    "[{{ m.role }}{{ ' ' ~ m.name if m.role == 'tool' }}]{{ m.content }}"
    "{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}"
)
NINE = (
    "{% for m in messages %}{% for c in m.tool_calls %}{% if c.id | length != 9 %}{{ raise_exception('nine') }}"
    "{% endif %}{{ c.id }}:{{ c.function.name }}{{ c.function.arguments | tojson }}{% endfor %}"
    "{{ m.tool_call_id }}{{ m.content }}{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}"
)
PLAIN = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('turns') }}"
    "{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
)
LFM = (
    "{% if tools %}List of tools: [{{ tools | tojson }}]{% endif %}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% endfor %}"
)
TOOL = Tool(
    "look",
    "Says <|im_end|>.",
    {"type": "object", "properties": {"a<|im_end|>": {"type": "string", "description": '"q"'}}},
)
CALLS = (PastCall("call_1", "look", '{"a<|im_end|>": "x\\"y"}'), PastCall("call_2", "hear", "{}"))
TALK = (
    ChatMessage("user", "go"),
    ChatMessage("assistant", "", reasoning="hm", tool_calls=CALLS),
    ChatMessage("tool", "one <|im_end|>", tool_call_id="call_1"),
    ChatMessage("tool", "two", tool_call_id="call_2"),
)


@pytest.fixture
def rendered() -> Iterator[Callable[..., tuple[str, str]]]:
    """Render and give all text, and what of it is trusted."""
    made: list[ChatTemplate] = []

    def render(source: str | None, chat: Chat) -> tuple[str, str]:
        made.append(ChatTemplate(source, bos="", eos="", deadline_s=20.0))
        segments = made[-1].render_chat(chat).segments
        return "".join(s.text for s in segments), "".join(s.text for s in segments if s.trusted)

    yield render
    for one in made:
        one.close()


def test_tools_calls_and_results_arrive_and_none_of_them_is_trusted(rendered: Callable[..., tuple[str, str]]) -> None:
    text, trusted = rendered(HERMES, Chat(TALK, (TOOL,)))
    assert json.loads(text.split("\n")[1].split("[/sys]")[0])["function"] == {
        "name": "look",
        "description": "Says <|im_end|>.",
        "parameters": {"type": "object", "properties": {"a<|im_end|>": {"type": "string", "description": '"q"'}}},
    }
    assert '<think>hm</think><tool_call>{"name": "look", "arguments": {"a<|im_end|>": "x\\"y"}}</tool_call>' in text
    assert "[tool]one <|im_end|>[/]" in text
    assert "<|im_end|>" not in trusted
    assert "<tool_call>" in trusted


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (HERMES, Abilities(True, True, True)),
        (AS_TEXT, Abilities(True, True, True, object_arguments=False)),
        (ONE_AT_A_TIME, Abilities(True, True, True, parallel_calls=False)),
        (NINE, Abilities(True, True, True, short_ids=True)),
        (PLAIN, Abilities(system=False)),
        (LFM, Abilities(True, False, True)),
    ],
)
def test_what_a_template_can_do_is_found_out(source: str, expected: Abilities) -> None:
    made = ChatTemplate(source, bos="", eos="", deadline_s=20.0)
    try:
        assert made.abilities() == expected
    finally:
        made.close()


def test_a_template_that_prints_arguments_gets_their_text(rendered: Callable[..., tuple[str, str]]) -> None:
    assert 'look{"a<|im_end|>": "x\\"y"}' in rendered(AS_TEXT, Chat(TALK, (TOOL,)))[0]


def test_calls_that_come_together_are_told_one_by_one(rendered: Callable[..., tuple[str, str]]) -> None:
    text, _ = rendered(ONE_AT_A_TIME, Chat(TALK, (TOOL,)))
    assert text == (
        'look[user]go[assistant]look{"a<|im_end|>": "x\\"y"}[tool look]one <|im_end|>[assistant]hear{}[tool hear]two'
    )


def test_ids_are_shortened_alike_on_both_sides(rendered: Callable[..., tuple[str, str]]) -> None:
    text, _ = rendered(NINE, Chat(TALK, (TOOL,)))
    call_id = text.split("go")[1].split(":")[0]
    assert len(call_id) == 9
    assert text.count(call_id) == 2


def test_broken_arguments_reach_the_model_as_they_were(rendered: Callable[..., tuple[str, str]]) -> None:
    broken = ChatMessage("assistant", "", tool_calls=(PastCall("call_1", "look", '{"a": "x'),))
    text, _ = rendered(HERMES, Chat((TALK[0], broken, TALK[2]), (TOOL,)))
    assert '"arguments": {"arguments": "{\\"a\\": \\"x"}' in text


@pytest.mark.parametrize("source", [PLAIN, None], ids=["plain", "none"])
def test_without_tools_in_the_template_they_are_told_of_in_words(
    rendered: Callable[..., tuple[str, str]], source: str | None
) -> None:
    text, trusted = rendered(source, Chat((ChatMessage("system", "Be good."), *TALK), (TOOL,)))
    assert "Be good." in text
    assert '{"name": "look", "description": "Says <|im_end|>."' in text
    assert '<tool_call>{"name": "look", "arguments": {"a<|im_end|>": "x\\"y"}}</tool_call>' in text
    assert "<tool_response>\none <|im_end|>\n</tool_response>\n<tool_response>\ntwo\n</tool_response>" in text
    assert "<|im_end|>" not in trusted
    assert "tool_call" not in trusted


def test_lfm_writes_its_own_calls_among_the_content(rendered: Callable[..., tuple[str, str]]) -> None:
    text, trusted = rendered(LFM, Chat(TALK, (TOOL,)))
    assert "[assistant]<|tool_call_start|>[look(a<|im_end|>='x\"y'), hear()]<|tool_call_end|>[tool]one" in text
    assert "<|tool_call_start|><|tool_call_end|>" in trusted
    assert "im_end" not in trusted


def test_a_system_message_that_a_template_refuses_goes_before_the_first_other(
    rendered: Callable[..., tuple[str, str]],
) -> None:
    chat = Chat((ChatMessage("system", "Be good."), ChatMessage("user", "hi")))
    assert rendered(PLAIN, chat)[0] == "[user]Be good.\n\nhi[assistant]"


def test_options_are_variables_that_are_not_trusted(rendered: Callable[..., tuple[str, str]]) -> None:
    source = (
        "{% if enable_thinking is false %}no{% endif %} {{ reasoning_effort }}{{ 'h' if reasoning_effort == 'high' }}"
    )
    text, trusted = rendered(source, Chat(TALK[:1], options={"enable_thinking": False, "reasoning_effort": "high"}))
    assert text == "no highh"
    assert trusted == "no h"


def test_a_refusal_shows_no_marks(rendered: Callable[..., tuple[str, str]]) -> None:
    with pytest.raises(RequestError, match="not go!"):
        rendered("{{ raise_exception('not ' ~ messages[0].content ~ '!') }}", Chat(TALK[:1]))


def test_json_in_a_template_is_sorted_by_what_stands_there(rendered: Callable[..., tuple[str, str]]) -> None:
    tool = Tool("f", "", {"b": 1, "a": {"z": "\n", "y": []}})
    source = (
        "{% for t in tools %}{{ t.function.parameters | tojson(sort_keys=true, indent=1) }}{{ t.function.name }}"
        "{% for key, value in t.function.parameters | dictsort %}{{ key }}{% endfor %}{% endfor %}"
    )
    text, _ = rendered(source, Chat(TALK[:1], (tool,)))
    assert text == json.dumps({"b": 1, "a": {"z": "\n", "y": []}}, sort_keys=True, indent=1) + "fab"
