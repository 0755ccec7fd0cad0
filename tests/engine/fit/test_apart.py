"""Users who each have an equal part of the context: what is planned, asked, refused and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.fit.carried import judge_carried, write_plan
from engine.fit.command import server_arguments
from engine.fit.concession import concessions
from engine.fit.facts import ModelFacts, facts_of
from engine.fit.fit import fit_facts, fit_header
from engine.fit.layers import LayerMemory
from engine.fit.plan import Misfit, Plan, Wish
from engine.gguf.header import Header
from engine.gguf.split import read_model
from engine.probe.records import ComputeQuestion
from tests.engine.fit.machines import GIB, MIB, card, machine
from tests.engine.fit.test_fit import FakeProbe


@pytest.fixture(scope="module")
def header(starter: Path) -> Header:
    return read_model(starter)


@pytest.fixture(scope="module")
def facts(header: Header) -> ModelFacts:
    return facts_of(header)


def _apart(users: int, n_ctx: int | None = None) -> Wish:
    return Wish(n_ctx=n_ctx, sessions=users, apart=True, kv_type="f16")


def _plan(facts: ModelFacts, wish: Wish, free_bytes: int = 64 * GIB) -> Plan:
    plan = fit_facts(facts, wish, machine(free_bytes))
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.parametrize(
    ("users", "wished", "each"),
    [
        (2, 512, 512),
        (3, 1_000, 1_024),
        (20, 4_096, 4_096),
        (64, 300, 512),
        (5, 50_000, 8_192),  # the model was trained on so much; that limits a part, not the whole
        (2, None, 8_192),
    ],
)
def test_each_user_has_a_part(users: int, wished: int | None, each: int, facts: ModelFacts) -> None:
    plan = _plan(facts, _apart(users, wished))
    assert not plan.kv_unified
    assert (plan.n_seq_max, plan.n_ctx_each, plan.n_ctx) == (users, each, users * each)
    assert plan.n_outputs_max > users
    # 30 layers, 192 elements each of keys and values, two bytes: the same sum as of one pool
    assert plan.devices[-1].kv_bytes == 30 * users * each * 2 * 192 * 2
    assert f"A context of {each:,} tokens for each of {users} users alone" in plan.reasons[0]


def test_without_a_context_wished_the_parts_are_as_large_as_fit(header: Header) -> None:
    plan = fit_header(header, _apart(20), machine(2 * GIB), probe=FakeProbe(header))
    assert isinstance(plan, Plan)
    assert 512 <= plan.n_ctx_each < 8_192
    assert plan.n_ctx % (256 * 20) == 0
    more = fit_header(header, _apart(20, plan.n_ctx_each + 256), machine(2 * GIB), probe=FakeProbe(header))
    assert isinstance(more, Misfit)


def test_a_misfit_counts_for_each_user(header: Header) -> None:
    misfit = fit_header(header, _apart(20, 8_192), machine(2 * GIB), probe=FakeProbe(header))
    assert isinstance(misfit, Misfit)
    assert misfit.offered_n_ctx is not None
    assert "with a context of 8,192 tokens for each of 20 users needs" in misfit.sentence
    assert misfit.hint == f"A context of {misfit.offered_n_ctx:,} tokens for each of 20 users fits."
    taken = fit_header(header, _apart(20, misfit.offered_n_ctx), machine(2 * GIB), probe=FakeProbe(header))
    assert isinstance(taken, Plan)
    none = fit_header(header, _apart(64, 8_192), machine(600 * MIB), probe=FakeProbe(header))
    assert isinstance(none, Misfit)
    assert "for each of 64 users fits: serve fewer users, close" in none.hint


def test_llama_cpp_is_asked_about_parts(header: Header) -> None:
    probe = FakeProbe(header)
    gpu = machine(16 * GIB, gpus=(card(8 * GIB),))
    plan = fit_header(header, _apart(6, 1_024), gpu, probe=probe)
    assert isinstance(plan, Plan)
    assert plan.n_gpu_layers == 31
    asked: ComputeQuestion = probe.asked[-1]
    assert (asked.kv_unified, asked.n_ctx, asked.n_seq_max) == (plan.kv_unified, plan.n_ctx, plan.n_seq_max)
    assert asked.n_outputs_max == plan.n_outputs_max
    assert asked.kv_unified is False
    arguments = server_arguments(plan)
    assert arguments[arguments.index("--ctx-size") + 1 :][:4] == ("6144", "--parallel", "6", "--no-kv-unified")


def _with_state(layers: tuple[LayerMemory, ...]) -> tuple[LayerMemory, ...]:
    return (replace(layers[0], state_elements=9_000), *layers[1:])


@pytest.mark.parametrize("kind", ["windowed", "recurrent", "vectors"])
def test_what_has_no_parts_is_shared_and_said(kind: str, facts: ModelFacts) -> None:
    memory = facts.memory
    odd = {
        "windowed": replace(facts, memory=replace(memory, window=512)),
        "recurrent": replace(facts, memory=replace(memory, layers=_with_state(memory.layers))),
        "vectors": replace(facts, whole_rows=512),
    }[kind]
    plan = _plan(odd, _apart(4, 2_048))
    assert plan.kv_unified
    assert plan == replace(_plan(odd, replace(_apart(4, 2_048), apart=False)), reasons=plan.reasons)
    (said,) = [reason for reason in plan.reasons if reason.startswith("4 users share one context of 2,048 tokens: ")]
    assert {"windowed": "512 tokens only", "recurrent": "running state", "vectors": "vectors"}[kind] in said


def test_giving_up_context_keeps_the_parts_even(facts: ModelFacts) -> None:
    plan = _plan(facts, _apart(3, 4_096))
    (way,) = [way for way in concessions(plan) if way.kind == "context"]
    assert "a context of 2,048 instead of 4,096 tokens for each of 3 users" in way.sentence
    assert way.wish(_apart(3, 4_096)).n_ctx == 2_048
    smaller = way.plan(plan)
    assert smaller is not None
    assert (smaller.n_ctx, smaller.n_ctx_each) == (3 * 2_048, 2_048)
    assert smaller.devices[-1].kv_bytes == plan.devices[-1].kv_bytes // 2


@pytest.mark.native
def test_a_carried_plan_is_judged_in_parts(header: Header, facts: ModelFacts) -> None:
    plan = _plan(facts, _apart(3, 1_024))
    verdict = judge_carried(write_plan(plan), header.path, machine(16 * GIB))
    assert verdict.holds
    assert "(1,024 tokens of context)" in verdict.sentence
