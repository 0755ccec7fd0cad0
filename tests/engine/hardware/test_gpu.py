"""Graphics devices from each source, and put together."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import ProbeFailed
from engine.hardware import drm, gpu, nvidia
from engine.hardware.profile import DeviceKind, Memory
from engine.hardware.sighting import Sighting, Sightings, normal_pci_id
from engine.probe.records import GgmlDevice
from tests.engine.hardware.trees import AMDGPU_IDS, GIB, amd_card, lay_out

MEMORY = Memory(64 * GIB, 40 * GIB, None)
links = pytest.mark.skipif(sys.platform == "win32", reason="trees with links")


@links
def test_an_amd_card(tmp_path: Path) -> None:
    tree = {
        **amd_card("0000:0b:00.0", "0x73bf", (16 * GIB, 3 * GIB), (32 * GIB, GIB)),
        "usr/share/libdrm/amdgpu.ids": AMDGPU_IDS,
    }
    assert drm.list_cards(lay_out(tmp_path, tree)).devices == (
        Sighting("sysfs", "AMD Radeon RX 6800 XT", DeviceKind.GPU, "0000:0b:00.0", 16 * GIB, 13 * GIB, unified=False),
    )


@links
@pytest.mark.parametrize(
    ("metrics_form", "vram", "unified"),
    [(3, 96 * GIB, True), (2, 1 * GIB, True), (1, 96 * GIB, False), (None, GIB // 2, True), (None, 8 * GIB, False)],
)
def test_processors_with_graphics_share_memory(
    tmp_path: Path, metrics_form: int | None, vram: int, unified: bool
) -> None:
    tree = amd_card("0000:c5:00.0", "0x1586", (vram, 0), (16 * GIB, GIB), metrics_form=metrics_form)
    (card,) = drm.list_cards(lay_out(tmp_path, tree)).devices
    assert card.unified is unified
    assert (card.kind is DeviceKind.INTEGRATED) is unified
    assert card.total_bytes == (vram + 16 * GIB if unified else vram)
    assert card.free_bytes == (vram + 15 * GIB if unified else vram)
    assert card.name == "AMD graphics 1586"


@links
def test_other_cards_and_what_is_none(tmp_path: Path) -> None:
    tree: dict[str, str | bytes] = {
        **amd_card("0000:0b:00.0", "0x73bf", (8 * GIB, 0), (GIB, 0), card="card10"),
        "sys/class/drm/card0/device/vendor": "0x8086",
        "sys/class/drm/card0/device/device": "0x46a6",
        "sys/class/drm/card0/device/uevent": "PCI_SLOT_NAME=0000:00:02.0",
        "sys/class/drm/card1/device/vendor": "0x1234",  # a virtual machine's
        "sys/class/drm/card0-HDMI-A-1/device/vendor": "0x8086",  # a socket, not a card
        "sys/class/drm/card2/device/vendor": "nonsense",
        "sys/class/drm/renderD128/device/vendor": "0x8086",
    }
    root = lay_out(tmp_path, tree)
    assert drm.has_cards(root)
    found = drm.list_cards(root).devices
    assert [card.name for card in found] == ["Intel graphics 46a6", "AMD graphics 73bf"]
    assert found[0] == Sighting("sysfs", "Intel graphics 46a6", DeviceKind.INTEGRATED, "0000:00:02.0", 0, 0, True)
    assert not drm.has_cards(tmp_path / "elsewhere")


class FakeNvml:
    """The calls of NVML that are used, with a driver's habits. NVML itself needs a card."""

    class NVMLError(Exception):
        pass

    class NVMLError_NotSupported(NVMLError):  # noqa: N801
        pass

    nvmlMemory_v2 = 1
    NVML_CLOCK_MEM = 2

    def __init__(self, *, old: bool = False, unified: bool = False, broken: bool = False) -> None:
        self._old, self._unified, self._broken = old, unified, broken
        self.shut_down = False

    def nvmlInit(self) -> None:
        if self._broken:
            raise self.NVMLError("Driver/library version mismatch")

    def nvmlShutdown(self) -> None:
        self.shut_down = True

    def nvmlSystemGetDriverVersion(self) -> bytes | str:
        return b"470.223.02" if self._old else "580.95.05"

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, _handle: int) -> bytes | str:
        return b"NVIDIA GeForce RTX 4090" if self._old else "NVIDIA GeForce RTX 4090"

    def nvmlDeviceGetPciInfo(self, _handle: int) -> Any:
        return SimpleNamespace(busId=b"00000000:01:00.0")

    def nvmlDeviceGetMemoryInfo(self, _handle: int, version: int | None = None) -> Any:
        if self._unified:
            raise self.NVMLError_NotSupported("Not Supported")
        if self._old and version is not None:
            raise self.NVMLError("Function Not Found")
        return SimpleNamespace(total=24 * GIB, free=22 * GIB)

    def nvmlDeviceGetMaxClockInfo(self, _handle: int, _clock: int) -> int:
        if self._old:
            raise self.NVMLError_NotSupported("Not Supported")
        return 10501

    def nvmlDeviceGetMemoryBusWidth(self, _handle: int) -> int:
        return 384


@pytest.mark.parametrize("old", [False, True])
def test_an_nvidia_card(old: bool) -> None:
    nvml = FakeNvml(old=old)
    found = nvidia.list_cards(nvml)
    (card,) = found.devices
    assert (card.name, card.pci_id) == ("NVIDIA GeForce RTX 4090", "0000:01:00.0")
    assert (card.total_bytes, card.free_bytes) == (24 * GIB, 22 * GIB)
    assert card.bandwidth_bytes_s == (None if old else pytest.approx(1008.1e9, rel=1e-3))
    assert found.driver.startswith("NVIDIA 4" if old else "NVIDIA 5")
    assert nvml.shut_down


