"""`make soak`: half an hour of careless clients on one worker, which must end with the same memory and no cell lost.

Sessions do at random what clients do: prompts and answers of all sizes, conversations, constraints, tools, several
choices, nonsense, hanging up in the middle, reading nothing. Every answer must be a 200 or a 4xx. At the end everything
is dropped: no KV cell may be left in use, and the process may not have grown. Prints what happened; exit code 0 only
when all of it held. ``soak_clients`` has the requests.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from engine.worker.spec import KeptStates, WorkerSpec
from engine.worker.supervisor import Supervisor
from tests.bench.decode import plan_for, threads_here
from tests.bench.serving_client import Target, ask_plainly
from tests.made_models import STARTER, TINY_LLAMA, make_tiny
from tests.soak_clients import Fault, act

_MIB = 1 << 20
_LOOK_S = 5.0
_SETTLED_RATIO = 1 / 3
"""After this part of the time every buffer has had its size once; growth is counted from there on."""
_GROWTH_MIB = 24.0
"""What the allocator may keep on top, and a twentieth of the process."""
_DRAIN_S = 120.0
_GAUGES = ("gatehouse_waiting_sequences", "gatehouse_active_sequences", "gatehouse_answers_open")


@dataclass(frozen=True, slots=True)
class Options:
    """The command line."""

    minutes: float
    sessions: int
    model: Path
    threads: int
    seed: int


@dataclass(slots=True)
class Seen:
    """What a run brought."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds since the start, MiB of the worker's process."""
    cells_left: int = -1
    steps: int = 0

    @property
    def settled(self) -> list[tuple[float, float]]:
        """The samples after everything has had its size once."""
        last = self.memory[-1][0] if self.memory else 0.0
        return [sample for sample in self.memory if sample[0] >= last * _SETTLED_RATIO]

    @property
    def slope_mib_h(self) -> float:
        """Least squares over the settled samples."""
        samples = self.settled
        mean_x = sum(x for x, _ in samples) / len(samples)
        mean_y = sum(y for _, y in samples) / len(samples)
        spread = sum((x - mean_x) ** 2 for x, _ in samples)
        return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0

    @property
    def growth_mib(self) -> float:
        """From the first third of the settled samples to the last third, by their medians."""
        sizes = [size for _, size in self.settled]
        third = max(1, len(sizes) // 3)
        return _median(sizes[-third:]) - _median(sizes[:third])

    def verdicts(self) -> list[tuple[str, bool]]:
        """Each promise with whether it held."""
        size = self.memory[-1][1]
        limit = _GROWTH_MIB + size / 20
        growth = f"resident {size:.0f} MiB at the end, grown by {self.growth_mib:+.1f} MiB since it had settled"
        return [
            (f"{len(self.faults)} answers that should not be", not self.faults),
            (f"{self.cells_left} KV cells in use when everybody had gone", self.cells_left == 0),
            (f"{growth} (limit {limit:.0f}), slope {self.slope_mib_h:+.1f} MiB/h", self.growth_mib <= limit),
        ]


async def soak(options: Options) -> Seen:
    """Run it all."""
    seen = Seen()
    plan = plan_for(options.model, options.threads, sessions=max(4, options.sessions // 2), n_ctx=8192)
    plan = dataclasses.replace(plan, n_batch=512, n_ubatch=512)
    with tempfile.TemporaryDirectory(prefix="gatehouse-soak-") as folder:
        kept = KeptStates(Path(folder), 256 * _MIB, secrets.token_hex(32), idle_s=2.0)
        spec = WorkerSpec(plan, "soak", "127.0.0.1", 0, (), os.getpid(), queue_limit=8, kept_states=kept)
        supervisor = Supervisor(spec)
        supervisor.start()
        try:
            ready = await supervisor.ready()
            target = Target(ready.address, supervisor.token or "")
            await _run(options, target, ready.pid, seen)
            if supervisor.pid != ready.pid:
                seen.faults.append(f"the worker died: {supervisor.log_lines()[-20:]}")
        finally:
            await supervisor.stop()
    return seen


async def _run(options: Options, target: Target, pid: int, seen: Seen) -> None:
    began = time.monotonic()
    ends = began + options.minutes * 60

    async def session(number: int) -> None:
        chance = random.Random(f"{options.seed}/{number}")
        while time.monotonic() < ends:
            try:
                seen.outcomes[await act(target, chance, f"session-{number}")] += 1
            except Fault as fault:
                seen.faults.append(str(fault))
            except OSError as error:
                seen.faults.append(f"the worker could not be reached: {error!r}")
                return

    async def look() -> None:
        process = psutil.Process(pid)
        while True:
            seen.memory.append((time.monotonic() - began, process.memory_info().rss / _MIB))
            await asyncio.sleep(min(_LOOK_S, options.minutes * 60 / 60))

    looking = asyncio.create_task(look())
    try:
        await asyncio.gather(*(session(number) for number in range(options.sessions)))
    finally:
        looking.cancel()
    await _drain(target, seen)


async def _drain(target: Target, seen: Seen) -> None:
    """Wait until nobody is served any more, drop all prefixes, and count what is left."""
    deadline = time.monotonic() + _DRAIN_S
    while any(value for name, value in (await _metrics(target)).items() if name in _GAUGES):
        if time.monotonic() > deadline:
            seen.faults.append(f"still at work after {_DRAIN_S:.0f} s: {await _metrics(target)}")
            break
        await asyncio.sleep(0.05)
    await ask_plainly(target, "/cache/drop", {})
    left = await _metrics(target)
    seen.cells_left, seen.steps = int(left["gatehouse_kv_cells_used"]), int(left["gatehouse_steps_total"])


async def _metrics(target: Target) -> dict[str, float]:
    lines = (await ask_plainly(target, "/metrics")).decode().splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[:1] not in ("", "#"))}


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def report(seen: Seen) -> str:
    """What happened, for people."""
    lines = [f"{count:8,}  {what}" for what, count in sorted(seen.outcomes.items())]
    lines.append(f"{seen.steps:8,}  steps of the engine")
    lines += [f"fault: {fault[:400]}" for fault in seen.faults[:20]]
    lines += [f"{'held' if held else 'BROKEN'}: {what}" for what, held in seen.verdicts()]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """The command: 0 when every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak_serving", description="Soaks the worker.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tiny", action="store_true", help="a random model of 260 kB instead of the starter")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="gatehouse-soak-model-") as folder:
        model = make_tiny(TINY_LLAMA, Path(folder) / "tiny.gguf") if asked.tiny else STARTER
        seen = asyncio.run(soak(Options(asked.minutes, asked.sessions, model, threads_here(), asked.seed)))
    sys.stdout.write(f"{report(seen)}\n")
    return 0 if all(held for _, held in seen.verdicts()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
