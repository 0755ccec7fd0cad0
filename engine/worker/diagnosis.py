"""Names the cause of a worker's death from what it left behind. Pure: no process is touched here.

What to do about it is ``engine.worker.lifecycle``'s decision; gathering the remains is ``engine.worker.supervisor``'s.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from engine.fit.concession import concessions
from engine.fit.plan import Plan
from engine.worker.shortage import explain, missing_bytes, read_shortage
from engine.worker.spec import Failed, Loading, Ready, Starting, Stopped, WorkerState

EndedBy = Literal["itself", "hung", "protocol", "unstartable"]
"""Why the life ended, as the supervisor saw it: by itself, killed for silence, killed for nonsense, never started."""

_LAST_LINES: Final = 80
_EVIDENCE_LINES: Final = 40
_EVIDENCE_CHARACTERS: Final = 6000
_UNCAUGHT: Final = 1
"""How Python exits after an exception that nobody caught; any other end has not to do with one in the log."""

_SMALLER: Final = "Choose a smaller context or a smaller model, or close other programs."
_OFFERED: Final = "Choose what to give up, or close other programs and load it again."
_TRY_AGAIN: Final = "Load the model again. If it happens every time, the details below help to find the cause."
_FUNCTION_NAMES: Final = re.compile(r"^(?:(?:[a-z]+_\w+|error loading model): )+(?=.)")
_VAGUE: Final = frozenset({"load_failed", "context_failed", "warm_up_failed", "decode_failed"})
"""What the worker says when a function of llama.cpp returned nothing."""
_CLEARER: Final = frozenset({"out_of_memory", "bad_model_file", "device_failed"})


@dataclass(frozen=True, slots=True)
class Death:
    """What is known when a worker's process is gone."""

    exit_code: int | None
    """As ``subprocess`` reports it: negative is a POSIX signal; ``None`` when there never was a process."""
    lines: tuple[str, ...]
    """The end of its log."""
    last: WorkerState | None
    """The last state it told."""
    ended_by: EndedBy = "itself"
    detail: str = ""
    """The supervisor's own words: how long it was silent, what nonsense it wrote, why it could not be started."""
    killed_for_memory: bool = False
    """The kernel counted an out-of-memory kill during this life."""
    plan: Plan | None = None
    """What it was told to load."""
    free: tuple[tuple[str, int], ...] = ()
    """Free bytes by device after its end, as far as the supervisor can see."""


@dataclass(frozen=True, slots=True)
class _Cause:
    code: str
    sentence: str
    hint: str


_Tell = Callable[[re.Match[str]], str]


def _whole_line(beginning: str) -> _Tell:
    return lambda found: f"{beginning}: {_short(found.string)}"


_OUT_OF_MEMORY: Final = _Cause("out_of_memory", "The model needed more memory than there was.", _SMALLER)

# The first row whose pattern occurs in the last lines wins; so causes stand before their consequences.
# Source: messages of llama.cpp 0c1e57098 (ggml-cuda.cu, ggml-vulkan.cpp, ggml-alloc.c, ggml.c, llama-model-loader.cpp).
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str, str | _Tell, str], ...]] = tuple(
    (re.compile(pattern, re.IGNORECASE), code, sentence, hint)
    for pattern, code, sentence, hint in (
        (
            r"out of memory|OutOf(?:Device|Host)Memory|hipErrorOutOfMemory|CallbackErrorOutOfMemory",
            _OUT_OF_MEMORY.code,
            "The device's memory ran out.",
            _SMALLER,
        ),
        (
            r"(?:failed|unable) to allocate (?!.*pinned)(?!.*skipping)|memory allocation of size \S+ failed"
            r"|insufficient memory|cannot allocate memory|std::bad_alloc|\bMemoryError\b|paging file is too small",
            _OUT_OF_MEMORY.code,
            _OUT_OF_MEMORY.sentence,
            _SMALLER,
        ),
        (
            r"address already in use|WinError 10048|errno 98\b|errno 48\b",
            "port_in_use",
            "The port asked for is already used by another program.",
            "Choose another port, or 0 to let the system choose.",
        ),
        (
            r"error while loading shared libraries.*|cannot open shared object file.*|Library not loaded.*"
            r"|DLL load failed.*|Failed to load shared library.*|version `(?:GLIBC|GLIBCXX|CXXABI)_\S+' not found"
            r"|ModuleNotFoundError: .*",
            "missing_library",
            _whole_line("A library that the model's engine needs cannot be loaded"),
            "Run the set-up again: make setup.",
        ),
        (
            r"invalid magic|unknown model architecture.*|not within the file bounds|is corrupted or incomplete"
            r"|missing tensor.*|wrong number of tensors.*|error loading model.*|failed to read.*GGUF",
            "bad_model_file",
            _whole_line("llama.cpp refuses the model file"),
            "Fetch the file again, or choose another model.",
        ),
        (
            r"ErrorDeviceLost|device lost|CUDA error: .*|ROCm error: .*|HIP error: .*|GPU hang",
            "device_failed",
            _whole_line("The graphics device failed"),
            "This happens after sleep or a driver update. Load the model again; restart the machine if it stays.",
        ),
        (r"GGML_ASSERT\(.*\) failed.*", "assert", _whole_line("llama.cpp stopped itself"), _TRY_AGAIN),
        (r"GGML_ABORT.*|fatal error.*", "abort", _whole_line("llama.cpp stopped itself"), _TRY_AGAIN),
        (
            r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)\b.*",
            "exception",
            _whole_line("The worker stopped on an error of its own"),
            _TRY_AGAIN,
        ),
    )
)

