"""Machines as their kernels show them: trees of small files, laid out below a folder.

``KNOWN`` holds, for some kinds of machine, the files that are read, in the kernel's own format and with the values that
such a machine has; ``lay_out`` writes one. Links are written as links, because the code follows them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

GIB = 1 << 30


def lay_out(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write ``path: content``; a text that begins with ``-> `` is a link, relative to the file's folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content.startswith("-> "):
            path.symlink_to(content[3:])
        else:
            path.write_text(content + "\n", encoding="utf-8")
    return root


def cpus(count: int, threads: int = 1, **files: str) -> dict[str, str]:
    """A uniform ``/sys/devices/system/cpu``: the threads of a core are neighbours."""
    tree = {"sys/devices/system/cpu/online": f"0-{count - 1}" if count > 1 else "0"}
    for cpu in range(count):
        first = cpu // threads * threads
        siblings = f"{first}-{first + threads - 1}" if threads > 1 else str(cpu)
        tree[f"sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"] = siblings
        for name, value in files.items():
            tree[f"sys/devices/system/cpu/cpu{cpu}/{name.replace('__', '/')}"] = value
    return tree


def meminfo(total_kib: int, available_kib: int) -> str:
    return (
        f"MemTotal:       {total_kib} kB\nMemFree:         1000000 kB\nMemAvailable:   {available_kib} kB\n"
        "Buffers:          100000 kB\nCached:          2000000 kB\nSwapTotal:       0 kB\nHugePages_Total:       0"
    )


def x86_cpuinfo(name: str, count: int, flags: str) -> str:
    entry = "processor\t: {}\nvendor_id\t: GenuineIntel\nmodel name\t: {}\nflags\t\t: {}\nbogomips\t: 4992.00\n"
    return "\n".join(entry.format(cpu, name, flags) for cpu in range(count))


def arm_cpuinfo(parts: list[str]) -> str:
    entry = (
        "processor\t: {}\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp\n"
        "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: {}\nCPU revision\t: 0\n"
    )
    return "\n".join(entry.format(cpu, part) for cpu, part in enumerate(parts))


def _hybrid_intel() -> dict[str, str]:
    """Core i7-12700K: 8 performance cores with two threads, 4 efficiency cores. CPUs 0-15 and 16-19."""
    tree = cpus(20)
    for cpu in range(16):
        first = cpu // 2 * 2
        tree[f"sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"] = f"{first}-{first + 1}"
    for cpu in range(20):
        clock = "4900000" if cpu < 16 else "3800000"
        tree[f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq"] = "5000000" if cpu in (4, 5) else clock
    return {
        **tree,
        "sys/devices/cpu_core/cpus": "0-15",
        "sys/devices/cpu_atom/cpus": "16-19",
        "proc/cpuinfo": x86_cpuinfo(
            "12th Gen Intel(R) Core(TM) i7-12700K", 20, "fpu sse2 pni ssse3 fma sse4_1 sse4_2 avx f16c avx2 avx_vnni"
        ),
        "proc/meminfo": meminfo(32_657_240, 27_000_000),
        "proc/self/cgroup": "0::/user.slice/user-1000.slice/session-2.scope",
        "proc/self/mountinfo": "34 24 0:29 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
        "sys/fs/cgroup/user.slice/user-1000.slice/memory.max": "max",
        "sys/fs/cgroup/user.slice/user-1000.slice/cpu.max": "max 100000",
    }


def _big_little() -> dict[str, str]:
    """RK3588: four Cortex-A55 (CPUs 0-3), four Cortex-A76 (4-7)."""
    tree = cpus(8)
    for cpu in range(8):
        tree[f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity"] = "530" if cpu < 4 else "1024"
    return {
        **tree,
        "proc/cpuinfo": arm_cpuinfo(["0xd05"] * 4 + ["0xd0b"] * 4),
        "proc/device-tree/model": "Radxa ROCK 5B\0",
        "proc/meminfo": meminfo(16_184_448, 14_000_000),
    }


def _container_v2() -> dict[str, str]:
    """A pod of Kubernetes: 1.5 cores, 4 GiB, of which 1 GiB is used and 256 MiB of that is cache."""
    return {
        **cpus(16, threads=2, cpufreq__cpuinfo_max_freq="3500000"),
        "proc/cpuinfo": x86_cpuinfo("AMD EPYC 7B13 64-Core Processor", 16, "sse2 pni ssse3 fma sse4_1 sse4_2 avx avx2"),
        "proc/meminfo": meminfo(65_800_000, 50_000_000),
        "proc/self/cgroup": "0::/",
        "proc/self/mountinfo": (
            "1500 1400 0:200 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/x\n"
            "1510 1500 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw"
        ),
        "sys/fs/cgroup/cpu.max": "150000 100000",
        "sys/fs/cgroup/memory.max": str(4 * GIB),
        "sys/fs/cgroup/memory.high": "max",
        "sys/fs/cgroup/memory.current": str(GIB),
        "sys/fs/cgroup/memory.stat": f"anon 700000000\nfile 300000000\ninactive_file {256 << 20}\nactive_file 1000",
    }


def _nested_v2() -> dict[str, str]:
    """The tightest limit sits two levels above the process."""
    return {
        **cpus(8),
        "proc/cpuinfo": x86_cpuinfo("Intel(R) Xeon(R) Gold 6338", 8, "sse2 pni ssse3 avx avx2 fma f16c avx512f"),
        "proc/meminfo": meminfo(32_000_000, 30_000_000),
        "proc/self/cgroup": "0::/work.slice/team.slice/job.scope",
        "proc/self/mountinfo": "34 24 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "sys/fs/cgroup/work.slice/cpu.max": "200000 100000",
        "sys/fs/cgroup/work.slice/memory.max": str(8 * GIB),
        "sys/fs/cgroup/work.slice/memory.high": str(6 * GIB),
        "sys/fs/cgroup/work.slice/memory.current": str(2 * GIB),
        "sys/fs/cgroup/work.slice/memory.stat": "inactive_file 0",
        "sys/fs/cgroup/work.slice/team.slice/cpu.max": "max 100000",
        "sys/fs/cgroup/work.slice/team.slice/job.scope/cpu.max": "400000 100000",
        "sys/fs/cgroup/work.slice/team.slice/job.scope/memory.max": str(16 * GIB),
        "sys/fs/cgroup/work.slice/team.slice/job.scope/memory.current": str(GIB),
    }


def _container_v1() -> dict[str, str]:
    """Docker on a version 1 system: the mount shows only the container's own group. 2 cores, 2 GiB."""
    ours = "/docker/4f0c2a"
    return {
        **cpus(4),
        "proc/cpuinfo": x86_cpuinfo("Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz", 4, "sse2 pni ssse3 sse4_1 sse4_2 avx"),
        "proc/meminfo": meminfo(16_000_000, 12_000_000),
        "proc/self/cgroup": f"9:memory:{ours}\n8:cpu,cpuacct:{ours}\n1:name=systemd:{ours}\n0::/",
        "proc/self/mountinfo": (
            f"40 30 0:33 {ours} /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n"
            f"41 30 0:34 {ours} /sys/fs/cgroup/cpu,cpuacct ro,nosuid - cgroup cgroup rw,cpu,cpuacct"
        ),
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * GIB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(GIB),
        "sys/fs/cgroup/memory/memory.stat": f"cache 1\ninactive_file 1\ntotal_inactive_file {GIB // 2}",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
    }


