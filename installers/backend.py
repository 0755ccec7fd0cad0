"""Which of llama.cpp's backends to compile: a pure choice over what was found on the machine.

CUDA and Vulkan need both a GPU and its tool chain; without either the processor does the work, and the reason is said.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BACKENDS = ("cpu", "cuda", "vulkan", "metal")
_DEFINES = {
    "cpu": {},
    "cuda": {"cmake.define.GGML_CUDA": "ON"},
    "vulkan": {"cmake.define.GGML_VULKAN": "ON"},
    "metal": {"cmake.define.GGML_METAL": "ON"},
}


@dataclass(frozen=True, slots=True)
class Findings:
    """What bears on the choice."""

    apple_silicon: bool
    intel_mac: bool
    nvidia_gpu: bool
    other_gpu: bool
    nvcc: bool
    vulkan_tools: bool
    """glslc and the Vulkan headers."""
    wanted: str | None
    """What the person asked for with GATEHOUSE_BACKEND."""


@dataclass(frozen=True, slots=True)
class Backend:
    name: str
    reason: str

    @property
    def settings(self) -> dict[str, str]:
        """Build settings beside those in pyproject.toml."""
        return dict(_DEFINES[self.name])


def choose_backend(found: Findings) -> Backend:
    """The first rule that applies wins."""
    gpu = found.nvidia_gpu or found.other_gpu
    rules = (
        (found.wanted is not None, found.wanted or "", "asked for with GATEHOUSE_BACKEND"),
        (found.apple_silicon, "metal", "Apple silicon"),
        (found.intel_mac, "cpu", "Metal pays on Apple silicon only"),
        (found.nvidia_gpu and found.nvcc, "cuda", "an NVIDIA GPU and the CUDA compiler were found"),
        (gpu and found.vulkan_tools, "vulkan", "a GPU, glslc and the Vulkan headers were found"),
        (found.nvidia_gpu, "cpu", "there is an NVIDIA GPU, but neither nvcc nor glslc with the Vulkan headers"),
        (found.other_gpu, "cpu", "there is a GPU, but not glslc with the Vulkan headers"),
        (True, "cpu", "no GPU was found"),
    )
    name, reason = next((name, reason) for applies, name, reason in rules if applies)
    return Backend(name, reason)


def find_backend() -> Backend:
    return choose_backend(look())


def look() -> Findings:
    """Look at this machine. Takes milliseconds: it is part of every start through make."""
    mac = sys.platform == "darwin"
    wanted = os.environ.get("GATEHOUSE_BACKEND", "").strip().lower()
    return Findings(
        apple_silicon=mac and platform.machine() == "arm64",
        intel_mac=mac and platform.machine() != "arm64",
        nvidia_gpu=_has_nvidia_gpu(),
        other_gpu=_has_other_gpu(),
        nvcc=_nvcc_works(),
        vulkan_tools=shutil.which("glslc") is not None and _has_vulkan_headers(),
        wanted=wanted if wanted in BACKENDS else None,
    )


def _has_nvidia_gpu() -> bool:
    """A card the driver has taken, not merely the tools of a container without one."""
    if sys.platform == "linux":
        cards = Path("/proc/driver/nvidia/gpus")
        found = Path("/dev/nvidia0").exists() or Path("/dev/dxg").exists() or (cards.is_dir() and any(cards.iterdir()))
    elif sys.platform == "win32":
        found = _windows_library("nvcuda.dll")
    else:
        found = False
    return found


def _has_other_gpu() -> bool:
    """A render node of the kernel; on Windows the Vulkan loader, which comes with every driver that can use it."""
    if sys.platform == "linux":
        nodes = Path("/dev/dri")
        found = nodes.is_dir() and any(nodes.glob("renderD*"))
    elif sys.platform == "win32":
        found = _windows_library("vulkan-1.dll")
    else:
        found = False
    return found


def _windows_library(name: str) -> bool:
    return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / name).exists()


def _nvcc_works() -> bool:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return False
    try:
        return subprocess.run([nvcc, "--version"], capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _has_vulkan_headers() -> bool:
    kit = os.environ.get("VULKAN_SDK")
    folders = [
        Path("/usr/include"),
        Path("/usr/local/include"),
        *([Path(kit) / "include", Path(kit) / "Include"] if kit else []),
    ]
    return any((folder / "vulkan" / "vulkan.h").exists() for folder in folders)
