"""``gatehouse doctor``: everything that decides what this machine can run, as a person reads it or as JSON.

Works when nothing else does: it opens neither the product nor the store for writing, and a part that cannot be examined
is a line in the report. Measuring the machine is ``engine.hardware``'s.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import importlib.util
import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.cli.printer import size
from app.documents.recognisers import Tesseract, find_tesseract
from app.paths import Paths
from app.store.database import SCHEMA_VERSION, Error, connect_to
from app.vault import keyfile
from app.vault.records import Lock
from app.vault.vault import Vault
from app.version import version
from engine.errors import VaultError
from engine.hardware.detect import detect
from engine.hardware.profile import Disk, Gpu, Machine
from engine.hub.library import LocalModel, scan
from engine.records import to_plain
from engine.serving.kept.form import SUFFIX

_LABEL_WIDTH: Final = 13
_TEXT_WIDTH: Final = 100

# A 4-bit model in the usual K-quants takes about 4.85 bits a weight. Source: llama.cpp, tools/quantize/README.md.
_Q4_BYTES_PER_PARAMETER: Final = 4.85 / 8
_RESERVE_BYTES: Final = 2 << 30
"""Left for the system, the window and the model's context."""
_SIZES: Final = (0.5, 1, 2, 3, 4, 8, 14, 24, 32, 70, 120, 235, 400, 670, 1000)
"""Sizes, in billions of parameters, that models come in."""
_EFFICIENCY: Final = (0.5, 0.9)
"""Decoding reads all active weights for each token and reaches this part of the bandwidth that was measured."""


@dataclass(frozen=True, slots=True)
class EngineBuild:
    """The installed llama.cpp, from its files alone."""

    package: str
    """Version of llama-cpp-python; empty when it is not installed."""
    ggml: str
    backends: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The store, looked at without changing it."""

    path: Path
    exists: bool
    schema: int
    size_bytes: int
    conversations: int
    messages: int
    fault: str
    lock: str = "plain"
    """``plain``, or what keeps its key: ``keyring``, ``passphrase``."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model on disk, as far as the report shows it."""

    id: str
    path: Path
    size_bytes: int
    quantization: str
    parameters: int | None
    built_in: bool
    fault: str


