"""Processors, as Linux, macOS and Windows describe them."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from engine.hardware import topology
from engine.hardware.processor import Layout, fallback_processor, read_linux, read_macos, read_processor
from engine.hardware.sysctl import parse_sysctl
from tests.engine.hardware.trees import KNOWN, cpus, lay_out, x86_cpuinfo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="trees with links")


@pytest.mark.parametrize(
    ("machine", "name", "cores", "some_flags"),
    [
        ("hybrid Intel", "12th Gen Intel(R) Core(TM) i7-12700K", (12, 8, 20), ("sse3", "avx2", "avx_vnni")),
        ("big.LITTLE", "Radxa ROCK 5B (Cortex-A76 + Cortex-A55)", (8, 4, 8), ("asimd", "asimddp", "fphp")),
        ("container, version 2", "AMD EPYC 7B13 64-Core Processor", (8, 8, 16), ("avx2", "fma")),
        ("no limits, version 1", "AMD EPYC", (2, 2, 2), ("avx512f",)),
    ],
)
def test_a_known_machine(
    tmp_path: Path, machine: str, name: str, cores: tuple[int, int, int], some_flags: tuple[str, ...]
) -> None:
    found = read_linux(lay_out(tmp_path, KNOWN[machine]))
    assert found.name == name
    assert (found.physical_cores, found.performance_cores, found.logical_cores) == cores
    assert set(some_flags) <= set(found.instruction_sets)


@pytest.mark.parametrize(
    ("machine", "quota", "threads"),
    [
        ("hybrid Intel", None, 8),
        ("big.LITTLE", None, 4),
        ("container, version 2", 1.5, 1),
        ("nested, version 2", 2.0, 2),
        ("container, version 1", 2.0, 2),
        ("no limits, version 1", None, 2),
    ],
)
def test_what_a_process_may_use(tmp_path: Path, machine: str, quota: float | None, threads: int) -> None:
    found = read_processor(lay_out(tmp_path, KNOWN[machine]))
    assert found.quota_cores == quota
    assert found.usable_threads == threads


def test_dense_cores_are_told_by_their_clock(tmp_path: Path) -> None:
    """Ryzen AI 9 HX 370: four Zen 5 cores to 5.16 GHz, eight Zen 5c to 3.3 GHz."""
    tree = cpus(24, threads=2)
    for cpu in range(24):
        clock = "5157000" if cpu < 8 else "3300000"
        tree[f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = clock
    cores = topology.read_cores(lay_out(tmp_path, tree) / "sys")
    assert (len(cores), len(topology.performance_cores(cores))) == (12, 4)


def test_favoured_cores_are_not_a_kind_of_their_own(tmp_path: Path) -> None:
    tree = cpus(8, threads=2, cpufreq__cpuinfo_max_freq="4500000")
    tree["sys/devices/system/cpu/cpu2/cpufreq/cpuinfo_max_freq"] = "5000000"
    cores = topology.read_cores(lay_out(tmp_path, tree) / "sys")
    assert len(topology.performance_cores(cores)) == len(cores) == 4


def test_offline_threads_do_not_count(tmp_path: Path) -> None:
    tree = cpus(8, threads=2)
    tree["sys/devices/system/cpu/online"] = "0,2,4-5"
    cores = topology.read_cores(lay_out(tmp_path, tree) / "sys")
    assert sorted(sorted(core.cpus) for core in cores) == [[0], [2], [4, 5]]


def test_without_sys_the_processors_listed_are_counted(tmp_path: Path) -> None:
    found = read_linux(lay_out(tmp_path, {"proc/cpuinfo": x86_cpuinfo("Sandboxed", 3, "avx")}))
    assert found == Layout("Sandboxed", 3, 3, 3, ("avx",))


def test_a_flag_that_one_core_lacks_does_not_count(tmp_path: Path) -> None:
    text = x86_cpuinfo("Mixed", 1, "avx avx2 avx512f") + "\n" + x86_cpuinfo("Mixed", 1, "avx avx2")
    assert read_linux(lay_out(tmp_path, {"proc/cpuinfo": text})).instruction_sets == ("avx", "avx2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", {0}), ("0-3", {0, 1, 2, 3}), ("0-1,4", {0, 1, 4}), ("", set()), ("x", set()), ("0-", set())],
)
def test_lists_of_cpus(text: str, expected: set[int]) -> None:
    assert topology.parse_cpu_list(text) == expected


M2_PRO = """machdep.cpu.brand_string: Apple M2 Pro
hw.physicalcpu: 10
hw.logicalcpu: 10
hw.perflevel0.physicalcpu: 6
hw.nperflevels: 2
hw.optional.AdvSIMD: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_I8MM: 1
hw.optional.arm.FEAT_BF16: 1
"""
INTEL_MAC = """machdep.cpu.brand_string: Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz
hw.physicalcpu: 6
hw.logicalcpu: 12
machdep.cpu.features: FPU SSE3 SSSE3 FMA SSE4.1 SSE4.2 AVX1.0 F16C
machdep.cpu.leaf7_features: BMI2 AVX2
"""


def test_apple_silicon() -> None:
    found = read_macos(lambda _names: parse_sysctl(M2_PRO))
    assert found == Layout("Apple M2 Pro", 10, 6, 10, ("asimd", "asimddp", "i8mm", "bf16"))


def test_an_intel_mac() -> None:
    found = read_macos(lambda _names: parse_sysctl(INTEL_MAC))
    assert (found.physical_cores, found.performance_cores, found.logical_cores) == (6, 6, 12)
    assert "avx2" in found.instruction_sets


def windows_entry(efficiency: int, mask: int, group: int = 0) -> bytes:
    groups = struct.pack("<QH6x", mask, group)
    return struct.pack("<IIBB20xH", 0, 32 + len(groups), 0, efficiency, 1) + groups


def test_windows_tells_cores_by_efficiency_class() -> None:
    data = windows_entry(1, 0b11) + windows_entry(1, 0b1100) + windows_entry(0, 0b10000) + windows_entry(0, 1, group=1)
    cores = topology.parse_windows_cores(data)
    assert [sorted(core.cpus) for core in cores] == [[0, 1], [2, 3], [4], [64]]
    assert len(topology.performance_cores(cores)) == 2


@pytest.mark.parametrize("data", [b"", b"\0" * 64, windows_entry(0, 1)[:40], struct.pack("<II", 0, 1 << 31)])
def test_a_strange_answer_of_windows_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="Windows"):
        topology.parse_windows_cores(data)


def test_this_machine() -> None:
    found = read_processor()
    assert 1 <= found.performance_cores <= found.physical_cores <= found.logical_cores == os.cpu_count()
    assert 1 <= found.usable_threads <= found.affinity_cores <= found.logical_cores
    assert found.name != "Unknown processor"


def test_the_fallback_knows_at_least_one_core() -> None:
    assert fallback_processor().usable_threads >= 1
