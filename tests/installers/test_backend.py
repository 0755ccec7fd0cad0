"""The choice of backend, as a table, and the look at tools that are there but do not work."""

import pytest

from installers import backend
from installers.backend import Findings, choose_backend
from tests.installers.conftest import Program

NOTHING = Findings(
    apple_silicon=False,
    intel_mac=False,
    nvidia_gpu=False,
    other_gpu=False,
    nvcc=False,
    vulkan_tools=False,
    wanted=None,
)


def findings(*true: str, wanted: str | None = None) -> Findings:
    values = {name: name in true for name in Findings.__slots__ if name != "wanted"}
    return Findings(**values, wanted=wanted)


@pytest.mark.parametrize(
    ("found", "name", "reason"),
    [
        (NOTHING, "cpu", "no GPU was found"),
        (findings("nvcc"), "cpu", "no GPU was found"),
        (findings("vulkan_tools"), "cpu", "no GPU was found"),
        (findings("nvidia_gpu"), "cpu", "neither nvcc"),
        (findings("other_gpu"), "cpu", "not glslc"),
        (findings("nvidia_gpu", "nvcc"), "cuda", "CUDA"),
        (findings("nvidia_gpu", "nvcc", "vulkan_tools"), "cuda", "CUDA"),
        (findings("nvidia_gpu", "vulkan_tools"), "vulkan", "glslc"),
        (findings("other_gpu", "vulkan_tools"), "vulkan", "glslc"),
        (findings("other_gpu", "nvcc"), "cpu", "not glslc"),
        (findings("apple_silicon"), "metal", "Apple"),
        (findings("intel_mac", "other_gpu", "vulkan_tools"), "cpu", "Apple silicon only"),
        (findings("nvidia_gpu", "nvcc", wanted="cpu"), "cpu", "asked for"),
        (findings(wanted="vulkan"), "vulkan", "asked for"),
    ],
)
def test_choice(found: Findings, name: str, reason: str) -> None:
    chosen = choose_backend(found)
    assert chosen.name == name
    assert reason in chosen.reason


def test_each_backend_but_the_processor_adds_a_setting() -> None:
    settings = {name: backend.Backend(name, "").settings for name in backend.BACKENDS}
    assert settings.pop("cpu") == {}
    assert len({tuple(setting) for setting in settings.values()}) == 3


@pytest.mark.parametrize(("code", "works"), [(0, True), (1, False)])
def test_a_compiler_must_run_to_count(program: Program, code: int, works: bool) -> None:
    program("nvcc", f"sys.exit({code})")
    assert backend.look().nvcc is works


@pytest.mark.parametrize(("said", "wanted"), [("CUDA", "cuda"), ("", None), ("abacus", None)])
def test_what_the_person_asks_for(monkeypatch: pytest.MonkeyPatch, said: str, wanted: str | None) -> None:
    monkeypatch.setenv("GATEHOUSE_BACKEND", said)
    assert backend.look().wanted == wanted
