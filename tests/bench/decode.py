"""Single-stream decode and prefill beside `llama-bench`, in one run.

How the comparison is made: the same model file, threads, batch and micro-batch, KV type and automatic flash attention
on both sides, and OpenMP's threads sleep after the same spin; our worker is the real one, started by the supervisor
and asked over HTTP by a streaming client in this process, which is what times it. The client notes when bytes came and
reads them when the answer is over, because it shares the processors with what it times. `llama-bench` leaves
tokenizing, sampling, HTTP and JSON out; our figures have them in. The two sides take turns, round by round, so that a
busy machine slows both; the medians of the rounds are compared.
Decode: 128 tokens after a short prompt, first token to last (tg128). Prefill: 512 fresh tokens, from sending the
request to the first token (pp512).
"""

import asyncio
import http.client
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from engine.fit.plan import Plan
from engine.worker.process import worker_environment
from engine.worker.spec import Ready, WorkerSpec
from engine.worker.supervisor import Supervisor
from tests.bench.peers import find_or_build
from tests.bench.table import Row

ROUNDS = 7
PROMPT_TOKENS = 512
WRITTEN_TOKENS = 128
BATCH = 2048
MICRO_BATCH = 512
GOAL = 0.95
MODEL = Path(sys.prefix) / "share" / "gatehouse" / "models" / "SmolLM2-135M-Instruct-Q4_1.gguf"
_TIMEOUT_S = 300
_READ_BYTES = 1 << 16
_ORDINARY_TOKENS = (1_000, 32_000)
"""A range that is in every vocabulary we measure with and holds no control tokens."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client saw of one request, and what the worker said about it."""

    first_token_s: float
    """From sending the request."""
    decode_tok_s: float
    """From the first token to the last."""
    tokens: int
    prompt_tokens: int
    cached_tokens: int
    said_prompt_tok_s: float
    said_decode_tok_s: float


@dataclass(frozen=True, slots=True)
class Client:
    """A plain HTTP/1.1 client of the worker: a connection for each request, server-sent events read as they come."""

    address: str
    token: str

    def complete(self, prompt: Sequence[int], tokens: int) -> Answer:
        """Stream one completion with ordinary sampling and time it."""
        asked = {"prompt": list(prompt), "max_tokens": tokens, "seed": 1, "stream": True, "ignore_eos": True}
        began = time.perf_counter()
        arrivals: list[tuple[float, bytes]] = []
        with self._post("/v1/completions", asked | {"stream_options": {"include_usage": True}}) as answer:
            while piece := answer.read1(_READ_BYTES):
                arrivals.append((time.perf_counter(), piece))
        first, last, final = _told(arrivals)
        return _answer(final, first - began, last - first)

    @contextmanager
    def _post(self, path: str, body: Mapping[str, object]) -> Iterator[http.client.HTTPResponse]:
        parts = urlsplit(self.address)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT_S)
        head = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, json.dumps(body), head)
            answer = connection.getresponse()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}: {answer.read(2000).decode(errors='replace')}")
            yield answer
        finally:
            connection.close()


def _told(arrivals: Sequence[tuple[float, bytes]]) -> tuple[float, float, Mapping[str, object]]:
    """When the first and the last text arrived, and the event with the counts."""
    first = last = arrivals[-1][0] if arrivals else 0.0
    final: Mapping[str, object] = {}
    seen, pending = False, b""
    for moment, piece in arrivals:
        *events, pending = (pending + piece).split(b"\n\n")
        for event in (json.loads(event[6:]) for event in events if event.startswith(b"data: {")):
            if any(choice.get("text") for choice in event.get("choices", ())):
                first, last, seen = first if seen else moment, moment, True
            if event.get("usage"):
                final = event
    return first, last, final


def _answer(final: Mapping[str, object], first_token_s: float, rest_s: float) -> Answer:
    usage, timings = final["usage"], final["timings"]
    assert isinstance(usage, dict)
    assert isinstance(timings, dict)
    written = int(usage["completion_tokens"])
    return Answer(
        first_token_s=first_token_s,
        decode_tok_s=(written - 1) / rest_s if rest_s > 0 else 0.0,
        tokens=written,
        prompt_tokens=int(usage["prompt_tokens"]),
        cached_tokens=int((usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)),
        said_prompt_tok_s=float(timings["prompt_per_second"]),
        said_decode_tok_s=float(timings["predicted_per_second"]),
    )


