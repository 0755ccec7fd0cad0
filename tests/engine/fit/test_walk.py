"""Machines of 8 to 128 GB, with and without a card, through the models that people ask about: what is true of each.

What is true is worked out here by hand, from the length of the file and the tokens' keys and values, with the margins
that a desktop needs; the planner must agree wherever the answer is not a matter of a few hundred megabytes.
"""

from __future__ import annotations

import pytest

from engine.fit.described import describe_machine
from engine.fit.fit import fit_facts
from engine.fit.plan import Misfit, Plan, Wish
from engine.fit.sketched import sketch_facts
from engine.hub.catalogue import CatalogueModel, load_catalogue

GIB = 1 << 30
CATALOGUE = load_catalogue()
CONTEXT = 4_096

MODELS = {
    "mixtral-8x7b": 28.4e9,
    "mixtral-8x22b": 85.6e9,
    "llama-3.3-70b": 42.5e9,
    "qwen2.5-32b": 19.9e9,
    "qwen3-30b-a3b": 18.6e9,
    "qwen3.6-35b-a3b": 22.1e9,
    "gpt-oss-20b": 12.1e9,
    "gpt-oss-120b": 63.4e9,
    "deepseek-v2-lite-chat": 10.4e9,
    "deepseek-v3": 404e9,
    "deepseek-r1": 405e9,
    "glm-4.7-flash": 16.97e9,
    "kimi-k2": 621e9,
}
"""At four bits: bytes of the file, as the catalogue's sources give them."""

MACHINES = {ram: (None, card) for ram, card in ((8, 6), (16, 8), (32, 16), (64, 24), (128, 24))}
"""GB of main memory, and of the card that usually goes with it."""


def _model(name: str) -> CatalogueModel:
    model = CATALOGUE.find(name)
    assert model is not None
    return model


def _answer(name: str, ram: int, card: int | None, **wish: object) -> Plan | Misfit:
    described = f"ram={ram}GiB,cpu=60GB/s" + (f",gpu={card}GiB:450GB/s" if card else "")
    model = _model(name)
    facts = sketch_facts(model, model.variant())
    return fit_facts(facts, Wish(n_ctx=CONTEXT, sessions=1, **wish), describe_machine(described))  # type: ignore[arg-type]


def _room(ram: int, card: int | None) -> float:
    """Bytes for a model: less the system's two gigabytes and the margins of both memories."""
    host = ram * GIB - 2 * GIB - min(max(ram * GIB / 16, 0.375 * GIB), 2 * GIB)
    if card is None:
        return host
    return host + card * GIB - 0.3 * GIB - min(max(card * GIB / 16, 0.25 * GIB), GIB)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("ram", MACHINES)
@pytest.mark.parametrize("with_card", [False, True])
def test_the_truth_about_a_model_on_a_machine(name: str, ram: int, with_card: bool) -> None:
    card = MACHINES[ram][1] if with_card else None
    size, room = MODELS[name], _room(ram, card)
    answer = _answer(name, ram, card)
    if room < size:
        assert isinstance(answer, Misfit)
        assert answer.needed_bytes > answer.free_bytes
        assert "missing" in answer.sentence
    elif room > size * 1.05 + 1.5e9:
        # Cache, buffers, and layers that do not divide evenly.
        assert isinstance(answer, Plan)
        assert answer.n_ctx == CONTEXT
        assert answer.speed is not None
        assert answer.reasons
    if isinstance(answer, Plan):
        weights = sum(device.weights_bytes for device in answer.devices)
        assert weights == pytest.approx(size, rel=0.005)
        for device in answer.devices:
            assert device.needed_bytes <= device.free_bytes


def test_mixtral_8x7b_needs_a_card_beside_32_gigabytes_or_64_alone() -> None:
    """28.4 GB at four bits: not on 16 GB, but on a card of 16 GB beside 32 GB."""
    assert isinstance(_answer("mixtral-8x7b", 16, None), Misfit)
    assert isinstance(_answer("mixtral-8x7b", 16, 8), Misfit)
    plan = _answer("mixtral-8x7b", 32, 16)
    assert isinstance(plan, Plan)
    assert plan.n_gpu_layers == 33
    # The attention of every layer is on the card, the experts of the last ones are not.
    assert plan.experts_in_ram == tuple(range(32 - len(plan.experts_in_ram), 32))
    assert 12 <= len(plan.experts_in_ram) <= 22
    assert plan.devices[-1].kv_bytes == 0
    assert any("stay in main memory" in reason for reason in plan.reasons)


def test_active_parameters_are_not_taken_for_memory() -> None:
    """Three billion active parameters of 30 still need 18.6 GB."""
    misfit = _answer("qwen3-30b-a3b", 16, None)
    assert isinstance(misfit, Misfit)
    assert misfit.needed_bytes > 18.5e9


def test_speed_follows_active_parameters() -> None:
    sparse, dense = _answer("qwen3-30b-a3b", 64, None), _answer("qwen2.5-32b", 64, None)
    assert isinstance(sparse, Plan)
    assert isinstance(dense, Plan)
    assert sparse.speed is not None
    assert dense.speed is not None
    assert sparse.speed.decode_tok_s.likely > 5 * dense.speed.decode_tok_s.likely


@pytest.mark.parametrize(
    ("name", "ram", "card", "tok_s"),
    [
        # Of others, in reference runs: Qwen3.6-35B-A3B on a 3060 with all experts in RAM 42; gpt-oss-120b with 8 GB
        # of VRAM 25; Qwen3-30B-A3B whole on a 3090 Ti 167; gpt-oss-20b whole on a 3060 64.
        ("qwen3.6-35b-a3b", "ram=64GiB,gpu=12GiB:360GB/s,cpu=45GB/s", 40, 42.3),
        ("gpt-oss-120b", "ram=96GiB,gpu=8GiB:450GB/s,cpu=75GB/s", 36, 25.0),
        ("qwen3-30b-a3b", "ram=64GiB,gpu=24GiB:1008GB/s,cpu=50GB/s", None, 167.0),
        ("gpt-oss-20b", "ram=32GiB,gpu=16GiB:360GB/s,cpu=50GB/s", None, 64.0),
    ],
)
def test_predictions_hold_against_what_others_measured(name: str, ram: str, card: int | None, tok_s: float) -> None:
    model = _model(name)
    wish = Wish(n_ctx=CONTEXT, sessions=1, experts_in_ram=card)
    plan = fit_facts(sketch_facts(model, model.variant()), wish, describe_machine(ram))
    assert isinstance(plan, Plan)
    assert plan.speed is not None
    band = plan.speed.decode_tok_s
    assert band.low <= tok_s <= band.high


def test_experts_in_ram_are_pointless_for_many() -> None:
    model = _model("qwen3.6-35b-a3b")
    wish = Wish(n_ctx=CONTEXT, sessions=8)
    plan = fit_facts(sketch_facts(model, model.variant()), wish, describe_machine("ram=64GiB,gpu=12GiB:360GB/s"))
    assert isinstance(plan, Plan)
    said = [reason for reason in plan.reasons if "hardly faster than one after the other" in reason]
    assert said
    assert said[0].startswith("8 sessions at once read 7.2 times the experts")
