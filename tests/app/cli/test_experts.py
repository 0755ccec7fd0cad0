"""``gatehouse experts`` as another program would use it, with a made mixture of experts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import commands
from app.cli.experts import _read_counts, _same_beginning
from app.paths import resolve
from engine.errors import GatehouseError
from tests.made_models import make_moe

ROOT = Path(__file__).parents[3]


def test_answers_are_compared_by_their_beginning() -> None:
    assert _same_beginning("abcd", "abxd") == 0.5
    assert _same_beginning("abcd", "ab") == 0.5
    assert _same_beginning("", "") == 1.0


@pytest.mark.parametrize("text", ["a", "4,,x", "0", "99999"])
def test_nonsense_is_no_list_of_counts(text: str) -> None:
    with pytest.raises(GatehouseError, match="no list of numbers"):
        _read_counts(text)


@pytest.mark.native
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_command_counts_and_measures(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "models").mkdir(parents=True)
    (data / "settings.json").write_text('{"n_ctx": 512, "threads": 1}', "utf-8")
    make_moe(data / "models" / "Made-4x135M-Q4_1.gguf")
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("The capital of France is", "utf-8")
    options = ["--prompt-file", str(prompt), "--max-tokens", "8", "--counts", "4", "--json", "--data-dir", str(data)]
    done = subprocess.run(
        [sys.executable, "-m", "app", "experts", "made-4x", *options],
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    tokens = report["prompt_tokens"] + report["completion_tokens"] - 1
    assert (report["n_experts"], report["n_used"], report["tokens"]) == (4, 2, tokens)
    assert [sum(layer["counts"]) for layer in report["layers"][:-1]] == [tokens * 2] * 29
    assert report["cost"]["decode_tok_s"] > 0
    assert report["cost"]["decode_tok_s_watching"] > 0
    own, more = report["counts"]
    assert (own["n_expert_used"], more["n_expert_used"]) == (None, 4)
    # All experts are equal, so more of them change nothing but the speed.
    assert own["same_beginning"] == more["same_beginning"] == 1.0
    assert min(own["decode_tok_s"], more["decode_tok_s"]) > 0


@pytest.mark.native
def test_an_unknown_model_is_refused_as_by_every_command(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("A text.", "utf-8")
    with pytest.raises(GatehouseError, match="There is no model 'nobody'") as caught:
        commands.run(["experts", "nobody", "--prompt-file", str(text)], resolve(tmp_path / "data"))
    assert caught.value.code == "no_such_model"
