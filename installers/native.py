"""Compiles llama.cpp's Python binding once for a machine and keeps the wheel in the person's cache.

The source package and its hash come from uv.lock, the build settings from pyproject.toml, so both are said once. The
wheel's place is named for everything that decides its content, the processor included: llama.cpp is compiled for the
processor at hand. A wheel is moved to its place only when whole, so what is there can be trusted.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from installers import process
from installers.backend import Backend
from installers.console import Console
from installers.places import Places
from installers.progress import BuildProgress, in_words
from installers.steps import StepFailed

PACKAGE = "llama-cpp-python"
_BUILD_SPACE = 2_500_000_000
"""Source, object files, libraries and wheel, with room to spare."""
_MEMORY_PER_JOB = 1_500_000_000
_CHUNK = 1 << 20
_TIMEOUT_S = 60
_TRIES = 3
_BUILDING = ".building-"
_COMPUTES = re.compile(
    r"^(sse|ssse|avx|amx|fma|f16c|bmi|sve|sme[^p]|sme$|asimd|neon|i8mm|bf16|fphp|vfp|rvv|vx|movbe|popcnt)"
)


@dataclass(frozen=True, slots=True)
class SourcePackage:
    """A source package as the lock file pins it."""

    version: str
    url: str
    sha256: str


def locked_source(root: Path) -> SourcePackage:
    """Read the pinned source package of the binding."""
    with (root / "uv.lock").open("rb") as file:
        lock = tomllib.load(file)
    entry = next(package for package in lock["package"] if package["name"] == PACKAGE)
    algorithm, _, digest = str(entry["sdist"]["hash"]).partition(":")
    if algorithm != "sha256":
        raise StepFailed(f"uv.lock pins {PACKAGE} with {algorithm}.", "run: uv lock")
    return SourcePackage(str(entry["version"]), str(entry["sdist"]["url"]), digest)


def build_settings(root: Path, backend: Backend) -> dict[str, str]:
    """The settings in pyproject.toml and those of the backend."""
    with (root / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    said = project["tool"]["uv"]["config-settings-package"][PACKAGE]
    return {str(key): str(value) for key, value in said.items()} | backend.settings


def wheel_key(source: SourcePackage, settings: dict[str, str], processor: str) -> str:
    """A short name for everything that decides what the wheel holds."""
    parts = [source.sha256, sorted(settings.items()), os.environ.get("CMAKE_ARGS", ""), sys.platform, processor]
    return f"{source.version}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}"


def processor_signature() -> str:
    """The machine type and the instruction sets that a compiler told "native" would use."""
    flags: set[str] = set()
    if sys.platform == "linux":
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        line = next((line for line in text.splitlines() if line.lower().startswith(("flags", "features"))), "")
        flags = {flag for flag in line.partition(":")[2].split() if _COMPUTES.match(flag)}
    return " ".join([platform.machine(), *(sorted(flags) or [platform.processor()])])


def find_wheel(places: Places, key: str) -> Path | None:
    return next(iter(sorted((places.wheels / key).glob("*.whl"))), None)


def forget_wheel(places: Places, key: str) -> None:
    """Remove a wheel that turned out not to run here."""
    shutil.rmtree(places.wheels / key, ignore_errors=True)


def build_wheel(places: Places, uv: Path, source: SourcePackage, backend: Backend, key: str, console: Console) -> None:
    """Compile, showing how far it is, and put the wheel into its place.

    Raises:
        StepFailed: no room, no source, or the compiler failed.
    """
    places.wheels.mkdir(parents=True, exist_ok=True)
    for left in places.wheels.glob(_BUILDING + "*"):
        shutil.rmtree(left)
    require_space(places.cache, _BUILD_SPACE)
    require_space(Path(tempfile.gettempdir()), _BUILD_SPACE)
    package = fetch_source(places, source, console)
    console.line(f"      llama.cpp is compiled once for this machine ({backend.name}: {backend.reason}).")
    console.line("      This takes about 7 minutes on 2 cores, and less on more.")
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=places.wheels) as folder:
        command: list[str | Path] = [uv, "build", "--no-config", "--wheel", "--verbose", "--python", places.python]
        for setting, value in sorted(build_settings(places.root, backend).items()):
            command += ["--config-setting", f"{setting}={value}"]
        compile_with_progress([*command, "--out-dir", Path(folder) / "out", package], places, console)
        (Path(folder) / "out" / ".gitignore").unlink(missing_ok=True)
        forget_wheel(places, key)
        (Path(folder) / "out").replace(places.wheels / key)


def compile_with_progress(command: list[str | Path], places: Places, console: Console) -> None:
    """Run a build, its ninja lines shown as progress, everything kept in the build log.

    Raises:
        StepFailed: it did not end well; the compiler's errors are in the reason.
    """
    progress = BuildProgress(time.monotonic())
    with places.build_log.open("w", encoding="utf-8") as log:

        def follow(line: str) -> None:
            log.write(line + "\n")
            if progress.read(line):
                console.progress(progress.sentence(time.monotonic()))

        outcome = process.run(
            command, folder=places.cache, more={"CMAKE_BUILD_PARALLEL_LEVEL": str(_jobs())}, each=follow
        )
    if not outcome.ok:
        why = f"llama.cpp could not be compiled (code {outcome.code}; log: {places.build_log}):{outcome.tail()}"
        raise StepFailed(why, "mend what the log names, or take the processor alone: make setup GATEHOUSE_BACKEND=cpu")
    if progress.total == 0:
        return
    took = in_words(time.monotonic() - progress.started_s)
    console.progress(f"      compiled llama.cpp: {progress.total} files in {took}", last=True)


def _jobs() -> int:
    """As many compilers at once as there are processors for us and memory for them."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    return max(1, min(len(os.sched_getaffinity(0)), memory // _MEMORY_PER_JOB))


def fetch_source(places: Places, source: SourcePackage, console: Console) -> Path:
    """The source package, from the cache or over the network, its hash verified either way.

    Raises:
        StepFailed: it cannot be had, or is not what the lock file says.
    """
    name = source.url.rpartition("/")[2]
    package = places.sources / name
    if package.is_file() and file_sha256(package) == source.sha256:
        return package
    places.sources.mkdir(parents=True, exist_ok=True)
    part = package.with_name(name + ".part")
    for attempt in range(1, _TRIES + 1):
        try:
            _download(source.url, part, console)
            break
        except (OSError, urllib.error.URLError) as error:
            if attempt == _TRIES:
                raise StepFailed(
                    f"{name} could not be fetched: {error}", "check the network, then run make again."
                ) from error
    if file_sha256(part) != source.sha256:
        part.unlink()
        raise StepFailed(f"{name} is not the file that uv.lock names: its hash differs.", "run make again.")
    part.replace(package)
    return package


def _download(url: str, target: Path, console: Console) -> None:
    if not url.startswith("https://"):
        raise StepFailed("uv.lock names a source that is not fetched over https.", "run: uv lock")
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            console.progress(f"      fetching llama.cpp's source: {file.tell() >> 20} of {total >> 20} MiB")


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start what would fill the disk half-way.

    Raises:
        StepFailed: with both numbers.
    """
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed:
        why = f"{needed / 1e9:.1f} GB are needed for this step, {free / 1e9:.1f} GB are free at {there}."
        raise StepFailed(why, f"free {(needed - free) / 1e9:.1f} GB there, then run make again.")