@dataclass(frozen=True, slots=True)
class KeptReport:
    """What the model remembers of past conversations, encrypted on disk."""

    states: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything the doctor found."""

    version: str
    machine: Machine
    conclusion: str
    engine: EngineBuild
    data_folder: Path
    database: DatabaseState
    models: tuple[FoundModel, ...]
    kept: KeptReport
    tesseract: Tesseract | None = None
    """A second recogniser for scans, if the person has installed it."""


def examine(paths: Paths, machine: Machine | None = None) -> Report:
    """Look at everything. Blocking, for some seconds when the machine is measured for the first time."""
    machine = machine or detect(paths.models, paths.cache, measure_again=True)
    database, added = _look_at_database(paths.database)
    models = scan([paths.models], added, paths.built_in_models)
    return Report(
        version=version(),
        machine=machine,
        conclusion=conclude(machine),
        engine=read_engine_build(),
        data_folder=paths.data,
        database=database,
        models=tuple(_describe_model(model) for model in models),
        kept=_look_at_kept(paths),
        tesseract=find_tesseract(),
    )


def conclude(machine: Machine) -> str:
    """What this machine can run, in one sentence or two: a prediction from what is free now."""
    cards = [gpu for gpu in machine.gpus if gpu.backend is not None and not gpu.unified and gpu.free_bytes > 0]
    best = max(cards, key=lambda gpu: gpu.free_bytes, default=None)
    free = machine.memory.available_bytes
    in_memory = _largest(free - _RESERVE_BYTES)
    if in_memory is None and best is None:
        return f"Only {_gib(free)} of memory are free: too little for a useful model. Close other programs."
    sentences = []
    if best is not None and (on_card := _largest(best.free_bytes - (1 << 30))) is not None:
        sentences.append(f"Models of up to about {_billions(on_card)} parameters, at 4 bits, fit on the {best.name}.")
    if in_memory is not None:
        rest = "fit into main memory" if not sentences else "fit when main memory holds them"
        sentences.append(f"Models of up to about {_billions(in_memory)} parameters, at 4 bits, {rest}.")
    speed = _decode_speed(machine, in_memory)
    return " ".join([*sentences, speed]).strip()


def _decode_speed(machine: Machine, largest: float | None) -> str:
    if machine.bandwidth is None or largest is None:
        return ""
    billions = min(8.0, largest)
    read_per_token = billions * 1e9 * _Q4_BYTES_PER_PARAMETER
    low, high = (machine.bandwidth.read_bytes_s * share / read_per_token for share in _EFFICIENCY)
    return f"On the processor, one of {_billions(billions)} would write about {_band(low, high)} tokens a second."


def _largest(free_bytes: int) -> float | None:
    room = free_bytes / _Q4_BYTES_PER_PARAMETER / 1e9
    return max((billions for billions in _SIZES if billions <= room), default=None)


def read_engine_build() -> EngineBuild:
    """Which llama.cpp is installed, and for which devices it was built. Imports nothing of it."""
    try:
        package = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        return EngineBuild("", "", ())
    found = importlib.util.find_spec("llama_cpp")
    names: set[str] = set()
    ggml = ""
    for folder in found.submodule_search_locations or () if found is not None else ():
        for file in sorted((Path(folder) / "lib").glob("*ggml*")):
            match = re.match(r"(?:lib)?ggml-(\w+)\.", file.name)
            if match and match[1] != "base":
                names.add(match[1].upper() if len(match[1]) <= 4 else match[1].capitalize())
            numbered = re.search(r"ggml-base\.(?:so\.)?(\d+\.\d+\.\d+)", file.name)
            ggml = numbered[1] if numbered else ggml
    return EngineBuild(package, ggml, tuple(sorted(names)))


def _look_at_database(path: Path) -> tuple[DatabaseState, tuple[Path, ...]]:
    """Its state, and the model files that the person added."""
    if not path.exists():
        return DatabaseState(path, False, 0, 0, 0, 0, ""), ()
    schema = conversations = messages = 0
    added: tuple[Path, ...] = ()
    fault, lock = "", Lock.PLAIN
    try:
        lock, key = _key_of(path)
        if lock is Lock.PASSPHRASE:
            return DatabaseState(path, True, 0, path.stat().st_size, 0, 0, "", lock.value), ()
        with closing(connect_to(path, key, read_only=True)) as connection:
            schema = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if schema > SCHEMA_VERSION:
                fault = f"It was written by a newer Gatehouse: schema {schema}, this one knows up to {SCHEMA_VERSION}."
            elif schema > 0:
                conversations = int(connection.execute("SELECT count(*) FROM conversations").fetchone()[0])
                messages = int(connection.execute("SELECT count(*) FROM messages").fetchone()[0])
                added = tuple(Path(row[0]) for row in connection.execute("SELECT path FROM model_files ORDER BY path"))
    except Error as error:
        fault = f"It cannot be read: {error}."
    except VaultError as error:
        fault = error.sentence
    return DatabaseState(path, True, schema, path.stat().st_size, conversations, messages, fault, lock.value), added


def _key_of(database: Path) -> tuple[Lock, bytes | None]:
    """How the store is kept, and its key if that takes nobody's typing. Raises ``VaultError``."""
    file = keyfile.read(database.parent)
    if file is None or file.current.lock is not Lock.KEYRING:
        return file.current.lock if file is not None else Lock.PLAIN, None
    secret = Vault(database).read_envelope(file.current)
    return Lock.KEYRING, secret.page_key if secret is not None else None


