"""Believable conversations in any number, the same for the same seed: for benches, pictures and tests of scale.

Texts are put together from the parts in ``sample_conversations.txt``; they are about as long as real ones and hold
lists, tables and code.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.chat.records import AnswerStats, Conversation, Message, MessageStatus, Role
from app.store import conversations, driver, messages

MODEL_ID = "SmolLM2-135M-Instruct-Q4_1"
BEGINNING_S = 1_760_000_000.0
"""Time of the first message."""


@dataclass(frozen=True, slots=True)
class Topic:
    """What one conversation is about."""

    title: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]


_TEXTS = Path(__file__).with_name("sample_conversations.txt")


def _read_topics() -> tuple[Topic, ...]:
    """``=== title``, then ``--- person`` and ``--- model`` before each text."""
    found: list[Topic] = []
    for block in _TEXTS.read_text("utf-8").split("=== ")[1:]:
        title, *parts = block.split("\n--- ")
        texts: dict[str, list[str]] = {"person": [], "model": []}
        for part in parts:
            speaker, _, text = part.partition("\n")
            texts[speaker].append(text.strip("\n"))
        found.append(Topic(title.strip(), tuple(texts["person"]), tuple(texts["model"])))
    return tuple(found)


TOPICS = _read_topics()

_FOLLOW_UPS = (
    "Thank you. Can you say that in one sentence?",
    "And if I have only half the time?",
    "Which of these would you do first, and why?",
    "Please give me an example with numbers.",
    "What is the most common mistake here?",
    "Summarise what we have so far as a list.",
)
_OPENINGS = ("In short: ", "That depends on one thing. ", "Good question. ", "Mostly yes. ", "Not quite. ", "")


def topics(count: int, seed: int = 1) -> Iterator[Topic]:
    """``count`` topics; beyond the hand-written ones their titles carry a number."""
    order = list(TOPICS)
    random.Random(seed).shuffle(order)
    for number in range(count):
        topic = order[number % len(order)]
        yield (
            topic
            if number < len(order)
            else Topic(f"{topic.title}, part {number // len(order) + 1}", topic.questions, topic.answers)
        )


def conversation(
    topic: Topic, message_count: int, number: int, seed: int = 1
) -> tuple[Conversation, tuple[Message, ...]]:
    """One conversation with its straight line of messages, question first."""
    chance = random.Random(f"{seed}-{number}")
    started_at = BEGINNING_S + number * 7_200.0
    conversation_id = f"sample-{seed}-{number}"
    line: list[Message] = []
    for index in range(message_count):
        role: Role = "assistant" if index % 2 else "user"
        text = _answer(topic, index, chance) if index % 2 else _question(topic, index, chance)
        line.append(
            Message(
                id=f"{conversation_id}-{index}",
                conversation_id=conversation_id,
                parent_id=line[-1].id if line else None,
                role=role,
                text=text,
                reasoning="",
                status=MessageStatus.COMPLETE,
                created_at=started_at + index * 40.0,
                model_id=MODEL_ID if index % 2 else None,
                stats=_stats(text, index, chance) if index % 2 else None,
                error="",
                branch_index=0,
                branch_count=1,
            )
        )
    updated_at = line[-1].created_at if line else started_at
    head = Conversation(conversation_id, topic.title, started_at, updated_at, number % 11 == 3, MODEL_ID, "", 0, "")
    return head, tuple(line)


def fill(connection: driver.Connection, conversation_count: int, messages_each: int, seed: int = 1) -> None:
    """Write conversations through the store's own statements, inside the caller's transaction."""
    for number, topic in enumerate(topics(conversation_count, seed)):
        head, line = conversation(topic, messages_each, number, seed)
        conversations.insert(connection, head)
        messages.insert_line(connection, line)


def _question(topic: Topic, index: int, chance: random.Random) -> str:
    turn = index // 2
    return topic.questions[turn] if turn < len(topic.questions) else chance.choice(_FOLLOW_UPS)


def _answer(topic: Topic, index: int, chance: random.Random) -> str:
    turn = index // 2
    if turn < len(topic.answers):
        return topic.answers[turn]
    return chance.choice(_OPENINGS) + chance.choice(topic.answers)


def _stats(text: str, index: int, chance: random.Random) -> AnswerStats:
    completion_tokens = max(1, len(text) // 4)
    decode_tok_s = chance.uniform(38.0, 61.0)
    ttft_s = chance.uniform(0.12, 0.6)
    return AnswerStats(
        prompt_tokens=60 + index * 110,
        cached_tokens=20 + index * 105,
        completion_tokens=completion_tokens,
        ttft_s=ttft_s,
        decode_tok_s=decode_tok_s,
        total_s=ttft_s + completion_tokens / decode_tok_s,
        finish_reason="stop",
        device="CPU",
        route="local",
    )
