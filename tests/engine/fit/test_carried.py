"""Plans that came with a model from another machine, held against this one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.fit.carried import judge_carried, write_plan
from engine.fit.fit import fit
from engine.fit.plan import Plan, Wish
from tests.engine.fit.machines import GIB, MIB, machine

pytestmark = pytest.mark.native


@pytest.fixture
def carried(tiny_model: Path) -> str:
    plan = fit(tiny_model, Wish(n_ctx=2_048, sessions=2, kv_type="f16"), machine(4 * GIB))
    assert isinstance(plan, Plan)
    return write_plan(plan)


def test_no_path_of_the_other_machine_travels(carried: str, tiny_model: Path) -> None:
    assert json.loads(carried)["model_path"] == tiny_model.name
    assert str(tiny_model.parent) not in carried


def test_a_plan_holds_where_there_is_room(carried: str, tiny_model: Path) -> None:
    verdict = judge_carried(carried, tiny_model, machine(2 * GIB))
    assert verdict.holds
    assert "2,048 tokens of context) holds here" in verdict.sentence


def test_a_plan_does_not_hold_where_there_is_none(carried: str, tiny_model: Path) -> None:
    verdict = judge_carried(carried, tiny_model, machine(386 * MIB))
    assert not verdict.holds
    assert "does not hold here" in verdict.sentence


def test_a_plan_of_another_file_is_told_as_such(carried: str, starter: Path) -> None:
    verdict = judge_carried(carried, starter, machine(2 * GIB))
    assert not verdict.holds
    assert "is of another file" in verdict.sentence


@pytest.mark.parametrize("text", ["", "[]", '{"n_ctx": 1e9}', "{" * 10_000, '"' + "x" * 2_000_000 + '"'])
def test_a_damaged_plan_is_named(text: str, tiny_model: Path) -> None:
    verdict = judge_carried(text, tiny_model, machine(2 * GIB))
    assert not verdict.holds
    assert "cannot be read" in verdict.sentence
