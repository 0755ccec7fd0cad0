"""Remembers what llama.cpp answered about buffers, so that loading a known model need not ask again.

An answer holds for one file (by length and date), one build of llama.cpp and one exact question. Free memory is never
remembered.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path

from engine.probe.client import measure_compute
from engine.probe.records import ComputeAnswer, ComputeQuestion
from engine.records import RecordFault, from_plain, read_object, to_plain

_LIMIT = 256
"""Answers kept; the oldest go first."""
_FORM = 5
"""Raised when answers hold more than before: the old ones do not count any more."""
_FILE_LIMIT_BYTES = 1024 * 1024


class RememberedProbe:
    """A probe with a memory on disk. Not for several threads at once."""

    def __init__(self, memory_file: Path, probe: Callable[[ComputeQuestion], ComputeAnswer] = measure_compute) -> None:
        self._memory_file = memory_file
        self._probe = probe
        self._build = identify_build()

    def __call__(self, question: ComputeQuestion) -> ComputeAnswer:
        """Answer from memory, or ask. Raises: ``ProbeFailed``; failures are not remembered."""
        key = self._key(question)
        answers = self._read()
        if key in answers:
            return answers[key]
        answer = self._probe(question)
        self._write({**answers, key: answer})
        return answer

    def _key(self, question: ComputeQuestion) -> str:
        try:
            status = Path(question.model_path).stat()
            stamp = [status.st_size, status.st_mtime_ns]
        except OSError:
            stamp = []
        text = json.dumps([to_plain(question), stamp, self._build, _FORM], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def _read(self) -> dict[str, ComputeAnswer]:
        """A damaged memory is an empty one: it only saves time."""
        try:
            raw = read_object(self._memory_file.read_bytes(), _FILE_LIMIT_BYTES)
            return {key: from_plain(ComputeAnswer, entry, "answer") for key, entry in raw.items()}
        except (OSError, RecordFault):
            return {}

    def _write(self, answers: dict[str, ComputeAnswer]) -> None:
        kept = dict(list(answers.items())[-_LIMIT:])
        temporary = self._memory_file.with_name(f".{self._memory_file.name}-{os.getpid()}")
        try:
            self._memory_file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps({key: to_plain(answer) for key, answer in kept.items()}), "utf-8")
            temporary.replace(self._memory_file)
        except OSError:
            # A full disk costs the next load a second, nothing more.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def identify_build() -> list[str | int]:
    """Version of the package and date of its libraries, without importing it: a rebuild for a card changes buffers."""
    try:
        version = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        version = ""
    found = importlib.util.find_spec("llama_cpp")
    if found is None or found.origin is None:
        return [version]
    try:
        return [version, (Path(found.origin).parent / "lib").stat().st_mtime_ns]
    except OSError:
        return [version]
