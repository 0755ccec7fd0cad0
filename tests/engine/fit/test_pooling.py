"""Plans of models that pool against what llama.cpp sets aside once a full batch was computed."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.fit.fit import fit
from engine.fit.plan import Plan, Wish
from engine.gguf.split import read_model
from engine.records import to_plain
from tests.engine.fit.machines import GIB, machine
from tests.made_embedding import EMBEDDING_RECIPES, RERANK_RECIPES, make_embedding

pytestmark = pytest.mark.native

ROOT = Path(__file__).parents[3]
RECIPES = EMBEDDING_RECIPES | RERANK_RECIPES
_ROUNDED_BYTES = 0.011 * (1 << 20)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_plan_holds_for_a_full_batch(name: str, tmp_path: Path) -> None:
    model = make_embedding(RECIPES[name], tmp_path / f"{name}.gguf")
    plan = fit(model, Wish(), machine(4 * GIB))
    assert isinstance(plan, Plan)
    plan = dataclasses.replace(plan, threads=1)
    child = subprocess.run(
        [sys.executable, "-m", "tests.engine.fit.pooled"],
        input=json.dumps(to_plain(plan)) + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=ROOT,
    )
    assert child.returncode == 0, child.stderr[-1_500:]
    told = json.loads(child.stdout)
    (host,) = plan.devices
    assert abs(host.compute_bytes - told["compute_bytes"] - told["output_bytes"]) <= 2 * _ROUNDED_BYTES
    assert abs(host.kv_bytes - told["kv_bytes"]) <= _ROUNDED_BYTES


def test_a_text_of_the_whole_context_fits_an_encoders_batch(tmp_path: Path) -> None:
    model = make_embedding(EMBEDDING_RECIPES["cls"], tmp_path / "cls.gguf")
    plan = fit(model, Wish(), machine(4 * GIB))
    assert isinstance(plan, Plan)
    assert plan.n_ubatch == read_model(model).n_ctx_train
