"""What the serving bench asks of a server and what came of it: many sessions, a shared document, a late long prompt.

Prompts are made of common words by a seeded chance: both sides get the same, and no round begins like an earlier one,
so that nothing is warm but what the round itself made warm. Answers have a fixed length.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.serving_client import Body, Reply, Target, ask

CHAT = "/v1/chat/completions"
ANSWER_TOKENS = 32
SYSTEM_WORDS = 85
"""About a hundred tokens, with what the template puts around them."""
QUESTION_WORDS = 80
GAP_SESSIONS = 4
_WARM_READS = 8
"""A decoding session counts as under way after so many reads."""
_GAP_TOKENS = 1500
_WORDS = (
    "river table orange quiet seven market window paper doctor garden silver bridge winter copper letter engine "
    "forest music harbor lantern village mountain summer kitchen pencil teacher island carpet morning button"
)
_SAMPLING: Body = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "min_p": 0.05, "repeat_penalty": 1.0}


@dataclass(frozen=True, slots=True)
class Outcome:
    """One round of several sessions."""

    wall_s: float
    replies: tuple[Reply, ...]

    @property
    def tok_s(self) -> float:
        """Tokens written by all sessions, a second."""
        return sum(reply.completion_tokens for reply in self.replies) / self.wall_s

    def ttft_s(self, ratio: float = 0.95) -> float:
        return percentile([reply.ttft_s for reply in self.replies], ratio)

    def tpot_s(self, ratio: float = 0.95) -> float:
        return percentile([reply.tpot_s for reply in self.replies], ratio)

    @property
    def cached_ratio(self) -> float:
        """Of all prompt tokens, those taken from memory."""
        asked = sum(reply.prompt_tokens for reply in self.replies)
        return sum(reply.cached_tokens for reply in self.replies) / asked if asked else 0.0


@dataclass(frozen=True, slots=True)
class Gap:
    """One round of a long prompt that arrives while others decode."""

    worst_s: float
    """Between two reads with text of the same session, while the prompt was computed."""
    ttft_s: float
    """Of the long prompt."""


@dataclass(slots=True)
class LongTalk:
    """A conversation that begins with a long text and goes on elsewhere."""

    mark: str
    n_words: int
    replies: list[Reply] = field(default_factory=list)
    _messages: list[dict[str, str]] = field(default_factory=list)

    @property
    def cold_s(self) -> float:
        """TTFT of the first turn."""
        return self.replies[0].ttft_s

    @property
    def warm_s(self) -> float:
        """TTFT of the second turn."""
        return self.replies[1].ttft_s

    async def begin(self, target: Target) -> None:
        await self._say(target, f"Read this text.\n\n{words(self.mark, self.n_words)}\n\nWhat is it about?")

    async def go_on(self, target: Target) -> None:
        await self._say(target, "And what is it not about?")

    async def _say(self, target: Target, text: str) -> None:
        self._messages.append({"role": "user", "content": text})
        self.replies.append(await ask(target, CHAT, chat(self._messages)))
        self._messages.append({"role": "assistant", "content": self.replies[-1].text})


def percentile(values: Sequence[float], ratio: float) -> float:
    """The smallest value that at least ``ratio`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-ratio * len(ordered) // 1) - 1))]


def words(mark: str, count: int) -> str:
    """So many words by chance; the same mark gives the same words."""
    chance, common = random.Random(mark), _WORDS.split()
    return " ".join(chance.choice(common) for _ in range(count))


def chat(messages: Sequence[dict[str, str]], tokens: int = ANSWER_TOKENS, seed: int = 1) -> Body:
    """A chat request of fixed length."""
    return {"messages": list(messages), "max_tokens": tokens, "ignore_eos": True, "seed": seed, **_SAMPLING}


async def one_session(target: Target, mark: str, tokens: int) -> Reply:
    """A short question, a longer answer, nobody else."""
    question = f"Tell a story with these words: {words(mark, 16)}"
    return await ask(target, CHAT, chat([{"role": "user", "content": question}], tokens))


async def two_turns(target: Target, mark: str, sessions: int) -> Outcome:
    """All sessions begin at once under one system prompt; each goes on as soon as it was answered."""
    system = f"You are a helpful assistant of the archive. {words(f'{mark}/system', SYSTEM_WORDS)}"

    async def session(number: int) -> list[Reply]:
        messages = [{"role": "system", "content": system}]
        replies = []
        for turn in range(2):
            question = f"Tell a story with these words: {words(f'{mark}/{number}/{turn}', QUESTION_WORDS)}"
            messages.append({"role": "user", "content": question})
            replies.append(await ask(target, CHAT, chat(messages, seed=number)))
            messages.append({"role": "assistant", "content": replies[-1].text})
        return replies

    began = time.perf_counter()
    found = await asyncio.gather(*(session(number) for number in range(sessions)))
    return Outcome(time.perf_counter() - began, tuple(reply for replies in found for reply in replies))


async def shared_document(target: Target, mark: str, sessions: int, document_words: int) -> Outcome:
    """All sessions ask at once, each its own question about the same document."""
    document = words(f"{mark}/document", document_words)

    async def session(number: int) -> Reply:
        question = f"Which of these words are in the text: {words(f'{mark}/{number}', 12)}?"
        content = f"Read this text.\n\n{document}\n\n{question}"
        return await ask(target, CHAT, chat([{"role": "user", "content": content}], seed=number))

    began = time.perf_counter()
    replies = await asyncio.gather(*(session(number) for number in range(sessions)))
    return Outcome(time.perf_counter() - began, tuple(replies))


async def late_long_prompt(target: Target, mark: str, prompt_words: int) -> Gap:
    """Four sessions decode; then a long prompt arrives. They are hung up on when it has its first token."""
    under_way = asyncio.Semaphore(0)

    def heard(reads: int) -> None:
        if reads == _WARM_READS:
            under_way.release()

    async def session(number: int) -> Reply:
        question = f"Tell a long story with these words: {words(f'{mark}/{number}', 12)}"
        body = chat([{"role": "user", "content": question}], _GAP_TOKENS, seed=number)
        return await ask(target, CHAT, body, heard)

    decoding = [asyncio.create_task(session(number)) for number in range(GAP_SESSIONS)]
    for _ in decoding:
        await under_way.acquire()
    content = f"Read this text and say what it is about.\n\n{words(f'{mark}/long', prompt_words)}"
    late = await ask(target, CHAT, chat([{"role": "user", "content": content}], 1))
    still = [task for task in decoding if not task.done()]
    for task in still:
        task.cancel()
    replies = await asyncio.gather(*decoding)
    if len(still) < len(decoding):
        raise RuntimeError("a session ended before the long prompt was computed; it must decode longer")
    return Gap(max(_worst_gap(reply, late) for reply in replies), late.ttft_s)


def _worst_gap(reply: Reply, late: Reply) -> float:
    """The longest wait for text that overlaps with the late prompt's."""
    done = late.times[0] if late.times else late.ended_at
    moments = [*(moment for moment in reply.times if moment < done), done]
    pairs = itertools.pairwise(moments)
    return max((after - before for before, after in pairs if after >= late.asked_at), default=0.0)
