"""Whether a plan that came with a model from another machine holds here. Blocking for the second that planning takes.

A bundle is a stranger's file: its plan is read within bounds, held against the header of the file that arrived, and
never loaded by. Carrying models is ``engine.hub.bundle``'s.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.errors import ModelFileError
from engine.fit.facts import facts_of
from engine.fit.fit import fit_header
from engine.fit.plan import Misfit, Plan, Wish
from engine.fit.reasons import size_words
from engine.gguf.split import read_model
from engine.hardware.profile import Machine
from engine.records import RecordFault, from_plain, read_object, to_plain

_LIMIT_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a carried plan is worth."""

    holds: bool
    sentence: str


def judge_carried(plan_json: str, path: Path, machine: Machine) -> Verdict:
    """Grant the same wish here: context, cache and sessions of the plan, on this machine's memory."""
    try:
        carried = from_plain(Plan, read_object(plan_json.encode(), _LIMIT_BYTES), "plan")
        header = read_model(path)
        weights = facts_of(header).weights
    except (RecordFault, ModelFileError) as error:
        return Verdict(False, f"The plan that came with it cannot be read: {error}")
    planned = sum(device.weights_bytes for device in carried.devices)
    if not weights.total <= planned <= weights.total + weights.tied.bytes + weights.everywhere.bytes * 16:
        sentence = f"The plan that came with it is of another file: it counts {size_words(planned)} of weights, "
        return Verdict(False, f"{sentence}this one has {size_words(weights.total)}.")
    wish = Wish(
        n_ctx=carried.n_ctx_each,
        kv_type=carried.kv_type,
        sessions=_sessions(carried),
        apart=not carried.kv_unified,
    )
    here = fit_header(header, wish, machine)
    told = f"The plan that came with it ({carried.n_ctx_each:,} tokens of context)"
    if isinstance(here, Misfit):
        return Verdict(False, f"{told} does not hold here. {here.sentence}")
    needed = size_words(sum(device.needed_bytes for device in here.devices))
    if here.n_ctx_each < min(carried.n_ctx_each, header.n_ctx_train):
        return Verdict(False, f"{told} does not hold here: {here.n_ctx_each:,} tokens do, in {needed}.")
    same = [device.kind for device in here.devices] == [device.kind for device in carried.devices]
    return Verdict(True, f"{told} holds here, in {needed}{'' if same else ', spread over other devices'}.")


def write_plan(plan: Plan) -> str:
    """As a bundle carries it, without the path on this machine."""
    return json.dumps(to_plain(plan) | {"model_path": plan.model_path.name})


def _sessions(plan: Plan) -> int:
    """What was wished, from the sequences that ``count_sequences`` makes of it."""
    if not plan.kv_unified:
        return plan.n_seq_max
    recurrent = any(device.recurrent_bytes for device in plan.devices)
    spare = 1 if recurrent else max(4, plan.n_seq_max // 2)
    return max(1, plan.n_seq_max - spare)
