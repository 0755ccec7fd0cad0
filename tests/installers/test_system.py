"""What the system lacks is found by looking, and asked for in the words of its package manager."""

import os
from pathlib import Path

import pytest

from installers import system
from installers.console import Console
from installers.linux import packages
from installers.steps import StepFailed
from installers.system import Missing
from tests.installers.conftest import Program

EGL = next(library for library in packages.QT_LIBRARIES if library.soname == "libEGL.so.1")
GL = next(library for library in packages.QT_LIBRARIES if library.soname == "libGL.so.1")
ALL = Missing(libraries=(EGL, GL), compiler=True, certificates=True, venv=True)


@pytest.mark.parametrize(
    ("manager", "expected"),
    [
        ("apt-get", ["libegl1", "libgl1", "g++", "ca-certificates", "python3-venv"]),
        ("dnf", ["libEGL.so.1()(64bit)", "libGL.so.1()(64bit)", "gcc-c++", "ca-certificates", "python3-pip"]),
        ("zypper", ["libEGL.so.1()(64bit)", "libGL.so.1()(64bit)", "gcc-c++", "ca-certificates", "python3-pip"]),
        ("pacman", ["libglvnd", "gcc", "ca-certificates", "python-pip"]),
    ],
)
def test_packages_by_manager(manager: str, expected: list[str]) -> None:
    assert system.wanted_packages(manager, ALL) == expected


def test_a_library_that_cannot_be_opened_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = packages.Library("libc.so.6", "libc6", "glibc")
    absent = packages.Library("libno-such-thing.so.9", "libno9", "no")
    monkeypatch.setattr(packages, "QT_LIBRARIES", (there, absent))
    missing = system.find_missing(has_uv=True, needs_compiler=False)
    assert missing.libraries == (absent,)
    assert missing.sentence().startswith("missing: 1 libraries")


def test_a_compiler_that_fails_does_not_count(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    assert not system.compiler_works()
    program("c++", "sys.exit(1)")
    assert not system.compiler_works()


def test_a_compiler_that_compiles_counts(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    program("c++", "out = sys.argv[sys.argv.index('-o') + 1]\nos.symlink('/bin/true', out)\n")
    assert system.compiler_works()


def test_someone_who_is_not_root_gets_the_one_line(
    program: Program, console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program("apt-get", "")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(StepFailed) as failure:
        system.install_missing(ALL, console)
    line = "sudo apt-get install -y --no-install-recommends libegl1 libgl1 g++ ca-certificates python3-venv"
    assert failure.value.how == f"run: {line}"
    assert not (tmp_path / "apt-get.log").exists()


def test_root_installs(program: Program, console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program("apt-get", "")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    system.install_missing(Missing(compiler=True), console)
    assert (tmp_path / "apt-get.log").read_text().splitlines() == [
        "update",
        "install -y --no-install-recommends g++",
    ]


def test_the_package_managers_refusal_is_passed_on(
    program: Program, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("apt-get", "print('E: Unable to locate package g++ (error)'); sys.exit(100)")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(StepFailed, match="Unable to locate package") as failure:
        system.install_missing(Missing(compiler=True), console)
    assert "code 100" in failure.value.why


def test_without_a_known_manager_the_libraries_are_named(program: Program, console: Console) -> None:
    with pytest.raises(StepFailed, match=r"libEGL\.so\.1"):
        system.install_missing(ALL, console)
