"""A remembered answer is given only where nothing that decides it has changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import ProbeFailed
from engine.probe import remembered
from engine.probe.records import ComputeAnswer, ComputeQuestion
from engine.probe.remembered import RememberedProbe


class Counting:
    """Answers each question with its count."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, question: ComputeQuestion) -> ComputeAnswer:
        self.asked += 1
        return ComputeAnswer((("CPU", self.asked),), 1, 2, 3, 4, question.n_ctx)


@pytest.fixture
def probe() -> Counting:
    return Counting()


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "buffers.json"


@pytest.fixture
def question(tmp_path: Path) -> ComputeQuestion:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"x" * 100)
    return ComputeQuestion(str(model), 4_096, 512, 512, 8, 8, "f16", 0, None)


def test_a_known_question_is_not_asked_again(probe: Counting, memory: Path, question: ComputeQuestion) -> None:
    first = RememberedProbe(memory, probe)(question)
    assert RememberedProbe(memory, probe)(question) == first
    assert probe.asked == 1


@pytest.mark.parametrize("change", [{"n_ctx": 8_192}, {"kv_type": "q8_0"}, {"device": "CUDA0"}, {"n_seq_max": 9}])
def test_another_question_is_asked(
    probe: Counting, memory: Path, question: ComputeQuestion, change: dict[str, object]
) -> None:
    remembering = RememberedProbe(memory, probe)
    remembering(question)
    remembering(replace(question, **change))  # type: ignore[arg-type]
    assert probe.asked == 2


def test_a_changed_file_is_asked_about_again(probe: Counting, memory: Path, question: ComputeQuestion) -> None:
    remembering = RememberedProbe(memory, probe)
    remembering(question)
    path = Path(question.model_path)
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    remembering(question)
    path.write_bytes(b"y" * 101)
    remembering(question)
    assert probe.asked == 3


def test_a_rebuilt_library_is_asked_again(
    probe: Counting, memory: Path, question: ComputeQuestion, monkeypatch: pytest.MonkeyPatch
) -> None:
    RememberedProbe(memory, probe)(question)
    monkeypatch.setattr(remembered, "identify_build", lambda: ["0.3.99", 7])
    RememberedProbe(memory, probe)(question)
    assert probe.asked == 2


def test_failures_are_not_remembered(memory: Path, question: ComputeQuestion, probe: Counting) -> None:
    def failing(_question: ComputeQuestion) -> ComputeAnswer:
        raise ProbeFailed("probe_died", "It died.")

    with pytest.raises(ProbeFailed):
        RememberedProbe(memory, failing)(question)
    RememberedProbe(memory, probe)(question)
    assert probe.asked == 1


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b'{"a": 1}', b'{"a": {"compute": []}}'])
def test_a_damaged_memory_is_an_empty_one(
    probe: Counting, memory: Path, question: ComputeQuestion, content: bytes
) -> None:
    memory.parent.mkdir()
    memory.write_bytes(content)
    RememberedProbe(memory, probe)(question)
    RememberedProbe(memory, probe)(question)
    assert probe.asked == 1


def test_a_memory_that_cannot_be_written_costs_nothing(
    probe: Counting, tmp_path: Path, question: ComputeQuestion
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert RememberedProbe(blocked / "buffers.json", probe)(question).n_ctx == 4_096


@pytest.mark.slow
def test_it_does_not_grow_without_end(probe: Counting, memory: Path, question: ComputeQuestion) -> None:
    remembering = RememberedProbe(memory, probe)
    for n_ctx in range(256, 256 * 300, 256):
        remembering(replace(question, n_ctx=n_ctx))
    asked = probe.asked
    remembering(replace(question, n_ctx=256 * 299))
    assert probe.asked == asked
    remembering(replace(question, n_ctx=256))
    assert probe.asked == asked + 1
