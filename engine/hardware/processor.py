"""The processor: its cores, the ones worth computing on, and how much of it this process may use.

Linux is read from the kernel's files, macOS through ``sysctl``, Windows through its own calls; each is turned into the
same few facts (``Layout``). CPU time granted by a control group is ``cgroup``'s.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from engine.hardware import topology
from engine.hardware.cgroup import read_limits
from engine.hardware.profile import Processor
from engine.hardware.sysctl import read_sysctl

_WORTH_KNOWING: Final = (
    *("sse3", "ssse3", "sse4_1", "sse4_2", "avx", "f16c", "fma", "avx2", "bmi2", "avx_vnni", "avx512f", "avx512bw"),
    *("avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "fphp", "sve", "sve2", "sme"),
)
"""The instruction sets that change llama.cpp's speed, by the names that Linux gives them."""

_ARM_PARTS: Final = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse N1",
    ("0x41", "0xd40"): "Neoverse V1",
    ("0x41", "0xd46"): "Cortex-A510",
    ("0x41", "0xd47"): "Cortex-A710",
    ("0x41", "0xd49"): "Neoverse N2",
    ("0x41", "0xd4d"): "Cortex-A715",
    ("0x41", "0xd4e"): "Cortex-X3",
    ("0x41", "0xd4f"): "Neoverse V2",
    ("0x41", "0xd80"): "Cortex-A520",
    ("0x41", "0xd81"): "Cortex-A720",
    ("0x51", "0x001"): "Oryon",
    ("0xc0", "0xac3"): "Ampere-1",
}
"""Implementer and part of ARM cores, which carry no name of their own. Source: Linux, arch/arm64 cputype.h."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a system tells about its processor."""

    name: str
    physical_cores: int
    performance_cores: int
    logical_cores: int
    instruction_sets: tuple[str, ...]


def read_processor(root: Path = Path("/")) -> Processor:
    """The processor as this process sees it. Raises ``OSError`` or ``ValueError`` where the system gives no answer."""
    if sys.platform == "darwin" and root == Path("/"):
        layout = read_macos(read_sysctl)
    elif sys.platform == "win32" and root == Path("/"):
        layout = _read_windows()
    else:
        layout = read_linux(root)
    allowed = _affinity(layout.logical_cores) if root == Path("/") else layout.logical_cores
    quota = read_limits(root).cores
    return Processor(
        name=layout.name,
        architecture=platform.machine() or "unknown",
        physical_cores=layout.physical_cores,
        performance_cores=layout.performance_cores,
        logical_cores=layout.logical_cores,
        affinity_cores=allowed,
        quota_cores=quota if quota is not None and quota < layout.logical_cores else None,
        instruction_sets=layout.instruction_sets,
    )


def fallback_processor() -> Processor:
    """The little that Python itself knows, for when the system's answer failed."""
    logical = os.cpu_count() or 1
    name = platform.processor() or "Unknown processor"
    return Processor(name, platform.machine() or "unknown", logical, logical, logical, logical, None, ())


def read_linux(root: Path) -> Layout:
    """From ``/proc/cpuinfo`` and ``/sys/devices/system/cpu``."""
    cpuinfo = (root / "proc/cpuinfo").read_text("utf-8", "replace")
    cores = topology.read_cores(root / "sys")
    flags = _flags(cpuinfo)
    name = _name(cpuinfo, root)
    if not cores:  # some sandboxes hide /sys
        logical = max(1, sum(line.startswith("processor") for line in cpuinfo.splitlines()))
        return Layout(name, logical, logical, logical, flags)
    return Layout(
        name=name,
        physical_cores=len(cores),
        performance_cores=len(topology.performance_cores(cores)),
        logical_cores=sum(len(core.cpus) for core in cores),
        instruction_sets=flags,
    )


def _flags(cpuinfo: str) -> tuple[str, ...]:
    """Those that every core has, in our order."""
    common: set[str] | None = None
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            listed = set(value.split())
            listed |= {"sse3"} if "pni" in listed else set()
            common = listed if common is None else common & listed
    return tuple(flag for flag in _WORTH_KNOWING if flag in (common or ()))


