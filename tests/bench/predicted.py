"""Predicted and measured speeds, model by model: how often what was measured lies in the band that is shown.

Every model is planned for as the product does it, loaded in a real worker, and asked over HTTP: 128 tokens to decode,
512 fresh ones to prefill, round after round. Three bands are judged. *Own*: after three answers of the same model, for
the rest of its rounds. *Foreign*: for a model never run here, corrected by what the others reached. *First*: before
anything was run on this machine. A busy machine makes all of them look worse.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.fit.calibration import WIDEST, calibrate
from engine.fit.experience import Experience, SpeedSample
from engine.fit.fit import fit
from engine.fit.plan import Band, Plan, Speed, Wish
from engine.hardware.detect import detect
from engine.hardware.profile import Machine
from engine.worker.spec import WorkerSpec
from engine.worker.supervisor import Supervisor
from tests.bench.decode import MODEL, PROMPT_TOKENS, WRITTEN_TOKENS, Client, fresh_prompt
from tests.bench.table import Row
from tests.fetched_models import folder as fetched_folder
from tests.made_models import make_moe

ROUNDS = 9
LEARNING = 3
"""Rounds before the own band is judged: as many answers as a person has had after a minute."""
GOAL = 0.8


@dataclass(frozen=True, slots=True)
class Measured:
    """One model's rounds, beside what was predicted without any correction."""

    name: str
    raw: Speed
    decode: tuple[float, ...]
    prefill: tuple[float, ...]

    def samples(self, rounds: slice) -> tuple[SpeedSample, ...]:
        """As the product keeps them."""
        return tuple(
            SpeedSample(
                self.name,
                "host",
                decode / self.raw.decode_tok_s.likely,
                prefill / self.raw.prefill_tok_s.likely,
                self.raw.basis,
            )
            for decode, prefill in zip(self.decode[rounds], self.prefill[rounds], strict=True)
        )

    def inside(self, shown: Speed, rounds: slice) -> tuple[int, int]:
        """(measurements in the bands, all of them)."""
        pairs = [(shown.decode_tok_s, speed) for speed in self.decode[rounds]]
        pairs += [(shown.prefill_tok_s, speed) for speed in self.prefill[rounds]]
        return sum(_holds(band, speed) for band, speed in pairs), len(pairs)


def _holds(band: Band, speed: float) -> bool:
    return band.low <= speed <= band.high


async def _measure(plan: Plan, rounds: int) -> Measured:
    supervisor = Supervisor(WorkerSpec(plan, plan.model_path.stem, "127.0.0.1", 0, (), os.getpid()))
    supervisor.start()
    try:
        ready = await supervisor.ready()
        client = Client(ready.address, supervisor.token or "")
        decode, prefill = await asyncio.to_thread(_ask, client, rounds)
    finally:
        await supervisor.stop()
    assert plan.speed is not None
    return Measured(plan.model_path.name, plan.speed, tuple(decode), tuple(prefill))


def _ask(client: Client, rounds: int) -> tuple[list[float], list[float]]:
    client.complete(fresh_prompt(PROMPT_TOKENS, 2_000), 16)
    decode = []
    prefill = []
    for mark in range(rounds):
        decode.append(client.complete(fresh_prompt(4, 1_000 + mark), WRITTEN_TOKENS + 1).decode_tok_s)
        asked = client.complete(fresh_prompt(PROMPT_TOKENS, mark), 1)
        prefill.append(asked.prompt_tokens / asked.first_token_s)
    return decode, prefill


def judge(found: Sequence[Measured]) -> list[Row]:
    """The shares of measurements in both bands, the width of the widest, and the figures of each model."""
    own = [0, 0]
    foreign = [0, 0]
    first = [0, 0]
    widest = 0.0
    rows = []
    for one in found:
        mine = calibrate(one.raw, one.name, "host", Experience(one.samples(slice(LEARNING))))
        others = [sample for other in found if other is not one for sample in other.samples(slice(LEARNING))]
        theirs = calibrate(one.raw, one.name, "host", Experience(tuple(others)))
        for tally, shown, rounds in (
            (own, mine, slice(LEARNING, None)),
            (foreign, theirs, slice(None)),
            (first, one.raw, slice(None)),
        ):
            inside, cases = one.inside(shown, rounds)
            tally[0] += inside
            tally[1] += cases
        widest = max(widest, *(_width(speed) for speed in (mine.decode_tok_s, mine.prefill_tok_s)))
        rows += _of_model(one, mine)
    share_own, share_foreign, share_first = (inside / max(1, cases) for inside, cases in (own, foreign, first))
    how = f"{len(found)} models, decode and prefill; {own[1]} and {foreign[1]} cases"
    return [
        Row("Speeds in the band shown after three answers", share_own, "", None, f"≥ {GOAL}", share_own >= GOAL, how),
        Row(
            "Speeds in the band shown for a model never run",
            share_foreign,
            "",
            None,
            f"≥ {GOAL}",
            share_foreign >= GOAL,
            how,
        ),
        Row(
            "Speeds in the band shown before anything was run",
            share_first,
            "",
            None,
            f"≥ {GOAL}",
            share_first >= GOAL,
            how,
        ),
        Row("Widest band, to either side", widest, "", None, f"≤ {WIDEST}", widest <= WIDEST * 1.001, how),
        *rows,
    ]


def _of_model(one: Measured, shown: Speed) -> list[Row]:
    rows = []
    for what, band, raw, speeds in (
        ("Decode", shown.decode_tok_s, one.raw.decode_tok_s, one.decode),
        ("Prefill", shown.prefill_tok_s, one.raw.prefill_tok_s, one.prefill),
    ):
        typical = sorted(speeds)[len(speeds) // 2]
        note = f"predicted before any run {raw.likely:,.0f}, after three {band.low:,.0f} to {band.high:,.0f}"
        rows.append(Row(f"{what} of {one.name}", typical, "tok/s", None, "in the band", _holds(band, typical), note))
    return rows


def _width(band: Band) -> float:
    return (band.high - band.likely) / band.likely


def models(folder: Path) -> list[Path]:
    """The starter, a made mixture of experts, and the larger ones where ``make test-models`` has fetched them."""
    fetched = sorted(fetched_folder().glob("*.gguf"))
    return [MODEL, make_moe(folder / "SmolLM2-4x135M-Q4_1.gguf"), *fetched]


def plan_model(path: Path, machine: Machine) -> Plan:
    """For one person, without what was measured earlier. Raises ``RuntimeError`` when it does not fit."""
    plan = fit(path, Wish(n_ctx=2048, sessions=1), machine)
    if not isinstance(plan, Plan):
        raise RuntimeError(plan.sentence)
    return plan


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Run the rounds; takes some minutes on two processors."""
    with tempfile.TemporaryDirectory() as folder:
        machine = detect(Path(folder), Path(folder))
        found = []
        for path in models(Path(folder)):
            sys.stderr.write(f"  {path.name}\n")
            found.append(asyncio.run(_measure(plan_model(path, machine), rounds)))
        return judge(found)