_ILLEGAL_INSTRUCTION: Final = _Cause(
    "illegal_instruction",
    "llama.cpp was built for a newer processor than this one.",
    "Run the set-up again on this machine, so that it is built for this processor: make setup.",
)
_SEGFAULT: Final = _Cause("segfault", "llama.cpp crashed (it touched memory that is not its own).", _TRY_AGAIN)
_BUS: Final = _Cause(
    "bad_model_file",
    "The model file changed or could not be read while it was in use.",
    "Check the disk, and fetch the file again if it is incomplete.",
)
_ABORT: Final = _Cause("abort", "llama.cpp stopped itself without saying why.", _TRY_AGAIN)
_KILLED: Final = _Cause("killed", "Something outside ended the model's process.", _TRY_AGAIN)

_SIGNALS: Final = {
    "SIGILL": _ILLEGAL_INSTRUCTION,
    "SIGSEGV": _SEGFAULT,
    "SIGFPE": _Cause("arithmetic", "llama.cpp crashed on an impossible calculation.", _TRY_AGAIN),
    "SIGBUS": _BUS,
    "SIGABRT": _ABORT,
    "SIGKILL": _KILLED,
    "SIGTERM": _KILLED,
    "SIGHUP": _KILLED,
    "SIGINT": _KILLED,
}
# Source: ntstatus.h; 3 is what abort() of the Microsoft C runtime exits with.
_WINDOWS_CODES: Final = {
    0xC0000005: _SEGFAULT,
    0xC0000006: _BUS,
    0xC000001D: _ILLEGAL_INSTRUCTION,
    0xC0000017: _OUT_OF_MEMORY,
    0xC000012D: _OUT_OF_MEMORY,
    0xC00000FD: _SEGFAULT,
    0xC0000135: _Cause(
        "missing_library",
        "A library that the model's engine needs is missing.",
        "Install the Microsoft Visual C++ runtime, then run the set-up again.",
    ),
    0xC000013A: _KILLED,
    0xC0000409: _ABORT,
}


def diagnose(death: Death) -> Failed:
    """The cause as a sentence, a hint and evidence. Never raises."""
    cause = _supervisor_cause(death) or _told_cause(death) or _killed_cause(death) or _log_cause(death)
    cause = cause or _exit_cause(death)
    if cause.code == _OUT_OF_MEMORY.code and death.plan is not None and death.ended_by == "itself":
        return _name_shortage(cause, death, death.plan)
    return Failed(cause.code, cause.sentence, cause.hint, _evidence(death))


def _name_shortage(cause: _Cause, death: Death, plan: Plan) -> Failed:
    """What was being allocated, who has the memory, and what could be given up."""
    told = death.last.free if isinstance(death.last, Failed) else ()
    free = dict((*death.free, *told))
    lines = (*death.lines[-_LAST_LINES:], *(death.last.evidence.splitlines() if isinstance(death.last, Failed) else ()))
    shortage = read_shortage(lines, plan)
    if death.killed_for_memory:
        shortage = replace(shortage, device="CPU")
    in_use = isinstance(death.last, Ready)
    explained = explain(shortage, plan, free, in_use=in_use)
    sentence = f"{cause.sentence} {explained}" if death.killed_for_memory and explained else explained or cause.sentence
    ways = concessions(plan, shortage.device, missing_bytes(shortage, plan, free))
    hint = _OFFERED if ways else _SMALLER
    return Failed(cause.code, sentence, hint, _evidence(death), tuple(free.items()), ways)


