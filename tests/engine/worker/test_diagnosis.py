"""Causes named from remains: a table of deaths."""

from __future__ import annotations

import pytest

from engine.worker.diagnosis import Death, describe_exit, diagnose
from engine.worker.spec import Failed, Loading, Ready, Starting, Stopped

READY = Ready(1, "http://127.0.0.1:1", 0.1, ())

TABLE: list[tuple[str, Death, str, str]] = [
    (
        "CUDA, model buffer",
        Death(1, ("allocating 5000.00 MiB on device 0: cudaMalloc failed: out of memory",), Loading(0.1)),
        "out_of_memory",
        "device's memory",
    ),
    (
        "Vulkan",
        Death(1, ("ggml_vulkan: vk::Device::allocateMemory: ErrorOutOfDeviceMemory",), Loading(0.1)),
        "out_of_memory",
        "device's memory",
    ),
    (
        "Metal",
        Death(-6, ("error: Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)",), READY),
        "out_of_memory",
        "device's memory",
    ),
    (
        "host allocation",
        Death(-6, ("ggml_aligned_malloc: insufficient memory (attempted to allocate 9000.00 MB)",), Loading(0.9)),
        "out_of_memory",
        "needed more memory",
    ),
    (
        "KV cache",
        Death(1, ("failed to allocate buffer for kv cache", "load failed"), Loading(1.0)),
        "out_of_memory",
        "needed more",
    ),
    (
        "C++",
        Death(-6, ("terminate called after throwing an instance of 'std::bad_alloc'",), READY),
        "out_of_memory",
        "",
    ),
    ("Python", Death(1, ("Traceback (most recent call last):", "MemoryError"), READY), "out_of_memory", ""),
    (
        "pinned memory is only a wish",
        Death(-11, ("WARNING: failed to allocate 12.00 MB of pinned memory: no",), READY),
        "segfault",
        "crashed",
    ),
    (
        "memory before its consequence",
        Death(-6, ("x: failed to allocate CUDA0 buffer of size 9", "a.c:1: GGML_ASSERT(buffer) failed"), READY),
        "out_of_memory",
        "",
    ),
    ("kernel's kill", Death(-9, (), READY, killed_for_memory=True), "out_of_memory", "system ended"),
    ("someone's kill", Death(-9, (), READY), "killed", "outside"),
    ("a kill does not blame old lines", Death(-9, ("w: failed to allocate 9 bytes",), READY), "killed", "outside"),
    ("terminated", Death(-15, (), READY), "killed", "outside"),
    ("ended in order, unasked", Death(0, (), Stopped()), "killed", "outside"),
    ("SIGILL", Death(-4, (), Starting(1)), "illegal_instruction", "newer processor"),
    ("SIGSEGV", Death(-11, (), READY), "segfault", "crashed"),
    ("SIGBUS", Death(-7, (), READY), "bad_model_file", "changed"),
    ("SIGFPE", Death(-8, (), READY), "arithmetic", "impossible"),
    ("bare abort", Death(-6, (), READY), "abort", "without saying why"),
    (
        "assert",
        Death(-6, ("before", "ggml.c:12: GGML_ASSERT(a == b) failed", "after"), READY),
        "assert",
        "llama.cpp stopped itself: ggml.c:12: GGML_ASSERT(a == b) failed",
    ),
    (
        "device lost",
        Death(-6, ("CUDA error: unspecified launch failure",), READY),
        "device_failed",
        "unspecified launch failure",
    ),
    (
        "bad file",
        Death(1, ("llama_model_load: error loading model: unknown model architecture: 'weird'",), Loading(0.0)),
        "bad_model_file",
        "'weird'",
    ),
    ("port", Death(1, ("OSError: [Errno 98] error while attempting to bind",), Starting(1)), "port_in_use", "port"),
    (
        "library",
        Death(127, ("python: error while loading shared libraries: libgomp.so.1: cannot open",), None),
        "missing_library",
        "libgomp.so.1",
    ),
    (
        "our own bug",
        Death(1, ("Traceback", "  File", "ValueError: no such thing"), Starting(1)),
        "exception",
        "no such",
    ),
    ("an exception that was caught", Death(3, ("ValueError: caught and logged",), READY), "unknown", "exit code 3"),
    ("Windows: access violation", Death(0xC0000005, (), READY), "segfault", "crashed"),
    ("Windows: negative form", Death(0xC000001D - (1 << 32), (), READY), "illegal_instruction", ""),
    ("Windows: missing DLL", Death(0xC0000135, (), None), "missing_library", ""),
    ("nothing known", Death(3, (), None), "unknown", "before it said anything (exit code 3)"),
    ("nothing known, loading", Death(3, (), Loading(0.5)), "unknown", "while it loaded"),
    ("hung", Death(-9, (), READY, "hung", "and was silent for 61 s"), "hung", "silent for 61 s."),
    ("nonsense", Death(-15, (), None, "protocol", "a line without an end"), "protocol", "a line without an end."),
    ("not started", Death(None, (), None, "unstartable", "[Errno 2] No such file"), "unstartable", "No such file."),
    (
        "no memory to start",
        Death(None, (), None, "unstartable", "[Errno 12] Cannot allocate memory"),
        "out_of_memory",
        "",
    ),
    (
        "told by itself",
        Death(0, ("CUDA error: x",), Failed("unsupported", "Too new.", "", "x")),
        "unsupported",
        "Too new.",
    ),
]


@pytest.mark.parametrize(("death", "code", "words"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_cause_is_named(death: Death, code: str, words: str) -> None:
    failed = diagnose(death)
    assert failed.code == code
    assert words in failed.sentence
    assert failed.sentence.endswith((".", "failed", "'weird'", "failure", "open", "thing", "'x'"))


def test_the_evidence_holds_the_exit_and_the_end_of_the_log() -> None:
    lines = tuple(f"line {number}" for number in range(200))
    evidence = diagnose(Death(-11, lines, READY)).evidence.splitlines()
    assert evidence[0] == "killed by SIGSEGV"
    assert evidence[-1] == "line 199"
    assert "line 100" not in evidence


def test_a_quoted_line_is_without_the_names_of_functions() -> None:
    line = "llama_model_load: error loading model: llama_model_loader: failed to load model from /m/x.gguf"
    sentence = diagnose(Death(1, (line,), Loading(0.0))).sentence
    assert sentence == "llama.cpp refuses the model file: failed to load model from /m/x.gguf"


def test_the_evidence_is_bounded() -> None:
    assert len(diagnose(Death(1, ("x" * 2000,) * 80, READY)).evidence) < 7000


def test_a_quoted_line_is_short() -> None:
    assert len(diagnose(Death(-6, ("GGML_ASSERT(" + "x" * 5000 + ") failed",), READY)).sentence) < 300


@pytest.mark.parametrize(
    ("code", "words"),
    [(None, "no process"), (-9, "killed by SIGKILL"), (2, "exit code 2"), (0xC0000005, "exit code 0xC0000005")],
)
def test_an_exit_in_words(code: int | None, words: str) -> None:
    assert describe_exit(code) == words