def _name(cpuinfo: str, root: Path) -> str:
    fields: dict[str, list[str]] = {}
    for line in cpuinfo.splitlines():
        name, separator, value = line.partition(":")
        if separator and value.strip():
            fields.setdefault(name.strip(), []).append(value.strip())
    if "model name" in fields:
        return " ".join(fields["model name"][0].split())
    parts = dict.fromkeys(zip(fields.get("CPU implementer", ()), fields.get("CPU part", ()), strict=False))
    known = [_ARM_PARTS[part] for part in parts if part in _ARM_PARTS]
    board = _board(root)
    cores = " + ".join(reversed(known))  # the kernel counts the small cores first
    if board and cores:
        return f"{board} ({cores})"
    return board or cores or "Unknown processor"


def _board(root: Path) -> str:
    try:
        return (root / "proc/device-tree/model").read_text("utf-8", "replace").strip("\0 \n")
    except OSError:
        return ""


_MACOS_NAMES: Final = (
    *("machdep.cpu.brand_string", "hw.physicalcpu", "hw.logicalcpu", "hw.perflevel0.physicalcpu", "hw.nperflevels"),
    *("machdep.cpu.features", "machdep.cpu.leaf7_features"),
    *("hw.optional.AdvSIMD", "hw.optional.arm.FEAT_DotProd", "hw.optional.arm.FEAT_I8MM", "hw.optional.arm.FEAT_BF16"),
    *("hw.optional.arm.FEAT_SME",),
)
_MACOS_ARM: Final = {
    "hw.optional.AdvSIMD": "asimd",
    "hw.optional.arm.FEAT_DotProd": "asimddp",
    "hw.optional.arm.FEAT_I8MM": "i8mm",
    "hw.optional.arm.FEAT_BF16": "bf16",
    "hw.optional.arm.FEAT_SME": "sme",
}
_MACOS_X86: Final = {
    "SSE3": "sse3",
    "SSSE3": "ssse3",
    "SSE4.1": "sse4_1",
    "SSE4.2": "sse4_2",
    "AVX1.0": "avx",
    "F16C": "f16c",
    "FMA": "fma",
    "AVX2": "avx2",
    "BMI2": "bmi2",
    "AVX512F": "avx512f",
    "AVX512BW": "avx512bw",
    "AVX512VL": "avx512vl",
}


def read_macos(ask: Callable[[tuple[str, ...]], dict[str, str]]) -> Layout:
    """From ``sysctl``. Raises ``KeyError`` or ``ValueError`` when it does not tell the number of cores."""
    values = ask(_MACOS_NAMES)
    physical = int(values["hw.physicalcpu"])
    listed = f"{values.get('machdep.cpu.features', '')} {values.get('machdep.cpu.leaf7_features', '')}".split()
    flags = {_MACOS_X86[flag] for flag in listed if flag in _MACOS_X86}
    flags |= {flag for name, flag in _MACOS_ARM.items() if values.get(name) == "1"}
    return Layout(
        name=values.get("machdep.cpu.brand_string", "Apple processor"),
        physical_cores=physical,
        performance_cores=min(physical, int(values.get("hw.perflevel0.physicalcpu", physical))),
        logical_cores=int(values.get("hw.logicalcpu", physical)),
        instruction_sets=tuple(flag for flag in _WORTH_KNOWING if flag in flags),
    )


if sys.platform == "win32":

    def _read_windows() -> Layout:
        from engine.hardware import windows

        cores = topology.parse_windows_cores(windows.processor_information())
        return Layout(
            name=windows.processor_name(),
            physical_cores=len(cores),
            performance_cores=len(topology.performance_cores(cores)),
            logical_cores=sum(len(core.cpus) for core in cores),
            instruction_sets=tuple(flag for flag in _WORTH_KNOWING if flag in windows.instruction_sets()),
        )

else:

    def _read_windows() -> Layout:
        raise OSError("this is not Windows")


def _affinity(logical: int) -> int:
    process = psutil.Process()
    if not hasattr(process, "cpu_affinity"):  # macOS has none
        return logical
    return min(logical, len(process.cpu_affinity()) or logical)
