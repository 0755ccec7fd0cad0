"""``gatehouse route``, ``gate preview`` and ``chat --gate`` as other programs would use them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloud_double import CloudDouble

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
IBAN = "DE89370400440532013000"
PROMPT = f"Pay {IBAN}."


def _run(folder: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", "--data-dir", str(folder), *arguments],
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def cloud() -> Iterator[CloudDouble]:
    with CloudDouble() as double:
        yield double


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cloud: CloudDouble) -> Path:
    made = tmp_path_factory.mktemp("data")
    (made / "settings.json").write_text('{"n_ctx": 512, "max_tokens": 24}', "utf-8")
    added = _run(made, "providers", "add", "Nimbus", cloud.base_url, "good", "--no-key")
    assert added.returncode == 0, added.stderr
    return made


def test_route_prints_tier_reasons_and_what_is_forbidden(folder: Path) -> None:
    hard = "It must be in JSON, at most 80 words, without adjectives, exactly three sentences, and must not rhyme."
    done = _run(folder, "route", hard, "--json")
    told = json.loads(done.stdout)
    assert set(told) == {"tier", "reasons", "forbidden"}
    assert any("conditions" in reason for reason in told["reasons"])
    assert "local only" in told["forbidden"]["cloud"]
    open_told = json.loads(_run(folder, "route", hard, "--gate", "open", "--json").stdout)
    assert "cloud" not in open_told["forbidden"]
    restricted = json.loads(_run(folder, "route", hard, "--gate", "open", "--label", "restricted", "--json").stdout)
    assert "restricted" in restricted["forbidden"]["cloud"]


@pytest.mark.native
def test_preview_is_the_body_that_open_sends(folder: Path, cloud: CloudDouble) -> None:
    shown = _run(folder, "gate", "preview", PROMPT)
    assert shown.returncode == 0, shown.stderr
    assert IBAN not in shown.stdout
    assert not cloud.answers_asked()
    answered = _run(folder, "chat", "--gate", "open", PROMPT)
    assert answered.stdout == "Good day to you 🌍\n", answered.stderr
    assert cloud.seen()[-1].body == shown.stdout
    assert PROMPT not in (folder / "logs" / "gatehouse.log").read_text("utf-8")


@pytest.mark.native
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--gate", "ask"), "Nobody at a terminal"),
        (("--gate", "open", "--label", "confidential"), "confidential is agreed to at a terminal each time"),
        (("--gate", "open", "--label", "restricted"), "restricted"),
    ],
)
def test_nobody_agreed_so_nothing_leaves(
    folder: Path, cloud: CloudDouble, arguments: tuple[str, ...], words: str
) -> None:
    before = len(cloud.seen())
    done = _run(folder, "chat", *arguments, PROMPT, stdin="y\n")
    assert done.returncode == 1
    assert words in done.stderr
    assert len(cloud.seen()) == before
