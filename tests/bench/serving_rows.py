"""The rows of the serving bench: each starts both sides, lets them take turns, and compares the medians.

What is asked is in ``serving_load`` and ``serving_receipts``; here is how often, and what it must come to.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Generic, TypeVar

from engine.worker.spec import KeptStates
from tests.bench.serving_client import Target
from tests.bench.serving_load import (
    ANSWER_TOKENS,
    GAP_SESSIONS,
    Gap,
    LongTalk,
    Outcome,
    late_long_prompt,
    one_session,
    shared_document,
    two_turns,
)
from tests.bench.serving_receipts import AT_A_TIME, Extracted, Receipt, differing, extract, field_f1
from tests.bench.serving_sides import Pair, Setting, Side, both, llama_server, our_worker
from tests.bench.table import Row

T = TypeVar("T")

_MIB = 1 << 20
_LOOK_S = 0.05
_WORD_TOKENS = 1.19
"""Tokens a word of ``serving_load`` takes in SmolLM2's vocabulary, to make prompts of a wanted length."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is asked. ``quick`` only shows that everything runs."""

    rounds: int
    quick: bool

    def of(self, whole: int, quick: int) -> int:
        return quick if self.quick else whole


@dataclass(slots=True)
class Python:
    """What our worker's steps cost besides llama_decode, from the counters before and after."""

    before: dict[str, float]
    after: dict[str, float]

    @property
    def note(self) -> str:
        steps = self._grown("gatehouse_steps_total")
        decode = self._grown("gatehouse_decode_seconds_total")
        whole = self._grown("gatehouse_step_seconds_total")
        if not steps or not whole:
            return "Python per step not reported by this worker"
        return f"a step {whole / steps * 1e3:.1f} ms, of it Python {(whole - decode) / steps * 1e6:,.0f} µs"

    def _grown(self, name: str) -> float:
        return self.after.get(name, 0.0) - self.before.get(name, 0.0)


@asynccontextmanager
async def counting(side: Side) -> AsyncIterator[Python]:
    """The counters around a block."""
    found = Python(await side.metrics(), {})
    yield found
    found.after = await side.metrics()


async def single(model: Path, scale: Scale) -> list[Row]:
    """One session, nobody else."""
    tokens = scale.of(128, 16)
    ours: list[tuple[float, float]] = []
    peer: list[tuple[float, float]] = []
    async with both(Setting(model, 1, 2048)) as pair:
        for side in pair.turns(0):
            await one_session(side.target, "warm", 16)
        async with counting(pair.ours) as python:
            for mark in range(scale.rounds * 2):
                for side in pair.turns(mark):
                    reply = await one_session(side.target, f"single/{mark}", tokens)
                    (ours if side is pair.ours else peer).append((1 / reply.tpot_s, reply.ttft_s))
    rate, peer_rate = median(one for one, _ in ours), median(one for one, _ in peer)
    first, peer_first = (median(one * 1e3 for _, one in found) for found in (ours, peer))
    how = f"{model.stem}, {tokens} tokens, {len(ours)} rounds; {python.note}"
    return [
        Row("1 session: decode", rate, "tok/s", peer_rate, "≥ 0.98 ×", rate >= 0.98 * peer_rate, how),
        Row("1 session: TTFT", first, "ms", peer_first, "≤ 1.05 ×", first <= 1.05 * peer_first, "prompt of 50 tokens"),
    ]


