"""The one decision: what forbids, whatever else would allow."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gate.label import GateMode, Label, strictest
from app.gate.offline import OFFLINE_VARIABLE
from app.gate.policy import Facts, judge
from app.gate.records import Budget, Provider

CLOUD = Provider(
    "p", "Nimbus", "https://api.example.com/v1", "m", n_ctx=1000, input_usd_per_mtok=1, output_usd_per_mtok=1
)
GOOD = Facts(
    Label.INTERNAL,
    GateMode.ASK,
    offline=False,
    has_provider=True,
    provider=CLOUD,
    prompt_tokens=100,
    max_tokens=100,
    cost_usd_at_most=0.01,
    budget=Budget(1.0, 10.0, 0.5, 0.5),
    leaks=(),
)


def test_good_facts_are_allowed() -> None:
    assert judge(GOOD).allowed


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"label": Label.RESTRICTED}, "restricted"),
        ({"mode": GateMode.LOCAL}, "local_only"),
        ({"offline": True}, "offline"),
        ({"has_provider": False}, "no_provider"),
        ({"with_sheet": False}, "needs_sheet"),
        ({"leaks": ("IBAN",)}, "leak"),
        ({"prompt_tokens": 1000}, "context_overflow"),
        ({"cost_usd_at_most": 0.6}, "budget"),
        ({"cost_usd_at_most": None}, "no_price"),
    ],
)
def test_each_fact_forbids_by_itself_and_says_so(changes: dict[str, object], code: str) -> None:
    verdict = judge(replace(GOOD, **changes))  # type: ignore[arg-type]
    assert (verdict.allowed, verdict.code) == (False, code)
    assert verdict.sentence.endswith(".")


def test_offline_by_the_environment_is_told_as_such() -> None:
    assert "Set-up has the switch" in judge(replace(GOOD, offline=True)).hint
    forced = judge(replace(GOOD, offline=True, offline_forced=True)).hint
    assert OFFLINE_VARIABLE in forced
    assert "Set-up" not in forced


@given(
    mode=st.sampled_from(GateMode),
    offline=st.booleans(),
    with_sheet=st.booleans(),
    leaks=st.sampled_from([None, (), ("IBAN",)]),
    trust=st.sampled_from(["cloud", "team"]),
)
def test_restricted_never_leaves_whatever_else_is_set(
    mode: GateMode, offline: bool, with_sheet: bool, leaks: tuple[str, ...] | None, trust: str
) -> None:
    provider = replace(CLOUD, trust=trust)  # type: ignore[arg-type]
    facts = Facts(Label.RESTRICTED, mode, offline, True, provider, with_sheet, leaks=leaks)
    assert judge(facts).code == "restricted"


def test_only_open_and_at_most_internal_goes_to_the_cloud_unseen() -> None:
    allowed = [
        (mode, label, trust)
        for mode, label, trust in itertools.product(GateMode, Label, ("cloud", "team"))
        if judge(replace(GOOD, mode=mode, label=label, with_sheet=False, provider=replace(CLOUD, trust=trust))).allowed  # type: ignore[arg-type]
    ]
    unseen = [(GateMode.OPEN, label, trust) for label in (Label.PUBLIC, Label.INTERNAL) for trust in ("cloud", "team")]
    assert sorted(allowed) == sorted([*unseen, (GateMode.OPEN, Label.CONFIDENTIAL, "team")])


def test_what_is_not_known_yet_forbids_nothing_and_more_facts_never_allow_more() -> None:
    early = Facts(Label.INTERNAL, GateMode.ASK, offline=False, has_provider=True)
    assert judge(early).allowed
    for changes in ({"label": Label.RESTRICTED}, {"mode": GateMode.LOCAL}, {"offline": True}):
        assert not judge(replace(early, **changes)).allowed
        assert not judge(replace(GOOD, **changes)).allowed


@given(st.lists(st.sampled_from(Label)))
def test_the_strictest_is_as_strict_as_each(labels: list[Label]) -> None:
    found = strictest(labels)
    assert all(found.rank >= label.rank for label in labels)
    assert found in labels or not labels
