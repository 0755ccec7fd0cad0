"""Main memory, limits of control groups, disks."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psutil
import pytest

from engine.hardware.cgroup import Limits, read_limits
from engine.hardware.disks import read_disk, read_mounts
from engine.hardware.memory import read_meminfo, read_memory
from engine.hardware.profile import Memory
from tests.engine.hardware.trees import GIB, KNOWN, lay_out, meminfo

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="trees of a Linux kernel")


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("hybrid Intel", Limits()),
        ("container, version 2", Limits(1.5, 4 * GIB, 3 * GIB + (256 << 20))),
        ("nested, version 2", Limits(2.0, 6 * GIB, 4 * GIB)),
        ("container, version 1", Limits(2.0, 2 * GIB, GIB + GIB // 2)),
        ("no limits, version 1", Limits()),
    ],
)
def test_limits_of_control_groups(tmp_path: Path, machine: str, expected: Limits) -> None:
    assert read_limits(lay_out(tmp_path, KNOWN[machine])) == expected


def test_no_control_groups_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path) == Limits()


def test_a_path_that_leads_out_of_the_mount_stays_inside(tmp_path: Path) -> None:
    tree = {
        "proc/self/cgroup": "0::/../../other",
        "proc/self/mountinfo": "34 24 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        "sys/fs/cgroup/memory.max": str(GIB),
        "sys/fs/cgroup/memory.current": "0",
    }
    assert read_limits(lay_out(tmp_path, tree)).memory_bytes == GIB


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("hybrid Intel", Memory(32_657_240 * 1024, 27_000_000 * 1024, None)),
        ("container, version 2", Memory(4 * GIB, 3 * GIB + (256 << 20), 4 * GIB)),
        ("container, version 1", Memory(2 * GIB, GIB + GIB // 2, 2 * GIB)),
    ],
)
def test_memory_respects_the_limit(tmp_path: Path, machine: str, expected: Memory) -> None:
    assert read_memory(lay_out(tmp_path, KNOWN[machine])) == expected


def test_a_limit_above_what_there_is_limits_nothing(tmp_path: Path) -> None:
    tree = {**KNOWN["container, version 2"], "sys/fs/cgroup/memory.max": str(1000 * GIB)}
    assert read_memory(lay_out(tmp_path, tree)).limit_bytes is None


def test_a_machine_short_of_memory_in_a_roomy_container(tmp_path: Path) -> None:
    tree = {**KNOWN["container, version 2"], "proc/meminfo": meminfo(65_800_000, 500_000)}
    assert read_memory(lay_out(tmp_path, tree)).available_bytes == 500_000 * 1024


def test_an_old_kernel_that_does_not_say_what_is_available() -> None:
    text = "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 10 kB\nCached: 300 kB\nShmem: 50 kB"
    assert read_meminfo(text) == (1000 * 1024, 360 * 1024)


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="how much memory"):
        read_meminfo("MemTotal: many kB")


def test_this_machine() -> None:
    found = read_memory()
    assert 0 < found.available_bytes <= found.total_bytes <= psutil.virtual_memory().total


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    disk = read_disk(tmp_path / "not" / "yet")
    assert disk.path == tmp_path / "not" / "yet"
    assert disk.total_bytes == shutil.disk_usage(tmp_path).total
    assert 0 < disk.free_bytes <= disk.total_bytes
    # In a chroot the root is no mount, so nothing in the list of mounts need cover a folder.
    covered = any(tmp_path.is_relative_to(mount.mountpoint) for mount in psutil.disk_partitions(all=True))
    assert disk.file_system
    assert (disk.file_system == "unknown") is not covered


def test_mounts_are_read_with_their_blanks() -> None:
    text = (
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "90 27 8:1 / /media/My\\040Disk rw shared:1 - exfat /dev/sda1 rw\n"
        "91 27 8:2 / /media/My\\040Disk rw shared:1 - ntfs3 /dev/sda1 rw\n"
        "short line"
    )
    assert read_mounts(text) == [(Path("/"), "ext4"), (Path("/media/My Disk"), "ntfs3")]


def test_a_network_disk_is_looked_at_in_a_child(tmp_path: Path) -> None:
    """The answer of the child carries the same numbers; that it is a child shows in that it may be cut off."""
    tree = {"proc/self/mountinfo": f"27 1 0:50 / {tmp_path} rw - nfs4 server:/models rw"}
    root = lay_out(tmp_path / "root", tree)
    disk = read_disk(tmp_path, root=root, timeout_s=20.0)
    assert (disk.file_system, disk.total_bytes) == ("nfs4", shutil.disk_usage(tmp_path).total)
