"""What the model is given, and titles."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat import prompt as prompts
from app.chat.prompt import AttachedText
from app.chat.records import ContextUse, Message, MessageStatus, Role
from app.chat.title import DEFAULT_TITLE, title_from
from app.gate.label import Label
from app.providers.provider import PromptMessage
from engine.errors import RequestError
from tests.app.written import message

LINES = st.lists(
    st.tuples(st.sampled_from(["user", "assistant"]), st.sampled_from(["", "x", "some words"])), max_size=8
)


def _branch(*parts: tuple[Role, str]) -> list[Message]:
    return [message("c", text, role=role) for role, text in parts]


def test_failed_answer_joins_the_questions_around_it() -> None:
    branch = _branch(("user", "One"), ("assistant", ""), ("user", "Two"))
    assert prompts.build("", branch) == (PromptMessage("user", "One\n\nTwo"),)


def test_interrupted_answer_stays() -> None:
    branch = _branch(("user", "One"), ("assistant", "Half"), ("user", "Two"))
    branch[1] = replace(branch[1], status=MessageStatus.INTERRUPTED)
    assert [m.text for m in prompts.build(" ", branch)] == ["One", "Half", "Two"]


@given(parts=LINES, system=st.sampled_from(["", "Be brief."]))
def test_roles_alternate_and_no_text_is_lost(parts: list[tuple[Role, str]], system: str) -> None:
    built = prompts.build(system, _branch(*parts))
    roles = [m.role for m in built]
    assert all(before != after for before, after in itertools.pairwise(roles))
    assert (roles[:1] == ["system"]) == bool(system)
    assert all(m.text for m in built)
    assert [w for m in built for w in m.text.split()] == system.split() + [w for _, text in parts for w in text.split()]


def test_draft_joins_an_unanswered_question() -> None:
    assert prompts.build("", _branch(("user", "One")), "Two") == (PromptMessage("user", "One\n\nTwo"),)
    assert prompts.build("", (), "") == ()


def test_a_part_is_as_sensitive_as_the_strictest_thing_in_it() -> None:
    branch = [
        replace(m, label=Label.CONFIDENTIAL if m.text == "Two" else None)
        for m in _branch(("user", "One"), ("assistant", "Two"))
    ]
    contract = AttachedText("contract.pdf", "Clause 1.", Label.RESTRICTED)
    parts = prompts.lay_out("Be brief.", branch, "What?", (contract,), Label.INTERNAL)
    assert [part.label for part in parts] == [Label.INTERNAL, Label.INTERNAL, Label.CONFIDENTIAL, Label.RESTRICTED]
    assert parts[-1].text == "Clause 1.\n\nWhat?"
    assert parts[-1].sources == ("contract.pdf", prompts.DRAFT)


@pytest.mark.parametrize(
    ("tokens", "exact", "refused"),
    [(999, True, False), (1000, True, True), (1400, False, False), (1500, False, True)],
)
def test_overflow(tokens: int, exact: bool, refused: bool) -> None:
    use = ContextUse(tokens, 1000, exact)
    if not refused:
        prompts.refuse_overflow(use)
        return
    with pytest.raises(RequestError, match=f"{tokens:,} tokens, but the context holds 1,000"):
        prompts.refuse_overflow(use)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Hello", "Hello"),
        ("\n\n  # A *heading*\nmore", "A heading"),
        ("```python\nprint(1)\n```", "print(1)"),
        ("- [ ] 1. first of many", "[ ] 1. first of many"),
        ("…", DEFAULT_TITLE),
        ("🌍", DEFAULT_TITLE),
        (
            "Please explain in detail how the tides of the sea depend on the moon",
            "Please explain in detail how the tides of the…",
        ),
        ("x" * 60, "x" * 47 + "…"),
    ],
)
def test_titles(text: str, title: str) -> None:
    assert title_from(text) == title


@given(st.text(max_size=200))
def test_title_is_one_short_line(text: str) -> None:
    title = title_from(text)
    assert 0 < len(title) <= 48
    assert len(title.splitlines()) == 1
