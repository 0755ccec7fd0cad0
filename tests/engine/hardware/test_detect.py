"""The whole survey: nothing that a probe does can spoil it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.errors import ProbeFailed
from engine.hardware.attempt import ask_child, attempt
from engine.hardware.bandwidth import measured_bandwidth
from engine.hardware.detect import Sources, detect
from engine.hardware.profile import DeviceKind, Disk, Memory, ProbeNote, Processor
from engine.hardware.sighting import Sightings
from engine.probe.client import run_child
from engine.probe.records import GgmlDevice
from engine.records import RecordFault
from tests.engine.hardware.trees import AMDGPU_IDS, GIB, KNOWN, amd_card, lay_out

links = pytest.mark.skipif(sys.platform == "win32", reason="trees with links")
PROCESSOR = Processor("A processor", "x86_64", 1, 1, 1, 1, None, ())
MEMORY = Memory(GIB, GIB // 8, None)


def no_devices(_timeout_s: float) -> Sequence[GgmlDevice]:
    return ()


def note_of(notes: Sequence[ProbeNote], probe: str) -> ProbeNote:
    return next(note for note in notes if note.probe == probe)


@links
def test_a_machine_with_an_amd_card(tmp_path: Path) -> None:
    tree = {
        **KNOWN["hybrid Intel"],
        **amd_card("0000:0b:00.0", "0x73bf", (16 * GIB, 3 * GIB), (32 * GIB, GIB)),
        "usr/share/libdrm/amdgpu.ids": AMDGPU_IDS,
    }
    tree["proc/self/mountinfo"] = str(tree["proc/self/mountinfo"]) + "\n27 1 254:0 / / rw - btrfs /dev/nvme0n1p2 rw"
    seen_by_ggml = GgmlDevice("Vulkan0", "AMD Radeon", DeviceKind.GPU, 16 * GIB, 16 * GIB, "0000:0B:00.0", "Vulkan")
    sources = Sources(lay_out(tmp_path, tree), lambda _timeout_s: (seen_by_ggml,))
    machine = detect(tmp_path, tmp_path, with_bandwidth=False, sources=sources)
    assert machine.processor.performance_cores == 8
    assert machine.disks[0].file_system == "btrfs"
    (card,) = machine.gpus
    assert (card.name, card.backend, card.free_bytes) == ("AMD Radeon", "Vulkan0", 13 * GIB)
    assert card.sources == ("sysfs", "ggml")
    assert [note.probe for note in machine.notes if not note.ok] == []


def test_every_probe_may_fail(tmp_path: Path) -> None:
    """A root without any file, and a ggml that dies: a report all the same, with a line for each."""

    def broken(_timeout_s: float) -> Sequence[GgmlDevice]:
        raise ProbeFailed("probe_died", "The devices probe was ended by SIGABRT.")

    machine = detect(tmp_path, tmp_path, with_bandwidth=False, sources=Sources(tmp_path / "empty", broken))
    assert machine.processor.usable_threads >= 1
    failed = {note.probe: note.sentence for note in machine.notes if not note.ok}
    assert set(failed) >= {"processor", "memory", "ggml"}
    assert failed["ggml"] == "The devices probe was ended by SIGABRT."


def test_ggml_is_not_asked_unless_wanted(tmp_path: Path) -> None:
    asked: list[float] = []

    def lister(timeout_s: float) -> Sequence[GgmlDevice]:
        asked.append(timeout_s)
        return ()

    detect(tmp_path, tmp_path, with_bandwidth=False, with_ggml=False, sources=Sources(list_ggml=lister))
    assert asked == []
    detect(tmp_path, tmp_path, with_bandwidth=False, with_ggml=True, sources=Sources(list_ggml=lister))
    assert len(asked) == 1


@pytest.mark.native
def test_this_machine_with_everything(tmp_path: Path) -> None:
    machine = detect(tmp_path / "models", tmp_path / "cache")
    assert machine.system
    assert machine.memory.total_bytes > GIB // 2
    assert machine.disks[0].path == tmp_path / "models"
    assert machine.bandwidth is not None
    assert machine.bandwidth.read_bytes_s > 1e8
    asked = {"processor", "memory", "disk", "nvml", "ggml", "bandwidth", "kernels"}
    assert {note.probe for note in machine.notes} >= asked
    assert all(note.ok for note in machine.notes)


def test_a_bug_in_a_probe_is_a_line_too() -> None:
    notes: list[ProbeNote] = []

    def buggy() -> int:
        raise ZeroDivisionError("by\nzero")

    assert attempt(notes, "buggy", buggy, str) is None
    assert (notes[0].ok, notes[0].sentence) == (False, "ZeroDivisionError: by zero")


def test_a_probe_that_hangs_is_cut_off_and_gone() -> None:
    notes: list[ProbeNote] = []
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    before = time.monotonic()
    assert attempt(notes, "slow", lambda: run_child(command, "slow", {}, 0.2), str) is None
    assert time.monotonic() - before < 60
    assert "gave no answer within 0.2 s" in notes[0].sentence


def test_the_child_refuses_in_a_sentence(tmp_path: Path) -> None:
    notes: list[ProbeNote] = []
    found = attempt(notes, "nvml", lambda: ask_child(Sightings, "nvml", {}, 20.0), lambda found: found.driver)
    assert "NVIDIA" in notes[0].sentence  # its version, or that it does not answer
    assert notes[0].ok is (found is not None)


def test_an_unknown_probe_dies_and_is_told() -> None:
    with pytest.raises(ProbeFailed, match="KeyError"):
        ask_child(Disk, "tea leaves", {}, 20.0)


def test_the_child_ends_with_its_parent() -> None:
    question = json.dumps({"threads": 1, "block_bytes": 1 << 20, "duration_s": 3600.0})
    command = [sys.executable, "-m", "engine.hardware", "bandwidth"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        child.stdin.write(question + "\n")
        child.stdin.flush()
        child.stdin.close()
        child.stdin = None
        assert child.wait(20) == 3


def test_bandwidth_is_measured_once(tmp_path: Path) -> None:
    first = measured_bandwidth(PROCESSOR, MEMORY, tmp_path, duration_s=0.01, timeout_s=30.0)
    assert first.threads == 1
    assert 1e8 < first.read_bytes_s < 1e13
    assert measured_bandwidth(PROCESSOR, MEMORY, tmp_path, timeout_s=0.0) == first
    other = Processor("Another processor", "x86_64", 1, 1, 1, 1, None, ())
    with pytest.raises(ProbeFailed):
        measured_bandwidth(other, MEMORY, tmp_path, timeout_s=0.0)


@pytest.fixture
def child_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Replaces the child's measurement by a number; the real child is tried above."""
    from engine.hardware import bandwidth

    def say(read_bytes_s: float) -> None:
        monkeypatch.setattr(bandwidth, "ask_child", lambda kind, *_rest: kind(read_bytes_s, 1))

    return say


