"""Prompts that look hard and answers that are doubtful, each with its reason; and what policy leaves of that."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.gate.records import Tier
from app.providers.provider import Chunk
from app.routing import rules, thresholds
from app.routing.confidence import Confidence
from app.routing.decision import decide
from app.routing.features import features
from app.routing.rules import Reason
from app.routing.thresholds import RANGES, Thresholds
from app.routing.watch import AnswerWatch
from app.settings import Settings

LIMITS = Thresholds()
CODE = "```python\n" + "\n".join(f"value_{n} = compute({n})" for n in range(30)) + "\n```"


@pytest.mark.parametrize(
    ("text", "tier", "word"),
    [
        ("What is the capital of France?", "local", ""),
        ("Thanks! Tell me a joke.", "local", ""),
        ("Translate “good morning” to German.", "local", ""),
        ("word " * 400, "larger", "long"),
        (f"What does this print?\n{CODE}", "larger", "lines of code"),
        (
            "Prove that $a^2+b^2=c^2$ and give the derivative of the polynomial x^3, then the integral.",
            "larger",
            "math",
        ),
        (
            "It must be in JSON, at most 80 words, without adjectives, exactly three sentences, and must not rhyme.",
            "larger",
            "conditions",
        ),
        ("Who is it? Where is it? Why is it so? When was it?", "larger", "questions"),
        (
            "Compare these designs step by step. The plan must handle retries, must be idempotent, at least two "
            "stores, without locks, exactly once, in JSON, at most 5 ms, and prove the equation for the variance of "
            "the probability.",
            "cloud",
            "conditions",
        ),
    ],
)
def test_prompts_by_their_features(text: str, tier: Tier, word: str) -> None:
    reasons = rules.of_prompt(features(text), LIMITS)
    assert rules.tier(reasons, LIMITS) == tier, reasons
    assert word in " ".join(reason.sentence for reason in reasons)


def test_thresholds_decide() -> None:
    text = "word " * 400
    assert rules.flag(rules.of_prompt(features(text), LIMITS), LIMITS) is not None
    patient = dataclasses.replace(LIMITS, long_words=500)
    assert rules.flag(rules.of_prompt(features(text), patient), patient) is None


def _watch(prompt: str = "Hello", prompt_tokens: int = 20, limits: Thresholds = LIMITS) -> AnswerWatch:
    return AnswerWatch(prompt, prompt_tokens, 1000, limits)


def _say(watch: AnswerWatch, chance: float, tokens: int, text: str = "x ") -> bool:
    changes = [watch.take(Chunk(text, logprobs=(math.log(chance),))) for _ in range(tokens)]
    return any(changes)


def test_an_unsure_answer_is_flagged_while_it_is_written_and_a_sure_one_is_not() -> None:
    sure, unsure = _watch(), _watch()
    assert (_say(sure, 0.9, 100), sure.flag) == (False, None)
    assert not _say(unsure, 0.2, 23)
    assert _say(unsure, 0.2, 20)
    assert unsure.flag is not None
    assert unsure.flag.tier == "larger"
    assert "20%" in unsure.flag.reasons[0]
    assert not _say(unsure, 0.2, 100), "said once"


def test_one_doubtful_place_in_a_sure_answer_shows() -> None:
    watch = _watch()
    assert not _say(watch, 0.95, 300)
    _say(watch, 0.1, 48)
    assert watch.flag is not None
    assert "in one place" in watch.flag.reasons[0]


@pytest.mark.parametrize(
    ("text", "refuses"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("As an AI language model, I do not have access to the internet.", True),
        ("Es tut mir leid, das weiß ich nicht.", True),
        ("I can help you with that: first, open the file.", False),
        ("You cannot divide by zero.", False),
    ],
)
def test_refusals(text: str, refuses: bool) -> None:
    watch = _watch()
    watch.take(Chunk(text))
    watch.take(Chunk(finish_reason="stop"))
    assert (watch.flag is not None) is refuses


def test_a_cut_answer_and_a_full_context_are_flagged() -> None:
    watch = _watch(prompt_tokens=800)
    assert watch.flag is not None
    assert "80%" in watch.flag.reasons[0]
    assert watch.take(Chunk(finish_reason="length"))
    assert watch.flag.tier == "cloud"
    assert any("cut off" in reason for reason in watch.flag.reasons)


def test_documents_beyond_the_context_ask_for_the_cloud() -> None:
    watch = AnswerWatch("Sum up.", 500, 1000, LIMITS, attached_tokens=12_000)
    assert watch.flag is not None
    assert watch.flag.tier == "cloud"
    assert "12,000" in watch.flag.reasons[0]


@given(st.lists(st.floats(), max_size=200))
def test_confidence_stays_a_chance(logprobs: list[float]) -> None:
    confidence = Confidence(16)
    for logprob in logprobs:
        confidence.take(logprob)
    assert 0.0 <= confidence.mean_chance <= 1.0
    assert 0.0 <= confidence.worst_chance <= 1.0


def test_the_worst_stretch_is_found_wherever_it_is() -> None:
    confidence = Confidence(4)
    for chance in [0.9] * 10 + [0.1] * 4 + [0.9] * 10:
        confidence.take(math.log(chance))
    assert confidence.worst_chance == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("points", "forbidden", "tier"),
    [
        (0, (), "local"),
        (4, (), "cloud"),
        (4, ("cloud",), "larger"),
        (4, ("cloud", "larger"), "local"),
        (2, ("cloud",), "larger"),
        (2, ("larger",), "local"),
    ],
)
def test_policy_after_difficulty_never_goes_up(points: int, forbidden: tuple[Tier, ...], tier: Tier) -> None:
    routed = decide((Reason(points, "It is hard."),), {name: f"No {name}." for name in forbidden}, LIMITS)
    assert routed.tier == tier
    assert dict(routed.forbidden) == {name: f"No {name}." for name in forbidden}
    lowered = points > 0 and tier != ("cloud" if points >= 4 else "larger")
    assert any("cannot be used here" in reason for reason in routed.reasons) is lowered


def test_thresholds_are_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"routing": {"long_words": 80, "mean_chance": 7, "questions": True, "x": 1}}), "utf-8")
    settings = Settings(path)
    assert settings.values.routing == Thresholds(long_words=80)
    settings.update(temperature=0.1)
    assert Settings(path).values.routing == Thresholds(long_words=80)


def test_every_threshold_has_a_range_that_holds_its_default() -> None:
    assert set(RANGES) == {field.name for field in dataclasses.fields(Thresholds)}
    assert thresholds.read(dataclasses.asdict(LIMITS)) == LIMITS