def _describe_model(model: LocalModel) -> FoundModel:
    facts = model.facts
    return FoundModel(
        id=model.id,
        path=model.path,
        size_bytes=model.size_bytes,
        quantization=facts.quantization if facts else "",
        parameters=facts.parameters if facts else None,
        built_in=model.built_in,
        fault=model.fault,
    )


def report_json(report: Report) -> str:
    """The whole report; sizes in bytes, times in seconds."""
    return json.dumps(to_plain(report), ensure_ascii=False, indent=2)


def report_text(report: Report) -> str:
    """The report as a person reads it, at most a hundred characters wide where paths allow."""
    machine = report.machine
    head = [f"Gatehouse {report.version} on {machine.system}", "", *_wrap(report.conclusion, _TEXT_WIDTH), ""]
    blocks = [
        ("Processor", list(_processor_lines(machine))),
        ("Memory", list(_memory_lines(machine))),
        ("Graphics", [line for gpu in machine.gpus for line in _gpu_lines(gpu)] or [_no_graphics(machine)]),
        ("Disk", [_disk_line(disk) for disk in machine.disks] or ["unknown"]),
        ("", []),
        ("Engine", [_engine_line(report.engine)]),
        ("Data", [str(report.data_folder)]),
        ("Database", [_database_line(report.database)]),
        ("Models", list(_model_lines(report.models))),
        ("Kept", list(_wrap(_kept_line(report.kept), _TEXT_WIDTH - _LABEL_WIDTH))),
        ("Scans", list(_wrap(_scan_line(report.tesseract), _TEXT_WIDTH - _LABEL_WIDTH))),
        ("", []),
        ("Probes", list(_probe_lines(machine))),
    ]
    return "\n".join([*head, *(line for label, lines in blocks for line in _block(label, lines))])


def _look_at_kept(paths: Paths) -> KeptReport:
    sizes = []
    for path in paths.kept_states.glob(f"*{SUFFIX}"):
        with suppress(OSError):  # a worker may have replaced it just now
            sizes.append(path.stat().st_size)
    return KeptReport(len(sizes), sum(sizes))


def _kept_line(kept: KeptReport) -> str:
    if not kept.states:
        return "nothing of past conversations"
    what = _plural(kept.states, "past conversation")
    return f"memory of {what}, {size(kept.size_bytes)}, encrypted with a key that comes from the store's"


def _scan_line(tesseract: Tesseract | None) -> str:
    if tesseract is None:
        return "read by the built-in recogniser (Tesseract is not installed, and not needed)"
    languages = ", ".join(tesseract.languages[:8])
    return f"read by the built-in recogniser; Tesseract can be chosen in Set-up: {tesseract.program}, with {languages}"


