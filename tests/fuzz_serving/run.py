"""One run: our own clients and schemathesis against a worker, a witness who reads on, and the count at the end."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import httpx2
import psutil

from tests.engine.served import KEY, MODEL_ID, WorkerProcess, plan, serving
from tests.fuzz_serving.clients import CLIENTS
from tests.made_models import TINY_LLAMA, make_tiny

AT_ONCE: Final = 12
N_CTX: Final = 512
SLOTS: Final = 4
QUEUE: Final = 16
GROWTH_BYTES: Final = 256 << 20
"""What the worker may hold more at the end than after its first requests: pools, caches of grammars."""
WITNESS_DEADLINE_S: Final = 60.0
SENTENCE: Final = "The gate is open, the lamp is lit, and somebody is reading on."
_HEADERS: Final = {"Authorization": f"Bearer {KEY}"}
_COVERAGE: Final = 4_500
"""About so many requests are schemathesis' deterministic ones."""
_OPERATIONS: Final = 10
"""About so many operations take more than one example."""


@dataclass
class Report:
    """What a run came to."""

    requests: Counter[str] = field(default_factory=Counter)
    """By the kind of client."""
    faults: list[str] = field(default_factory=list)
    witnessed: int = 0
    """Answers that the witness has read to the end."""
    longest_gap_s: float = 0.0
    """Between two pieces of the witness's text."""
    growth_bytes: int = 0


def fuzz(n_requests: int, *, seed: int, folder: Path) -> Report:
    """Send ``n_requests``, half by schemathesis, to a random model of 260 kB that is made in ``folder``."""
    model = make_tiny(TINY_LLAMA, folder / "tiny-llama.gguf")
    small = plan(model_path=model, n_ctx=N_CTX, n_ubatch=N_CTX, n_batch=N_CTX, n_seq_max=SLOTS)
    report = Report()
    with serving(plan=small, queue_limit=QUEUE) as worker:
        process = psutil.Process(worker.process.pid)
        witness = Witness(worker, report)
        with witness:
            asyncio.run(_attack(worker, Random(seed), max(1, n_requests // 20), report))
            before = process.memory_info().rss
            _schemathesis(worker, n_requests // 2, seed, report)
            asyncio.run(_attack(worker, Random(seed + 1), n_requests - report.requests.total(), report))
        report.growth_bytes = process.memory_info().rss - before
        _check_quiet(worker, report)
        if report.growth_bytes > GROWTH_BYTES:
            report.faults.append(f"the worker has grown by {report.growth_bytes >> 20} MiB")
    return report


async def _attack(worker: WorkerProcess, random: Random, n_requests: int, report: Report) -> None:
    host, port = worker.address.removeprefix("http://").split(":")
    address = (host, int(port))
    weights = [weight for _, _, weight in CLIENTS]
    kinds = random.choices(CLIENTS, weights, k=n_requests)

    async def lane(number: int) -> None:
        own = Random(random.random() + number)
        while kinds:
            name, client, _ = kinds.pop()
            report.requests[name] += 1
            try:
                fault = await client(address, own)
            except (OSError, TimeoutError) as error:
                fault = f"{type(error).__name__}: {error}"
            if fault is not None:
                report.faults.append(f"{name}: {fault}")

    await asyncio.gather(*(lane(number) for number in range(AT_ONCE)))


def _schemathesis(worker: WorkerProcess, n_requests: int, seed: int, report: Report) -> None:
    """Hold the worker to its own document, in a process of its own. Its examples are per operation."""
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "report.json")
        thorough = n_requests > _COVERAGE
        phases = "coverage,fuzzing" if thorough else "fuzzing"
        per_operation = max(2, (n_requests - _COVERAGE * thorough) // _OPERATIONS)
        run = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", f"{worker.address}/openapi.json"),
                *("-H", f"Authorization: Bearer {KEY}", "-H", f"x-api-key: {KEY}", "--url", worker.address),
                *("--phases", phases, "-n", str(per_operation), "--seed", str(seed), "--continue-on-failure"),
                *("--exclude-checks", "positive_data_acceptance", "--suppress-health-check", "all", "--no-shrink"),
                *("--request-timeout", "90", "--report", "json"),
                *("--report-json-path", str(found)),
            ],
            capture_output=True,
            text=True,
            cwd=folder,
            check=False,
        )
        counted = re.search(r"(\d+) generated", run.stdout)
        report.requests["schemathesis"] += int(counted[1]) if counted else 0
        # Its own random keys would only knock at the door.
        if run.returncode or "Authentication failed" in run.stdout or not counted:
            report.faults.append(f"schemathesis: {run.stdout[-6000:]}{run.stderr[-2000:]}")


class Witness:
    """Somebody well-behaved, reading a stream over and over; its text is known, whoever else is served."""

    def __init__(self, worker: WorkerProcess, report: Report) -> None:
        self._address = worker.address
        self._report = report
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="witness")

    def __enter__(self) -> Witness:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _read_on(self) -> None:
        asked = {
            "model": MODEL_ID,
            "messages": [{"role": "user", "content": "Go on."}],
            "choice": [SENTENCE],
            "fast_forward": False,
            "stream": True,
        }
        with httpx2.Client(base_url=self._address, headers=_HEADERS, timeout=WITNESS_DEADLINE_S) as client:
            while not self._over.is_set():
                try:
                    self._read_once(client, asked)
                except httpx2.HTTPError as error:
                    self._report.faults.append(f"the witness was cut off: {type(error).__name__}: {error}")
                    return

    def _read_once(self, client: httpx2.Client, asked: dict[str, object]) -> None:
        with client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            if answer.status_code == 429:
                self._over.wait(min(1.0, float(answer.headers["Retry-After"])))
                return
            text, last = "", time.monotonic()
            for line in answer.iter_lines():
                if line.startswith("data: {"):
                    now = time.monotonic()
                    self._report.longest_gap_s = max(self._report.longest_gap_s, now - last)
                    last = now
                    choices = json.loads(line[6:]).get("choices", [])
                    text += "".join(choice["delta"].get("content") or "" for choice in choices)
        if text == SENTENCE:
            self._report.witnessed += 1
        else:
            self._report.faults.append(f"the witness read {text!r}, status {answer.status_code}")


def _check_quiet(worker: WorkerProcess, report: Report) -> None:
    """Nothing runs, and no cell of the cache is left once the idle prefixes are forgotten."""
    with httpx2.Client(base_url=worker.address, headers=_HEADERS, timeout=30) as client:
        deadline = time.monotonic() + 60
        while (busy := _gauges(client, "active_sequences", "waiting_sequences", "answers_open")) != [0, 0, 0]:
            if time.monotonic() > deadline:
                report.faults.append(f"still at work: {busy}")
                return
            time.sleep(0.1)
        client.post("/cache/drop").raise_for_status()
        left = _gauges(client, "kv_cells_used", "idle_prefixes")
        if left != [0, 0]:
            report.faults.append(f"left in the cache: {left}")


def _gauges(client: httpx2.Client, *names: str) -> list[float]:
    lines = dict(re.findall(r"^gatehouse_(\w+) (\S+)$", client.get("/metrics").text, re.MULTILINE))
    return [float(lines[name]) for name in names]