@pytest.mark.parametrize("content", ["", "[]", "not JSON", '{"key": {"read_bytes_s": "fast"}}', "x" * 100_000])
def test_a_damaged_cache_is_replaced(tmp_path: Path, content: str, child_says: Callable[[float], None]) -> None:
    child_says(5e9)
    file = tmp_path / "bandwidth.json"
    file.write_text(content)
    measured_bandwidth(PROCESSOR, MEMORY, tmp_path)
    assert [entry["read_bytes_s"] for entry in json.loads(file.read_text()).values()] == [5e9]
    assert [path.name for path in tmp_path.iterdir()] == ["bandwidth.json"]


def test_measured_again_the_better_one_stays(tmp_path: Path, child_says: Callable[[float], None]) -> None:
    kept = []
    for read_bytes_s in (5e9, 3e9, 8e9, 7e9):
        child_says(read_bytes_s)
        kept.append(measured_bandwidth(PROCESSOR, MEMORY, tmp_path, again=True).read_bytes_s)
    assert kept == [5e9, 5e9, 8e9, 8e9]
    assert measured_bandwidth(PROCESSOR, MEMORY, tmp_path).read_bytes_s == 8e9


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, child_says: Callable[[float], None]) -> None:
    child_says(5e9)
    blocked = tmp_path / "file"
    blocked.touch()
    assert measured_bandwidth(PROCESSOR, MEMORY, blocked / "cache").threads == 1


def test_an_implausible_measurement_is_refused(tmp_path: Path, child_says: Callable[[float], None]) -> None:
    child_says(1e20)
    with pytest.raises(RecordFault, match="not plausible"):
        measured_bandwidth(PROCESSOR, MEMORY, tmp_path)
    assert not (tmp_path / "bandwidth.json").exists()