def _block(label: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        yield ""
    for index, line in enumerate(lines):
        yield f"{label if index == 0 else '':<{_LABEL_WIDTH}}{line}"


def _processor_lines(machine: Machine) -> Iterator[str]:
    processor = machine.processor
    yield processor.name
    cores = _plural(processor.physical_cores, "core")
    if processor.performance_cores < processor.physical_cores:
        slow = processor.physical_cores - processor.performance_cores
        cores += f" ({processor.performance_cores} performance, {slow} efficiency)"
    if processor.logical_cores != processor.physical_cores:
        cores += f", {_plural(processor.logical_cores, 'thread')}"
    if processor.affinity_cores < processor.logical_cores:
        cores += f", {processor.affinity_cores} allowed to this process"
    if processor.quota_cores is not None:
        cores += f", CPU time of {processor.quota_cores:g} granted"
    yield f"{cores}; models compute with {_plural(processor.usable_threads, 'thread')}"
    if processor.instruction_sets:
        names = (name.upper().replace("SSE4_", "SSE4.").replace("_", "-") for name in processor.instruction_sets)
        yield from _wrap(", ".join(names), _TEXT_WIDTH - _LABEL_WIDTH)


def _memory_lines(machine: Machine) -> Iterator[str]:
    memory = machine.memory
    limited = " (limited by a control group)" if memory.limit_bytes is not None else ""
    yield f"{_gib(memory.available_bytes)} free of {_gib(memory.total_bytes)}{limited}"
    bandwidth = machine.bandwidth
    if bandwidth is not None:
        day = dt.datetime.fromtimestamp(bandwidth.measured_at, dt.UTC).date()
        threads = _plural(bandwidth.threads, "thread")
        yield f"{bandwidth.read_bytes_s / 1e9:.1f} GB/s, measured on {day.isoformat()} with {threads}"


def _gpu_lines(gpu: Gpu) -> Iterator[str]:
    yield gpu.name
    facts = []
    if gpu.total_bytes:
        shared = ", shared with main memory" if gpu.unified else ""
        facts.append(f"{_gib(gpu.free_bytes)} free of {_gib(gpu.total_bytes)}{shared}")
    else:
        facts.append("memory unknown")
    if gpu.bandwidth_bytes_s:
        facts.append(f"{gpu.bandwidth_bytes_s / 1e9:.0f} GB/s by its data sheet")
    facts.append(f"used as {gpu.backend}" if gpu.backend else "not used: the installed engine has no back-end for it")
    yield "; ".join(facts)


def _no_graphics(machine: Machine) -> str:
    failed = any(not note.ok for note in machine.notes if note.probe in ("nvml", "drm", "apple", "ggml"))
    return "unknown, see below" if failed else "none that can compute"


def _disk_line(disk: Disk) -> str:
    return f"{size(disk.free_bytes)} free of {size(disk.total_bytes)}, {disk.file_system}, for {disk.path}"


def _engine_line(engine: EngineBuild) -> str:
    if not engine.package:
        return "llama.cpp is not installed. Run the set-up again: make setup."
    ggml = f", ggml {engine.ggml}" if engine.ggml else ""
    backends = f"; built for {', '.join(engine.backends)}" if engine.backends else ""
    return f"llama-cpp-python {engine.package}{ggml}{backends}"


def _database_line(database: DatabaseState) -> str:
    if not database.exists:
        return "none yet"
    if database.fault:
        return f"{database.path}: {database.fault}"
    if database.lock == Lock.PASSPHRASE:
        return f"{size(database.size_bytes)}, encrypted with a passphrase, so not looked into"
    seal = "encrypted, key in the keyring" if database.lock == Lock.KEYRING else "not encrypted"
    contents = f"{_plural(database.conversations, 'conversation')}, {_plural(database.messages, 'message')}"
    older = "" if database.schema == SCHEMA_VERSION else ", will be brought up to date at the next start"
    return f"{contents}, {size(database.size_bytes)}, {seal} (schema {database.schema}{older})"


def _model_lines(models: Sequence[FoundModel]) -> Iterator[str]:
    if not models:
        yield "none yet"
    width = min(48, max((len(model.id) for model in models), default=0))
    for model in models:
        about = [size(model.size_bytes).rjust(8), model.quantization or "?"]
        if model.parameters:
            about.append(f"{_billions(model.parameters / 1e9)} parameters")
        if model.built_in:
            about.append("built in")
        yield f"{model.id:<{width}}  {', '.join(about)}"
        if model.fault:
            yield f"  ✗ {model.fault}"


def _probe_lines(machine: Machine) -> Iterator[str]:
    for note in machine.notes:
        duration = f"{note.duration_s:5.1f} s" if note.duration_s >= 0.05 else " " * 7
        yield f"{'✓' if note.ok else '✗'} {note.probe:<10}{duration}  {note.sentence}"


def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def _billions(billions: float) -> str:
    if billions < 0.9995:
        return f"{billions * 1000:.0f} million"
    return f"{billions:.1f}".removesuffix(".0") + " billion"


def _band(low: float, high: float) -> str:
    low_text, high_text = (f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}".removesuffix(".0") for rate in (low, high))
    return low_text if low_text == high_text else f"{low_text} to {high_text}"


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
