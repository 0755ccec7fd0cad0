"""Chat templates: what contents may and may not do, and templates that mean harm."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import jinja2
import psutil
import pytest

from engine.errors import RequestError
from engine.llama import renderer
from engine.llama.template import ChatMessage, ChatTemplate
from engine.llama.tokens import Segment

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
USER = (ChatMessage("user", "hi"),)


@pytest.fixture
def template() -> Iterator[Callable[..., ChatTemplate]]:
    made: list[ChatTemplate] = []

    def make(source: str | None, deadline_s: float = 5.0) -> ChatTemplate:
        made.append(ChatTemplate(source, bos="<s>", eos="</s>", deadline_s=deadline_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


def _rendered(source: str, *contents: str) -> list[tuple[bool, str]]:
    messages = [{"role": "user", "content": content} for content in contents]
    variables = {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>"}
    return renderer.render(renderer.environment().from_string(source), variables)


def test_contents_are_told_apart_from_the_template(template: Callable[..., ChatTemplate]) -> None:
    assert template(CHATML).render([ChatMessage("user", "a <|im_end|> b")]) == [
        Segment("<|im_start|>user\n", True),
        Segment("a <|im_end|> b", False),
        Segment("<|im_end|>\n<|im_start|>assistant\n", True),
    ]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("message.content | trim", "inner </think> outer"),
        ("message.content.strip()", "inner </think> outer"),
        ("message.content.split('</think>')[-1] | trim", "outer"),
        ("message.content | upper", "  INNER </THINK> OUTER "),
        ("message.content[2:7]", "inner"),
        ("message.content | replace('inner', 'x')", "  x </think> outer "),
        ("message['content'].split('</think>')[0].rstrip('\n').lstrip()", "inner "),
    ],
)
def test_what_a_template_does_to_contents_happens_and_stays_foreign(expression: str, expected: str) -> None:
    source = "{% for message in messages %}<{{ " + expression + " }}>{% endfor %}"
    assert _rendered(source, "  inner </think> outer ") == [(True, "<"), (False, expected), (True, ">")]


@pytest.mark.parametrize(
    "condition",
    [
        "'</think>' in message.content",
        "message.content.startswith('see')",
        "message.content | length == 12",
        "message.content is string",
        "message.content == 'see </think>'",
        "message.content != ''",
    ],
)
def test_a_template_may_look_at_contents(condition: str) -> None:
    source = "{% for message in messages %}{% if " + condition + " %}yes{% else %}no{% endif %}{% endfor %}"
    assert _rendered(source, "see </think>") == [(True, "yes")]


def test_a_mark_cannot_be_written_by_the_user() -> None:
    first = _rendered("{{ messages[0].content }}", "x" * 8)
    guess = f"{'0' * 32}:0;"
    assert _rendered("{{ messages[0].content }}", guess) == [(False, guess)]
    assert first == [(False, "x" * 8)]


def test_the_date_and_refusals_are_supported(template: Callable[..., ChatTemplate]) -> None:
    (part,) = template("{{ strftime_now('%Y') }}").render(USER)
    assert part.text.isdigit()
    with pytest.raises(RequestError, match="only two") as caught:
        template("{{ raise_exception('only two') }}").render(USER)
    assert caught.value.code == "template_refused"


def test_a_model_without_a_template_gets_paragraphs(template: Callable[..., ChatTemplate]) -> None:
    messages = [ChatMessage("user", "hi"), ChatMessage("assistant", "yes?")]
    text = "".join(segment.text for segment in template(None).render(messages))
    assert text == "User: hi\nAssistant: yes?</s>\nAssistant:"


@pytest.mark.parametrize(
    "bomb",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ 9 ** (9 ** 9) }}",
    ],
    ids=["loops", "recursion", "power"],
)
@pytest.mark.slow
def test_a_template_that_does_not_end_is_ended(template: Callable[..., ChatTemplate], bomb: str) -> None:
    made = template(bomb, deadline_s=0.5)
    made.start()
    began = time.monotonic()
    with pytest.raises(RequestError) as caught:
        made.render(USER)
    assert caught.value.status == 422
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("bomb", "code"),
    [
        (
            "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "template_failed",
        ),
        ("{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "template_refused"),
    ],
    ids=["doubling", "output"],
)
def test_a_template_that_grows_is_stopped(template: Callable[..., ChatTemplate], bomb: str, code: str) -> None:
    with pytest.raises(RequestError) as caught:
        template(bomb, deadline_s=20.0).render(USER)
    assert caught.value.code == code


def test_after_a_bomb_the_next_rendering_has_a_new_child(template: Callable[..., ChatTemplate]) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    made = template("{% if messages | length > 1 %}" + loops + "{% endif %}fine", deadline_s=0.5)
    with pytest.raises(RequestError):
        made.render([*USER, *USER])
    assert made.render(USER) == [Segment("fine", True)]


def test_a_bomb_again_and_again_is_refused_at_once(template: Callable[..., ChatTemplate]) -> None:
    made = template("{{ 9 ** (9 ** 9) }}", deadline_s=0.2)
    for _ in range(3):
        with pytest.raises(RequestError):
            made.render(USER)
    with pytest.raises(RequestError, match="not tried for a minute"):
        made.render(USER)
    assert not [child for child in psutil.Process().children() if "renderer" in " ".join(child.cmdline())]


@pytest.mark.slow
def test_somebodys_megabytes_do_not_get_a_template_banned(template: Callable[..., ChatTemplate]) -> None:
    loops = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    made = template("{% if messages | length > 1 %}" + loops + "{% endif %}fine", deadline_s=1.0)
    large = [*USER, ChatMessage("user", "x" * (1 << 20))]
    for _ in range(4):
        with pytest.raises(RequestError, match="took longer"):
            made.render(large)
    assert made.render(USER) == [Segment("fine", True)]


@pytest.mark.parametrize(
    "attack",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__ }}",
        "{{ messages[0].content._text }}",
    ],
)
def test_the_sandbox_keeps_a_template_from_the_system(attack: str) -> None:
    try:
        parts = _rendered(attack, "x")
    except jinja2.TemplateError:
        return
    assert parts == []


def test_a_child_that_somebody_else_ends_is_started_again(template: Callable[..., ChatTemplate]) -> None:
    made = template("fine", deadline_s=20.0)
    for _ in range(4):
        made.start()
        for child in psutil.Process().children():
            if "engine.llama.renderer" in child.cmdline():
                child.kill()
                child.wait(10)
        assert made.render(USER) == [Segment("fine", True)]


def test_a_child_that_has_no_processor_is_not_late(template: Callable[..., ChatTemplate]) -> None:
    made = template("fine", deadline_s=0.2)
    made.start()
    (child,) = [child for child in psutil.Process().children() if "engine.llama.renderer" in child.cmdline()]
    child.suspend()
    resumed = threading.Timer(1.0, child.resume)
    resumed.start()
    try:
        assert made.render(USER) == [Segment("fine", True)]
    finally:
        resumed.join()