def _free_v1() -> dict[str, str]:
    """A version 1 system without limits says so with a huge number and with -1."""
    return {
        **cpus(2),
        "proc/cpuinfo": x86_cpuinfo("AMD EPYC", 2, "sse2 pni ssse3 sse4_1 sse4_2 avx f16c avx2 avx512f"),
        "proc/meminfo": meminfo(24_684_096, 23_000_000),
        "proc/self/cgroup": "4:memory:/session/17\n2:cpuacct:/\n1:cpu:/\n0::/",
        "proc/self/mountinfo": (
            "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
            "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
            "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw"
        ),
        "sys/fs/cgroup/memory/session/17/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/session/17/memory.usage_in_bytes": "4096",
        "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
    }


def amd_card(
    pci: str,
    device: str,
    vram: tuple[int, int],
    gtt: tuple[int, int],
    *,
    metrics_form: int | None = 1,
    card: str = "card0",
) -> dict[str, str | bytes]:
    """A card of AMD's with the files of the amdgpu driver."""
    home = f"sys/devices/pci0000:00/0000:00:01.1/{pci}"
    tree: dict[str, str | bytes] = {
        f"sys/class/drm/{card}/device": f"-> ../../../devices/pci0000:00/0000:00:01.1/{pci}",
        f"{home}/vendor": "0x1002",
        f"{home}/device": device,
        f"{home}/revision": "0xc1",
        f"{home}/uevent": f"DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_ID=1002:73BF\nPCI_SLOT_NAME={pci}",
        f"{home}/product_name": "",
        f"{home}/mem_info_vram_total": str(vram[0]),
        f"{home}/mem_info_vram_used": str(vram[1]),
        f"{home}/mem_info_gtt_total": str(gtt[0]),
        f"{home}/mem_info_gtt_used": str(gtt[1]),
    }
    if metrics_form is not None:
        tree[f"{home}/gpu_metrics"] = struct.pack("<HBB", 120, metrics_form, 3) + bytes(116)
    return tree


AMDGPU_IDS = "1.0.0\n73BF,\tC0,\tAMD Radeon RX 6900 XT\n73BF,\tC1,\tAMD Radeon RX 6800 XT\n1586,\tC1,\tAMD Radeon 8060S"

KNOWN: dict[str, dict[str, str]] = {
    "hybrid Intel": _hybrid_intel(),
    "big.LITTLE": _big_little(),
    "container, version 2": _container_v2(),
    "nested, version 2": _nested_v2(),
    "container, version 1": _container_v1(),
    "no limits, version 1": _free_v1(),
}