async def sessions(model: Path, scale: Scale, count: int) -> list[Row]:
    """Many sessions, two turns, one system prompt; with twenty also the memory they take.

    Short conversations that share little: both sides keep a part of the cache for each, ours as ``gatehouse serve
    --users`` plans it.
    """
    setting = Setting(model, count, 1024 * max(8, count), apart=True)

    async def load(target: Target, mark: int) -> Outcome:
        return await two_turns(target, f"{count}/{mark}", count)

    async with both(setting) as pair, counting(pair.ours) as python:
        found = await _rounds(pair, scale.rounds, load)
        memory = [side.resident_bytes() / _MIB for side in (pair.ours, pair.peer)]
    rate, peer_rate = found.medians(lambda one: one.tok_s)
    first, peer_first = found.medians(lambda one: one.ttft_s())
    pace, peer_pace = found.medians(lambda one: one.tpot_s() * 1e3)
    cached, peer_cached = found.medians(lambda one: one.cached_ratio)
    what = f"{count} sessions, two turns"
    how = f"{model.stem}, {scale.rounds} rounds, {ANSWER_TOKENS} tokens an answer; prompt tokens from memory: "
    how += f"{cached:.0%} and {peer_cached:.0%}; {python.note}"
    rows = [
        Row(f"{what}: all together", rate, "tok/s", peer_rate, "≥ 1.35 ×", rate >= 1.35 * peer_rate, how),
        Row(f"{what}: TTFT, p95", first, "s", peer_first, "≤ 0.5 ×", first <= 0.5 * peer_first, "of both turns"),
        Row(f"{what}: TPOT, p95", pace, "ms", peer_pace, "≤ 1.0 ×", pace <= peer_pace, ""),
    ]
    if count >= 20:
        goal = memory[0] <= 1.1 * memory[1]
        note = "process and children after the rounds, the mapped model file included"
        rows.append(Row(f"{count} sessions: resident", memory[0], "MiB", memory[1], "≤ 1.1 ×", goal, note))
    return rows


async def document(model: Path, scale: Scale) -> list[Row]:
    """Five sessions, one document."""
    words = round(scale.of(3000, 300) / _WORD_TOKENS)

    async def load(target: Target, mark: int) -> Outcome:
        return await shared_document(target, f"document/{mark}", 5, words)

    async with both(Setting(model, 5, 5 * 4096)) as pair:
        found = await _rounds(pair, max(2, scale.rounds - 1), load)
    wall, peer_wall = found.medians(lambda one: one.wall_s)
    tokens = found.ours[0].replies[0].prompt_tokens
    cached, peer_cached = found.medians(lambda one: one.cached_ratio)
    how = f"{model.stem}, prompts of {tokens:,} tokens, {len(found.ours)} rounds; from memory: "
    how += f"{cached:.0%} and {peer_cached:.0%}"
    measure = "5 sessions ask about the same document: wall"
    return [Row(measure, wall, "s", peer_wall, "≤ 0.35 ×", wall <= 0.35 * peer_wall, how)]


async def gap(model: Path, scale: Scale) -> list[Row]:
    """A long prompt arrives while others decode."""
    words = round(scale.of(6000, 600) / _WORD_TOKENS)

    async def load(target: Target, mark: int) -> Gap:
        return await late_long_prompt(target, f"gap/{mark}", words)

    async with both(Setting(model, GAP_SESSIONS + 1, (GAP_SESSIONS + 1) * 6656)) as pair:
        found = await _rounds(pair, max(2, scale.rounds - 1), load)
    worst, peer_worst = found.medians(lambda one: one.worst_s)
    late, peer_late = found.medians(lambda one: one.ttft_s)
    how = f"{model.stem}, {len(found.ours)} rounds; the long prompt's own TTFT {late:.1f} s and {peer_late:.1f} s"
    measure = f"{scale.of(6000, 600):,}-token prompt arrives while {GAP_SESSIONS} decode: worst gap"
    return [Row(measure, worst, "s", peer_worst, "≤ 0.5 ×", worst <= 0.5 * peer_worst, how)]


async def ready(model: Path, scale: Scale) -> list[Row]:
    """From starting the process to the first answer of ``/health``."""
    setting = Setting(model, 4, 8192)
    ours: list[float] = []
    peer: list[float] = []
    for _ in range(1 + scale.rounds):
        async with our_worker(setting) as side:
            ours.append(side.ready_s)
        async with llama_server(setting) as side:
            peer.append(side.ready_s)
    mine, theirs = median(ours[1:]), median(peer[1:])
    how = f"{scale.rounds} warm starts, process to the first 200 on /health"
    return [Row(f"Start to ready, {model.stem}", mine, "s", theirs, "≤ 1.2 ×", mine <= 1.2 * theirs, how)]


