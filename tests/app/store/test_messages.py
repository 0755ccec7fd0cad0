"""Trees of messages: the chosen branch, siblings, what a dead process leaves behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.chat.records import AnswerStats, Message, MessageStatus
from app.gate.label import Label
from app.lanes import StoreLane
from app.store import conversations, driver, messages
from engine.errors import StoreError
from tests.app.written import conversation, message

STATS = AnswerStats(12, 3, 40, 0.25, 51.5, 1.5, "stop", "CPU", "local")


async def _texts(lane: StoreLane, conversation_id: str = "c") -> list[str]:
    branch = await lane.read(lambda connection: messages.branch(connection, conversation_id))
    return [m.text for m in branch]


@pytest.fixture
async def tree(lane: StoreLane) -> StoreLane:
    """q1 - a1 - q2 - a2, and a second answer a1b to q1, which is chosen."""

    def work(connection: driver.Connection) -> None:
        conversations.insert(connection, conversation(conversation_id="c"))
        line = [
            message("c", "q1", message_id="q1"),
            message("c", "a1", message_id="a1", parent="q1", role="assistant"),
            message("c", "q2", message_id="q2", parent="a1"),
            message("c", "a2", message_id="a2", parent="q2", role="assistant"),
            message("c", "a1b", message_id="a1b", parent="q1", role="assistant"),
        ]
        messages.insert(connection, line)

    await lane.write(work)
    return lane


async def test_a_label_that_was_raised_while_an_answer_was_written_stays(tree: StoreLane) -> None:
    def work(connection: driver.Connection) -> Label | None:
        pending = messages.get(connection, "a2")
        messages.save_answer(connection, replace(pending, label=Label.RESTRICTED))
        messages.save_answer(connection, replace(pending, label=Label.INTERNAL))
        return messages.get(connection, "a2").label

    assert await tree.write(work) is Label.RESTRICTED


async def test_newest_sibling_is_chosen(tree: StoreLane) -> None:
    assert await _texts(tree) == ["q1", "a1b"]


async def test_choosing_a_deep_message_chooses_its_ancestors(tree: StoreLane) -> None:
    chosen = await tree.write(lambda connection: messages.choose(connection, "a2"))
    assert chosen == "c"
    assert await _texts(tree) == ["q1", "a1", "q2", "a2"]


async def test_choosing_a_sibling_keeps_the_choice_below_it(tree: StoreLane) -> None:
    await tree.write(lambda connection: messages.choose(connection, "a1"))
    assert await _texts(tree) == ["q1", "a1", "q2", "a2"]


async def test_places_among_siblings(tree: StoreLane) -> None:
    branch = await tree.read(lambda connection: messages.branch(connection, "c"))
    assert [(m.branch_index, m.branch_count) for m in branch] == [(0, 1), (1, 2)]
    first = await tree.read(lambda connection: messages.get(connection, "a1"))
    assert (first.branch_index, first.branch_count) == (0, 2)


async def test_path_ignores_choices(tree: StoreLane) -> None:
    path = await tree.read(lambda connection: messages.path_to(connection, "q2"))
    assert [m.id for m in path] == ["q1", "a1", "q2"]


async def test_roots_of_two_conversations_are_not_siblings(tree: StoreLane) -> None:
    def work(connection: driver.Connection) -> tuple[Message, ...]:
        conversations.insert(connection, conversation(conversation_id="other"))
        return messages.insert(connection, [message("other", "hello")])

    (added,) = await tree.write(work)
    assert (added.branch_index, added.branch_count) == (0, 1)
    assert await _texts(tree) == ["q1", "a1b"]


async def test_answer_keeps_everything(tree: StoreLane) -> None:
    answer = await tree.read(lambda connection: messages.get(connection, "a1b"))
    grown = replace(
        answer,
        text="more 🌍",
        reasoning="because",
        status=MessageStatus.STOPPED,
        model_id="m",
        stats=STATS,
        error="A sentence.",
    )
    await tree.write(lambda connection: messages.save_answer(connection, grown))
    assert await tree.read(lambda connection: messages.get(connection, "a1b")) == grown


async def test_unfinished_answers_are_interrupted_with_their_text(tree: StoreLane) -> None:
    def work(connection: driver.Connection) -> None:
        for status in (MessageStatus.PENDING, MessageStatus.STREAMING, MessageStatus.COMPLETE):
            child = message(
                "c", f"so far {status}", parent="a1b", message_id=status.value, role="assistant", status=status
            )
            messages.insert(connection, [child])

    await tree.write(work)
    assert await tree.write(lambda connection: messages.interrupt_unfinished(connection, "It ended.")) == 2
    streaming = await tree.read(lambda connection: messages.get(connection, "streaming"))
    assert (streaming.status, streaming.text, streaming.error) == (
        MessageStatus.INTERRUPTED,
        "so far streaming",
        "It ended.",
    )
    complete = await tree.read(lambda connection: messages.get(connection, "complete"))
    assert (complete.status, complete.error) == (MessageStatus.COMPLETE, "")


@pytest.mark.parametrize("ask", [messages.get, messages.choose])
async def test_missing_message_is_a_sentence(tree: StoreLane, ask: object) -> None:
    with pytest.raises(StoreError, match="not there any more") as caught:
        await tree.write(lambda connection: ask(connection, "nobody"))  # type: ignore[operator]
    assert caught.value.code == "no_such_message"
