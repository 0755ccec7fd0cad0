"""The steps of the set-up and their order. Leaves each step's work to the module that is named for it.

Every step looks before it acts, so set-up can be run again after any end, also a kill: what was finished is found,
what was not is done anew. The stamp is written last; with it, another run takes no time.
"""

import argparse
import shutil
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from installers import native, process, stamp, starter, system, uv, verify
from installers.backend import Backend, find_backend
from installers.console import Console
from installers.lock import only_one
from installers.places import Places, find_places
from installers.steps import Step, StepFailed, run_steps

_ENVIRONMENT_SPACE = 2_000_000_000
_INTERRUPTED = 130


@dataclass(slots=True)
class SetUp:
    """What the steps share: where, for which backend, and the uv that was found on the way."""

    places: Places
    backend: Backend
    console: Console
    uv: Path | None = None
    source: native.SourcePackage = field(init=False)
    key: str = field(init=False)

    def __post_init__(self) -> None:
        root = self.places.root
        self.source = native.locked_source(root)
        settings = native.build_settings(root, self.backend)
        self.key = native.wheel_key(self.source, settings, native.processor_signature())
        self.uv = uv.find_uv(self.places)

    def steps(self) -> list[Step]:
        return [
            Step("System libraries and compiler", self._system_missing, self._install_system),
            Step("uv", lambda: None if self.uv else "installing it into the cache", self._install_uv),
            Step("Python environment", self._venv_missing, self._make_venv),
            Step("Python packages", lambda: "comparing with uv.lock", self._sync),
            Step("llama.cpp", self._wheel_missing, self._build),
            Step("llama.cpp in the environment", self._native_missing, self._install_native),
            Step("Starter model", self._starter_missing, lambda: starter.fetch_starter(self.places, self._uv())),
            Step("Proof", lambda: "painting a window, writing a few words", self._prove),
        ]

    def _uv(self) -> Path:
        assert self.uv is not None, "the uv step comes first"
        return self.uv

    def _gaps(self) -> system.Missing:
        return system.find_missing(self.uv is not None, native.find_wheel(self.places, self.key) is None)

    def _system_missing(self) -> str | None:
        gaps = self._gaps()
        return gaps.sentence() if gaps else None

    def _install_system(self) -> None:
        system.install_missing(self._gaps(), self.console)
        left = self._gaps()
        if left:
            raise StepFailed(
                f"after the installation, still {left.sentence()}.", "install what is missing, then run make again."
            )

    def _install_uv(self) -> None:
        self.uv = uv.install_uv(self.places)

    def _venv_missing(self) -> str | None:
        """An environment counts when it runs, with the Python that set-up itself runs on."""
        if not self.places.python.exists():
            return "making it"
        try:
            asked = process.run([self.places.python, "-c", "import sys; sys.stdout.write(sys.version)"])
        except StepFailed:
            return "making it anew"
        return None if asked.ok and "\n".join(asked.lines) == sys.version else "making it anew"

    def _make_venv(self) -> None:
        native.require_space(self.places.root, _ENVIRONMENT_SPACE)
        made = process.run(
            [self._uv(), "venv", "--clear", "--quiet", "--python", process.base_python(), self.places.venv]
        )
        if not made.ok:
            shutil.rmtree(self.places.venv, ignore_errors=True)
            raise StepFailed(f"the environment could not be made:{made.tail()}", "run make again.")

    def _sync(self) -> None:
        """All but the binding, which has its own step; the network is used only when the cache does not do."""
        native.require_space(self.places.root, _ENVIRONMENT_SPACE // 2)
        command: list[str | Path] = [
            self._uv(),
            "sync",
            "--frozen",
            "--inexact",
            "--no-install-package",
            native.PACKAGE,
        ]
        command += ["--python", self.places.python]
        if process.run([*command, "--offline"], folder=self.places.root).ok:
            return
        self.console.line("      fetching packages (about 150 MB the first time)")
        outcome = process.run(command, folder=self.places.root, each=self._say_packages)
        if not outcome.ok:
            raise StepFailed(
                f"uv could not install the packages:{outcome.tail()}", "check the network, then run make again."
            )

    def _say_packages(self, line: str) -> None:
        if line.startswith(("Resolved", "Prepared", "Installed", "Downloading", " Downloading")):
            self.console.progress(f"      {line.strip()}")

    def _wheel_missing(self) -> str | None:
        return "compiling it" if native.find_wheel(self.places, self.key) is None else None

    def _build(self) -> None:
        native.build_wheel(self.places, self._uv(), self.source, self.backend, self.key, self.console)

    @property
    def _native_mark(self) -> Path:
        return self.places.venv / "gatehouse-native.txt"

    def _native_missing(self) -> str | None:
        installed = any(self.places.venv.rglob("llama_cpp_python-*.dist-info"))
        same = self._native_mark.is_file() and self._native_mark.read_text(encoding="utf-8") == self.key
        return None if installed and same else "installing the compiled wheel"

    def _install_native(self) -> None:
        """From a folder given as an index, so that a later plain `uv sync` takes it for the locked package."""
        self._native_mark.unlink(missing_ok=True)
        command: list[str | Path] = [
            self._uv(),
            "pip",
            "install",
            "--no-config",
            "--offline",
            "--no-index",
            "--no-deps",
        ]
        command += [
            "--reinstall",
            "--find-links",
            self.places.wheels / self.key,
            "--python",
            self.places.python,
        ]
        outcome = process.run([*command, f"{native.PACKAGE}=={self.source.version}"])
        if not outcome.ok:
            raise StepFailed(f"the wheel could not be installed:{outcome.tail()}", "run make again.")
        self._native_mark.write_text(self.key, encoding="utf-8")

    def _starter_missing(self) -> str | None:
        if starter.is_whole(self.places.starter):
            return None
        return "replacing a damaged file" if self.places.starter.exists() else "unpacking it (98 MB)"

    def _prove(self) -> None:
        verify.prove_window(self.places)
        proof = verify.prove_text(self.places)
        if verify.is_illegal_instruction(proof.code):
            self.console.line("      the compiled llama.cpp is for another processor; compiling it for this one")
            native.forget_wheel(self.places, self.key)
            self._build()
            self._install_native()
            proof = verify.prove_text(self.places)
        if not proof.ok:
            native.forget_wheel(self.places, self.key)
            self._native_mark.unlink(missing_ok=True)
            how = "run make again (llama.cpp is then compiled anew), or take the processor alone: GATEHOUSE_BACKEND=cpu"
            raise StepFailed(f"the starter model does not answer (code {proof.code}):{proof.tail()}", how)


def set_up(places: Places, console: Console, again: bool = False) -> bool:
    """Bring the environment up to date; true when it is ready."""
    backend = find_backend()
    mark = stamp.fingerprint(places.root, backend.name)

    def is_ready() -> bool:
        return stamp.is_current(places, mark) and starter.has_right_size(places.starter)

    if is_ready() and not again:
        return True
    with only_one(places.lock, console):
        if is_ready() and not again:
            return True
        stamp.remove(places)
        console.line(f"Setting up Gatehouse in {places.root}")
        if not run_steps(SetUp(places, backend, console).steps(), console):
            return False
        stamp.write(places, mark, backend.name)
    console.line("Gatehouse is set up.")
    return True


def main(arguments: list[str]) -> int:
    """The command: 0 ready, 1 a step failed, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python3 -m installers", description="Sets Gatehouse up in this folder.")
    parser.add_argument("--again", action="store_true", help="look at every step, even when all was finished before")
    again = parser.parse_args(arguments).again
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        return 0 if set_up(find_places(Path(__file__).resolve().parents[1]), console, again) else 1
    except KeyboardInterrupt:
        console.line("\nInterrupted. Nothing half-made is kept; run make again to go on.")
        return _INTERRUPTED
    except StepFailed as failure:
        console.line(f"\nSet-up stopped: {failure.why}\n  how to go on: {failure.how}")
        return 1
    except OSError as error:
        console.line(f"\nSet-up stopped: {error}\n  how to go on: mend that, then run make again.")
        return 1