def test_an_nvidia_device_that_shares_main_memory() -> None:
    (card,) = nvidia.list_cards(FakeNvml(unified=True)).devices
    assert card.unified
    assert card.total_bytes == 0


def test_a_driver_in_trouble_is_a_sentence() -> None:
    with pytest.raises(ProbeFailed, match="version mismatch"):
        nvidia.list_cards(FakeNvml(broken=True))


def test_nvml_is_asked_only_where_there_is_a_driver(tmp_path: Path) -> None:
    assert not nvidia.driver_present(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00000000:01:00.0", "0000:01:00.0"),
        ("0000:C5:00.0", "0000:c5:00.0"),
        ("01:00.0", "0000:01:00.0"),
        ("10000:e1:00.0", "10000:e1:00.0"),
        ("", None),
        (None, None),
        ("0000:01:00", None),
        ("GPU-1234", None),
    ],
)
def test_addresses_have_one_form(text: str | None, expected: str | None) -> None:
    assert normal_pci_id(text) == expected


def seen(source: str, pci_id: str | None, total: int, free: int, **more: Any) -> Sighting:
    fields: dict[str, Any] = {"name": f"by {source}", "kind": DeviceKind.GPU, "unified": False, **more}
    return Sighting(source=source, pci_id=pci_id, total_bytes=total, free_bytes=free, **fields)


def test_one_card_in_three_sources_is_one_device_with_the_least_free() -> None:
    (card,) = gpu.merge(
        [
            seen("nvml", "0000:01:00.0", 24 * GIB, 20 * GIB, bandwidth_bytes_s=1e12),
            seen("sysfs", "0000:01:00.0", 0, 0),
            seen("ggml", "0000:01:00.0", 24 * GIB, 23 * GIB, backend="Vulkan0"),
            seen("ggml", "0000:01:00.0", 23 * GIB, 22 * GIB, backend="CUDA0"),
        ],
        MEMORY,
    )
    assert (card.name, card.backend, card.sources) == ("by nvml", "CUDA0", ("nvml", "sysfs", "ggml"))
    assert (card.total_bytes, card.free_bytes, card.bandwidth_bytes_s) == (23 * GIB, 20 * GIB, 1e12)


def test_two_cards_stay_two() -> None:
    cards = gpu.merge([seen("nvml", "0000:01:00.0", 5, 1), seen("nvml", "0000:02:00.0", 5, 2)], MEMORY)
    assert [card.free_bytes for card in cards] == [1, 2]
    assert [card.backend for card in cards] == [None, None]


def test_devices_without_an_address_stay_apart() -> None:
    """Two ggml RPC servers have no address; they must not be taken for one."""
    listed = gpu.from_ggml([ggml_device(f"RPC{index}") for index in range(2)])
    assert len(gpu.merge(listed.devices, MEMORY)) == 2


def test_shared_memory_is_never_more_than_what_main_memory_has() -> None:
    (card,) = gpu.merge([seen("sysfs", "0000:c5:00.0", 96 * GIB, 90 * GIB, unified=True)], Memory(64 * GIB, 7, None))
    assert card.free_bytes == 7
    assert card.kind is DeviceKind.INTEGRATED


def test_free_never_exceeds_total() -> None:
    (card,) = gpu.merge([seen("ggml", None, 5, 9)], MEMORY)
    assert card.free_bytes == 5


def ggml_device(name: str, kind: DeviceKind = DeviceKind.GPU, free: int = 5) -> GgmlDevice:
    return GgmlDevice(name, f"about {name}", kind, 10, free, None, name.rstrip("0123456789"))


def test_only_devices_that_hold_tensors_are_taken_from_ggml() -> None:
    devices = [
        ggml_device("CPU", DeviceKind.CPU),
        ggml_device("BLAS", DeviceKind.ACCELERATOR),
        ggml_device("RPC0"),
        ggml_device("Vulkan0", DeviceKind.INTEGRATED, free=1 << 60),
    ]
    found = gpu.from_ggml(devices).devices
    assert [(s.backend, s.unified, s.free_bytes) for s in found] == [("RPC0", False, 5), ("Vulkan0", True, 10)]


def test_apple_silicon_is_one_device_in_two_sources() -> None:
    memory = Memory(32 * GIB, 20 * GIB, None)
    values = {"hw.optional.arm64": "1", "machdep.cpu.brand_string": "Apple M2 Pro", "iogpu.wired_limit_mb": "0"}
    apple = gpu.from_macos(values, memory)
    metal = gpu.from_ggml([GgmlDevice("MTL0", "Apple M2 Pro", DeviceKind.GPU, 22 * GIB, 22 * GIB, None, "MTL")])
    (card,) = gpu.merge([*apple.devices, *metal.devices], memory)
    assert (card.name, card.backend, card.sources) == ("Apple M2 Pro GPU", "MTL0", ("apple", "ggml"))
    assert (card.total_bytes, card.free_bytes, card.unified) == (22 * GIB, 20 * GIB, True)


def test_a_wired_limit_set_by_hand_counts() -> None:
    values = {"hw.optional.arm64": "1", "iogpu.wired_limit_mb": "28672"}
    assert gpu.from_macos(values, Memory(32 * GIB, 30 * GIB, None)).devices[0].total_bytes == 28 * GIB


def test_an_intel_mac_has_no_apple_device() -> None:
    assert gpu.from_macos({"machdep.cpu.brand_string": "Intel"}, MEMORY) == Sightings(())
