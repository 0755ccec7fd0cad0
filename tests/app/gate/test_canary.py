"""The short form of `tests/bench/gate_canary.py`: what is planted under *restricted* reaches nobody."""

import dataclasses
import json
import random
from collections import Counter

import pytest

from app.gate.leaks import LeakFinder
from tests.app.gate.encodings import ENCODINGS
from tests.bench import gate_canary
from tests.cloud_double import Seen


def test_the_bench_would_notice() -> None:
    finder = LeakFinder({}, [gate_canary.STEM])
    for wrap in ENCODINGS.values():
        body = json.dumps({"messages": [{"role": "user", "content": wrap(f"{gate_canary.STEM} 7")}]})
        request = Seen("POST", "/v1/chat/completions", {}, body)
        assert finder.find(json.dumps(dataclasses.asdict(request)).encode())


def test_every_way_is_tried() -> None:
    draw = random.Random(1)
    cases = [gate_canary.case(number, draw) for number in range(2_000)]

    assert {one.protection for one in cases} == {*gate_canary.PROTECTIONS, "none"}
    assert {one.holder for one in cases} == set(gate_canary.HOLDERS)
    assert {one.encoding for one in cases} == set(ENCODINGS)


@pytest.mark.slow
def test_nothing_planted_leaves_and_everything_else_arrives() -> None:
    tally = gate_canary.run(60, seed=11)

    assert tally.leaked == ()
    assert tally.arrived == tally.controls == 6
    assert isinstance(tally.refused, Counter)
    assert tally.refused["restricted"] > 20
    assert tally.sent + sum(tally.refused.values()) == 60