def describe_exit(exit_code: int | None) -> str:
    """The end of a process in words: ``killed by SIGSEGV``, ``exit code 3``."""
    if exit_code is None:
        return "no process"
    name = _signal_name(exit_code)
    if name:
        return f"killed by {name}"
    return f"exit code 0x{exit_code:08X}" if exit_code > 0xFFFF else f"exit code {exit_code}"


def _supervisor_cause(death: Death) -> _Cause | None:
    match death.ended_by:
        case "hung":
            return _Cause("hung", f"The model's process stopped answering {death.detail}".rstrip() + ".", _TRY_AGAIN)
        case "protocol":
            sentence = f"The model's process wrote something it should not: {death.detail}"
            return _Cause("protocol", sentence.rstrip(" :.") + ".", _TRY_AGAIN)
        case "unstartable":
            sentence = f"The model's process could not be started: {death.detail}".rstrip(" :.") + "."
            if re.search(r"cannot allocate memory|errno 12\b|WinError 1455", death.detail, re.IGNORECASE):
                return _Cause(_OUT_OF_MEMORY.code, sentence, _SMALLER)
            return _Cause("unstartable", sentence, "Run the set-up again: make setup.")
        case "itself":
            return None


def _told_cause(death: Death) -> _Cause | None:
    """A worker that fails in good order says so itself; where it can only say that llama.cpp refused, the log knows."""
    if isinstance(death.last, Failed):
        logged = _log_cause(death) if death.last.code in _VAGUE else None
        if logged is not None and logged.code in _CLEARER:
            return logged
        return _Cause(death.last.code, death.last.sentence, death.last.hint)
    return _KILLED if isinstance(death.last, Stopped) else None


def _killed_cause(death: Death) -> _Cause | None:
    """Who is killed from outside has not logged why: older lines of the log must not be blamed."""
    name = _signal_name(death.exit_code)
    if name == "SIGKILL" and death.killed_for_memory:
        return _Cause(_OUT_OF_MEMORY.code, "The system ended the model's process to free memory.", _SMALLER)
    return _KILLED if name is not None and _SIGNALS.get(name) is _KILLED else None


def _log_cause(death: Death) -> _Cause | None:
    lines = death.lines[-_LAST_LINES:]
    for pattern, code, sentence, hint in _PATTERNS:
        if code == "exception" and death.exit_code != _UNCAUGHT:
            continue
        for line in reversed(lines):
            found = pattern.search(line.strip())
            if found:
                told = sentence if isinstance(sentence, str) else sentence(found)
                return _Cause(code, told, hint)
    return None


def _exit_cause(death: Death) -> _Cause:
    name = _signal_name(death.exit_code)
    if name is not None and name in _SIGNALS:
        return _SIGNALS[name]
    if death.exit_code is not None and death.exit_code & 0xFFFFFFFF in _WINDOWS_CODES:
        return _WINDOWS_CODES[death.exit_code & 0xFFFFFFFF]
    moment = {Starting: "while it started", Loading: "while it loaded the model", Ready: "while it was in use"}
    when = moment.get(type(death.last), "before it said anything")
    return _Cause("unknown", f"The model's process ended {when} ({describe_exit(death.exit_code)}).", _TRY_AGAIN)


def _signal_name(exit_code: int | None) -> str | None:
    if exit_code is None or not -64 <= exit_code < 0:
        return None
    try:
        return signal.Signals(-exit_code).name
    except ValueError:
        return f"signal {-exit_code}"


def _evidence(death: Death) -> str:
    head = [describe_exit(death.exit_code)]
    if death.killed_for_memory:
        head.append("The kernel counted an out-of-memory kill.")
    if isinstance(death.last, Failed) and death.last.evidence:
        head.append(death.last.evidence)
    tail = "\n".join(death.lines[-_EVIDENCE_LINES:])
    return "\n".join([*head, tail[-_EVIDENCE_CHARACTERS:]]).rstrip()


def _short(line: str) -> str:
    """A line of the log without the names of the functions that wrote it."""
    text = _FUNCTION_NAMES.sub("", " ".join(line.split()))
    return text if len(text) <= 240 else text[:239] + "…"


def last_lines(lines: Sequence[str]) -> tuple[str, ...]:
    """As many of the last lines as a diagnosis looks at."""
    return tuple(lines[-_LAST_LINES:])