async def restart(model: Path, scale: Scale) -> list[Row]:
    """Going on with a long conversation after a restart, from what was kept on disk. Ours alone."""
    words = round(scale.of(4000, 600) / _WORD_TOKENS)
    found: list[LongTalk] = []
    setting = Setting(model, 2, 8192)
    size = 0
    for mark in range(max(2, scale.rounds - 1)):
        with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
            kept = KeptStates(Path(name), 2 << 30, secrets.token_hex(32), idle_s=0.0)
            talk = LongTalk(f"restart/{mark}", words)
            async with our_worker(setting, kept_states=kept) as side:
                await talk.begin(side.target)
                while (await side.metrics())["gatehouse_kept_states_written_total"] < 1:  # noqa: ASYNC110 - of another process
                    await asyncio.sleep(_LOOK_S)
            size = sum(path.stat().st_size for path in kept.folder.iterdir())
            async with our_worker(setting, kept_states=kept) as side:
                await talk.go_on(side.target)
            found.append(talk)
        _say(f"restart {mark + 1}")
    warm, cold = (median(times) for times in zip(*((talk.warm_s, talk.cold_s) for talk in found), strict=True))
    last = found[-1].replies[-1]
    how = f"{model.stem}, {len(found)} rounds; peer: our own cold prefill; {last.cached_tokens:,} of "
    how += f"{last.prompt_tokens:,} tokens from disk, {size / _MIB:.0f} MiB, its pages warm"
    measure = "Going on with a 4,000-token conversation after a restart: TTFT"
    return [Row(measure, warm, "s", cold, "≤ 0.25 ×", warm <= 0.25 * cold, how)]


async def receipts(model: Path, scale: Scale, documents: list[Receipt]) -> list[Row]:
    """Receipts to a schema: one at a time, turn by turn, then four at a time in batches."""
    alone, alone_peer, many, many_peer, plain = (Extracted() for _ in range(5))
    async with both(Setting(model, AT_A_TIME, AT_A_TIME * 4096)) as pair:
        for mark, receipt in enumerate(documents):
            for side in pair.turns(mark):
                await extract(side.target, [receipt], 1, alone if side is pair.ours else alone_peer)
            await extract(pair.ours.target, [receipt], 1, plain, plain=True)  # not timed: its prompt is in memory
            _say(f"receipt {mark + 1} of {len(documents)}")
    # Anew: llama-server keeps every past prompt in main memory and would answer the same documents from there.
    async with both(Setting(model, AT_A_TIME, AT_A_TIME * 4096)) as pair:
        batch = AT_A_TIME * 2
        for start in range(0, len(documents), batch):
            for side in pair.turns(start // batch):
                into = many if side is pair.ours else many_peer
                await extract(side.target, documents[start : start + batch], AT_A_TIME, into)
            _say(f"receipts four at a time, {min(start + batch, len(documents))} of {len(documents)}")
    rows = []
    for name, ours, peer, goal in (("one", alone, alone_peer, 1.4), ("four", many, many_peer, 1.25)):
        mine, theirs = field_f1(ours.texts, documents), field_f1(peer.texts, documents)
        how = f"{model.stem}, {len(documents)} receipts; field F1 {mine:.3f} and {theirs:.3f}; "
        how += f"{differing(ours.texts, peer.texts)} differ from llama-server's, "
        how += f"{differing(ours.texts, plain.texts)} from our own decoded plainly "
        how += f"({field_f1(plain.texts, documents):.3f})"
        rate, other = ours.documents_s * 60, peer.documents_s * 60
        measure = f"Receipts to a schema, {name} at a time"
        rows.append(Row(measure, rate, "/min", other, f"≥ {goal} ×", rate >= goal * other, how))
    return rows


@dataclass(slots=True)
class _Found(Generic[T]):
    """What the rounds of a row brought."""

    ours: list[T] = field(default_factory=list)
    peer: list[T] = field(default_factory=list)

    def medians(self, figure: Callable[[T], float]) -> tuple[float, float]:
        return median(map(figure, self.ours)), median(map(figure, self.peer))


async def _rounds(pair: Pair, rounds: int, load: Callable[[Target, int], Awaitable[T]]) -> _Found[T]:
    found: _Found[T] = _Found()
    for mark in range(rounds):
        for side in pair.turns(mark):
            outcome = await load(side.target, mark)
            (found.ours if side is pair.ours else found.peer).append(outcome)
        _say(f"round {mark + 1} of {rounds}")
    return found


def _say(what: str) -> None:
    sys.stderr.write(f"  {what}\n")