def plan_for(model: Path, threads: int, sessions: int = 1, n_ctx: int = 2048) -> Plan:
    """The plan of the bench, said outright so that the peer can be given the same."""
    return Plan(
        model_path=model,
        model_name=model.stem,
        n_ctx=n_ctx,
        n_ctx_train=n_ctx,
        n_seq_max=sessions,
        n_batch=BATCH,
        n_ubatch=MICRO_BATCH,
        n_outputs_max=max(sessions, 1),
        kv_type="f16",
        n_gpu_layers=0,
        load_mode="mmap",
        threads=threads,
        devices=(),
    )


def threads_here() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else (os.cpu_count() or 1)


def llama_bench(model: Path, threads: int, prompt: int, written: int) -> float:
    """One `llama-bench` test, tokens a second; it warms up by itself."""
    tool = find_or_build("llama-bench")
    command = [tool, "-m", model, "-t", threads, "-p", prompt, "-n", written, "-r", 1, "-b", BATCH, "-ub", MICRO_BATCH]
    command += ["-ctk", "f16", "-ctv", "f16", "-ngl", 0, "-fa", "auto", "-o", "json"]
    environment = {**os.environ, "GOMP_SPINCOUNT": worker_environment()["GOMP_SPINCOUNT"]}
    told = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(told.stdout)[0]["avg_ts"])


def fresh_prompt(tokens: int, mark: int) -> list[int]:
    """Ordinary tokens by chance, as `llama-bench` takes them, so that no prompt shares its beginning with another."""
    chance = random.Random(mark)
    return [chance.randrange(*_ORDINARY_TOKENS) for _ in range(tokens)]


@dataclass(slots=True)
class Rounds:
    """What the rounds brought."""

    decode: list[Answer] = field(default_factory=list)
    prefill: list[Answer] = field(default_factory=list)
    peer_decode: list[float] = field(default_factory=list)
    peer_prefill: list[float] = field(default_factory=list)

    def rows(self, threads: int) -> list[Row]:
        ours = median(answer.decode_tok_s for answer in self.decode)
        said = median(answer.said_decode_tok_s for answer in self.decode)
        peer = median(self.peer_decode)
        prefill = median(answer.prompt_tokens / answer.first_token_s for answer in self.prefill)
        said_prefill = median(answer.said_prompt_tok_s for answer in self.prefill)
        peer_prefill = median(self.peer_prefill)
        how = f"{threads} threads, median of {len(self.decode)} alternating rounds; worker's own timings: "
        goal = f"≥ {GOAL} × llama-bench"
        return [
            Row(
                f"Decode, one stream, {WRITTEN_TOKENS} tokens, seen by the client",
                ours,
                "tok/s",
                peer,
                goal,
                ours >= GOAL * peer,
                f"{how}{said:,.0f} tok/s",
            ),
            Row(
                f"Prefill, {PROMPT_TOKENS} tokens, until the client has the first token",
                prefill,
                "tok/s",
                peer_prefill,
                goal,
                prefill >= GOAL * peer_prefill,
                f"{how}{said_prefill:,.0f} tok/s",
            ),
        ]


async def _run(model: Path, threads: int, rounds: int) -> Rounds:
    spec = WorkerSpec(plan_for(model, threads), model.stem, "127.0.0.1", 0, (), os.getpid())
    supervisor = Supervisor(spec)
    supervisor.start()
    try:
        ready = await supervisor.ready()
        return await asyncio.to_thread(_take_turns, ready, supervisor.token or "", model, threads, rounds)
    finally:
        await supervisor.stop()


def _take_turns(ready: Ready, token: str, model: Path, threads: int, rounds: int) -> Rounds:
    client, found = Client(ready.address, token), Rounds()
    client.complete(fresh_prompt(PROMPT_TOKENS, 900_000), 16)  # llama-bench warms up by itself
    for mark in range(rounds):
        found.decode.append(client.complete(fresh_prompt(4, 1_000 + mark), WRITTEN_TOKENS + 1))
        found.peer_decode.append(llama_bench(model, threads, 0, WRITTEN_TOKENS))
        found.prefill.append(client.complete(fresh_prompt(PROMPT_TOKENS, mark), 1))
        found.peer_prefill.append(llama_bench(model, threads, PROMPT_TOKENS, 0))
    return found


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Run the rounds; takes about a minute on two processors."""
    threads = threads_here()
    return asyncio.run(_run(MODEL, threads, rounds)).rows(threads)
