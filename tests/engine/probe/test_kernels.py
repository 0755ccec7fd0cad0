"""Kernels timed by the real llama.cpp, and kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.hardware import kernels
from engine.hardware.kernels import known_kernels, measured_kernels
from engine.hardware.profile import Kernel, Kernels, Processor
from engine.probe.client import measure_kernels

PROCESSOR = Processor("A processor", "x86_64", 1, 1, 1, 1, None, ("AVX2",))
FOUND = Kernels((Kernel("Q4_1", 1e9, 0.0, 1e9),), 1e9)


@pytest.mark.native
def test_the_types_that_were_asked_for_are_timed() -> None:
    """Q4_K has a layout of its own on most processors, Q6_K on few; a type that nobody knows is passed over."""
    found = measure_kernels(("Q4_K", "Q6_K", "F32", "Q9_Z"), timeout_s=300)
    assert [one.type for one in found.types] == ["Q4_K", "Q6_K", "F32"]
    for one in found.types:
        assert 1e7 < one.read_bytes_s < 1e12
        assert 0 <= one.row_s < 1e-4
        assert 1e8 < one.flop_s < 1e13
    assert 1e8 < found.attention_flop_s < 1e13


def test_a_processor_is_timed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def measure(types: tuple[str, ...], timeout_s: float) -> Kernels:
        asked.append((types, timeout_s))
        return FOUND

    monkeypatch.setattr(kernels, "measure_kernels", measure)
    assert known_kernels(PROCESSOR, tmp_path) is None
    for _ in range(2):
        assert measured_kernels(PROCESSOR, tmp_path, timeout_s=5) == FOUND
    assert len(asked) == 1
    monkeypatch.setattr(kernels, "identify_build", lambda: ["another build"])
    assert known_kernels(PROCESSOR, tmp_path) is None


def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernels.json").write_text('{"a": [1, 2')
    monkeypatch.setattr(kernels, "measure_kernels", lambda _types, _timeout_s: FOUND)
    assert measured_kernels(PROCESSOR, tmp_path, timeout_s=5) == FOUND
    assert known_kernels(PROCESSOR, tmp_path) == FOUND
