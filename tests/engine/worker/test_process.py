"""The environment of a worker, and the bounded end of its log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.worker.process import LogRing, memory_kills, worker_command, worker_environment


@pytest.mark.parametrize(
    ("name", "passed"),
    [
        ("OPENAI_API_KEY", False),
        ("HF_TOKEN", False),
        ("AWS_SECRET_ACCESS_KEY", False),
        ("AWS_ACCESS_KEY_ID", False),
        ("Db_Password", False),
        ("LLAMA_CPP_LIB_PATH", False),
        ("CUDA_VISIBLE_DEVICES", True),
        ("XDG_SESSION_TYPE", True),
        ("KEYBOARD_LAYOUT", True),
        ("TOKENIZERS_PARALLELISM", True),
    ],
)
def test_no_secrets_and_no_other_code_reach_the_worker(
    name: str, passed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "value")
    assert (name in worker_environment()) is passed


def test_the_worker_is_found_from_any_folder_and_a_namesake_is_not(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    command = [*worker_command()[:2], "-c", "import engine; print(engine.__file__)"]
    done = subprocess.run(
        command, cwd=tmp_path, env=worker_environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).parent.parent == Path(__file__).resolve().parents[3]
    assert command[0] == sys.executable


@given(st.lists(st.binary(max_size=400), max_size=60))
def test_a_log_keeps_its_end_within_bounds(pieces: list[bytes]) -> None:
    ring = LogRing(max_lines=10, max_characters=300, max_line=50)
    for piece in pieces:
        ring.feed(piece)
        lines = ring.lines()
        assert len(lines) <= 11
        assert sum(map(len, lines)) <= 350
        assert all(0 < len(line) <= 50 for line in lines)


@given(st.lists(st.text(alphabet="abc ü", min_size=1, max_size=30), max_size=10), st.integers(1, 7))
def test_lines_come_back_however_they_were_cut(lines: list[str], size: int) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    ring = LogRing()
    for start in range(0, len(data), size):
        ring.feed(data[start : start + size])
    assert list(ring.lines()) == lines


def test_the_last_line_counts_before_it_ends() -> None:
    ring = LogRing()
    ring.feed(b"first\nGGML_ASSERT(x) fai")
    assert ring.lines() == ("first", "GGML_ASSERT(x) fai")


@pytest.mark.parametrize(
    ("content", "expected"), [("pgfault 1\noom_kill 7\nzzz 1\n", 7), ("pgfault 1\n", None), ("oom_kill x\n", None)]
)
def test_kills_for_memory_are_counted_by_the_kernel(tmp_path: Path, content: str, expected: int | None) -> None:
    file = tmp_path / "vmstat"
    file.write_text(content)
    assert memory_kills(file) == expected


def test_a_system_that_does_not_count_them(tmp_path: Path) -> None:
    assert memory_kills(tmp_path / "absent") is None
