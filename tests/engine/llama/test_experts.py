"""Counting the routers' choices in a real worker, against routers that are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from engine.fit.routed import LayerRouting, RoutedExperts, hottest_count
from tests.engine.served import KEY, WorkerProcess, plan, serving
from tests.made_models import TINY_RECIPES, make_tiny

_PROMPT = list(range(300, 340))
_ANSWER = 9


def _ask(worker: WorkerProcess, path: str, **body: object) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {KEY}"}
    if not body:
        return httpx2.get(worker.address + path, headers=headers, timeout=120).json()  # type: ignore[no-any-return]
    return httpx2.post(worker.address + path, headers=headers, json=body, timeout=120).json()  # type: ignore[no-any-return]


def _complete(worker: WorkerProcess, prompt: list[int]) -> dict[str, Any]:
    return _ask(worker, "/v1/completions", prompt=prompt, max_tokens=_ANSWER, temperature=0, ignore_eos=True)


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_pick_is_counted_once_and_only_while_somebody_watches(moe_model: Path) -> None:
    with serving(plan=plan(model_path=moe_model)) as worker:
        assert _ask(worker, "/experts") == {
            "watching": False,
            "n_experts": 0,
            "n_used": 0,
            "tokens": 0,
            "hottest_share": 0.0,
            "never_used": 0,
            "layers": [],
        }
        unwatched = _complete(worker, _PROMPT)["choices"][0]["text"]
        assert _ask(worker, "/experts/watch", watching=True)["watching"]
        watched = _complete(worker, _PROMPT)["choices"][0]["text"]
        routed = _ask(worker, "/experts")
        _ask(worker, "/experts/watch", watching=False)
        _complete(worker, _PROMPT)
        after = _ask(worker, "/experts")
    assert watched == unwatched
    # The last token of an answer is not computed.
    tokens = len(_PROMPT) + _ANSWER - 1
    assert (routed["n_experts"], routed["n_used"], routed["tokens"]) == (4, 2, tokens)
    assert [layer["layer"] for layer in routed["layers"]] == list(range(30))
    assert {sum(layer["counts"]) for layer in routed["layers"][:-1]} == {tokens * 2}
    # Of the prompt the last layer computes only the row whose logits are wanted.
    assert sum(routed["layers"][-1]["counts"]) == _ANSWER * 2
    assert after == {**routed, "watching": False}


@pytest.mark.native
@pytest.mark.timeout(300)
def test_known_routers_give_known_counts(made_folder: Path) -> None:
    """Routers of gpt-oss have a bias; with nothing else it alone picks the experts 2 and 0."""
    recipe = TINY_RECIPES["windowed-experts"]
    model = make_tiny(
        recipe,
        made_folder / "tiny-known-router.gguf",
        fixed={"ffn_gate_inp.weight": (0.0,), "ffn_gate_inp.bias": (2.0, -1.0, 3.0, 0.0)},
    )
    with serving(plan=plan(model_path=model, n_ctx=512), watch_experts=True) as worker:
        _complete(worker, list(range(5, 15)))
        routed = _ask(worker, "/experts")
    tokens = 10 + _ANSWER - 1
    assert [layer["counts"] for layer in routed["layers"]] == [[tokens, 0, tokens, 0]] * 4
    assert routed["never_used"] == 2 * 4
    assert routed["layers"][0]["never_used"] == [1, 3]


@pytest.mark.native
@pytest.mark.timeout(300)
def test_a_dense_model_has_nothing_to_watch(tiny_model: Path) -> None:
    with serving(plan=plan(model_path=tiny_model, n_ctx=512)) as worker:
        assert "no mixture of experts" in _ask(worker, "/experts/watch", watching=True)["error"]["message"]
        assert "must be" in _ask(worker, "/experts/watch", watching="yes")["error"]["message"]
        assert _complete(worker, [5, 6, 7])["choices"]


def test_shares_of_a_layer() -> None:
    layer = LayerRouting(3, (6, 0, 3, 0, 1, 0, 0, 0, 0, 0, 0, 10))
    assert hottest_count(12) == 2
    assert layer.hottest_share == 0.8
    assert layer.never_used == (1, 3, 5, 6, 7, 8, 9, 10)
    assert sum(layer.shares) == pytest.approx(1.0)
    other = replace(layer, layer=4, counts=(5,) * 12)
    routed = RoutedExperts(True, 12, 2, 40, (layer, other))
    assert routed.hottest_share == pytest.approx((16 + 10) / 80)
    assert routed.never_used == 8
    assert RoutedExperts(True, 4, 2, 0, (LayerRouting(0, (0, 0)),)).hottest_share == 0.0
