"""The client's side of a probe: children that answer, hang, die or talk nonsense. All of them are real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.errors import ProbeFailed
from engine.hardware.profile import DeviceKind
from engine.probe import client
from engine.probe.client import ask, list_devices, measure_compute, run_child
from engine.probe.records import ComputeAnswer, ComputeQuestion, GgmlDevice
from engine.records import to_plain

_PATIENCE_S = 300.0
"""On a machine that is busy with other things nothing is decided by time."""
QUESTION = ComputeQuestion("/models/m.gguf", 4096, 512, 512, 8, 8, "q8_0", 0, None, ("127.0.0.1:5000",))
ANSWER = ComputeAnswer((("CPU", 1000), ("CUDA0", 2000)), 10, 20, 30, 2, 4096)
DEVICE = GgmlDevice("CUDA0", "A card", DeviceKind.GPU, 8_000, 7_000, "0000:01:00.0", "CUDA")


def _child(code: str, timeout_s: float = 120.0) -> dict[str, object]:
    return run_child([sys.executable, "-c", code], "test", {"n": 1}, timeout_s)


def _failure(code: str, timeout_s: float = 120.0) -> ProbeFailed:
    with pytest.raises(ProbeFailed) as caught:
        _child(code, timeout_s)
    return caught.value


def test_question_and_answer() -> None:
    assert _child("import sys,json; q=json.loads(sys.stdin.readline()); print(json.dumps({'got': q}))") == {
        "got": {"n": 1}
    }


def test_a_child_that_hangs_is_ended() -> None:
    started = time.monotonic()
    failure = _failure("import time; time.sleep(600)", 0.5)
    assert failure.code == "probe_timeout"
    assert failure.sentence == "The test probe gave no answer within 0.5 s."
    assert time.monotonic() - started < 120


def test_a_child_that_ignores_polite_signals_is_ended() -> None:
    stubborn = "import signal,time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
    assert _failure(stubborn, 0.5).code == "probe_timeout"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to die of")
def test_the_signal_a_child_died_of_is_named() -> None:
    failure = _failure(
        "import os,sys; print('illegal instruction in kernel', file=sys.stderr, flush=True); os.kill(os.getpid(), 4)"
    )
    assert failure.code == "probe_died"
    assert failure.sentence == "The test probe was ended by SIGILL: illegal instruction in kernel"


def test_the_exit_code_and_the_last_words_are_named() -> None:
    failure = _failure("import sys; print('first', file=sys.stderr); sys.exit('no driver found')")
    assert failure.code == "probe_died"
    assert failure.sentence == "The test probe ended with exit code 1: no driver found"


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("print('hello')", "not JSON"),
        ("print('[1, 2]')", "not an object"),
        ("", "not JSON"),
        ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "more than 1 MiB"),
    ],
)
def test_nonsense_is_refused(code: str, what: str) -> None:
    failure = _failure(code)
    assert failure.code == "probe_nonsense"
    assert what in failure.sentence


def test_endless_complaints_do_not_fill_the_memory() -> None:
    failure = _failure("import sys\nfor i in range(20000): sys.stderr.write('x' * 999 + chr(10))\nsys.exit(3)")
    assert failure.code == "probe_died"
    assert len(failure.sentence) < 400


def test_a_grandchild_that_holds_the_pipes_does_not_hold_us() -> None:
    code = (
        "import json,subprocess,sys\n"
        "lingering = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(json.dumps({'pid': lingering.pid}), flush=True)\n"
    )
    started = time.monotonic()
    pid = _child(code)["pid"]
    assert isinstance(pid, int)
    lingering = psutil.Process(pid)
    try:
        assert time.monotonic() - started < 120
    finally:
        lingering.kill()
        psutil.wait_procs([lingering], timeout=10)


def test_an_error_crosses_as_code_and_sentence() -> None:
    failure = _failure('print(\'{"error": {"code": "device_missing", "sentence": "No.", "hint": "Look."}}\')')
    assert (failure.code, failure.sentence, failure.hint) == ("device_missing", "No.", "Look.")


def test_a_program_that_does_not_exist() -> None:
    with pytest.raises(ProbeFailed) as caught:
        run_child(["/nonexistent/program"], "test", {}, 5)
    assert caught.value.code == "probe_not_started"


def _answering(monkeypatch: pytest.MonkeyPatch, reply: object) -> None:
    """Let the client start a child that gives this answer, whatever it is asked."""
    command = [sys.executable, "-c", f"print({json.dumps(reply)!r})"]

    def other(_command: object, *arguments: Any) -> dict[str, object]:
        return run_child(command, *arguments)

    monkeypatch.setattr(client, "run_child", other)


def test_records_survive_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, {"devices": [to_plain(DEVICE)]})
    assert list_devices(_PATIENCE_S) == (DEVICE,)
    _answering(monkeypatch, to_plain(ANSWER))
    assert measure_compute(QUESTION, _PATIENCE_S) == ANSWER


@pytest.mark.parametrize(
    "change",
    [
        {"total_bytes": -1},
        {"total_bytes": "8"},
        {"free_bytes": True},
        {"free_bytes": 2**64},
        {"kind": "quantum"},
        {"name": None},
        {"description": "x" * 50_000},
        {"pci_id": 7},
        {"more": 1},
    ],
)
def test_devices_are_checked(change: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, {"devices": [{**to_plain(DEVICE), **change}]})
    with pytest.raises(ProbeFailed) as caught:
        list_devices(_PATIENCE_S)
    assert caught.value.code == "probe_nonsense"


@pytest.mark.parametrize(
    "change", [{"compute": [["CPU", -5]]}, {"compute": [["CPU"]]}, {"kv_bytes": -1}, {"splits": "2"}]
)
def test_sizes_are_checked(change: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    _answering(monkeypatch, {**to_plain(ANSWER), **change})
    with pytest.raises(ProbeFailed) as caught:
        measure_compute(QUESTION, _PATIENCE_S)
    assert caught.value.code == "probe_nonsense"


def test_the_child_gets_no_secrets_and_no_other_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "abc")
    monkeypatch.setenv("LLAMA_CPP_LIB_PATH", "/elsewhere")
    seen = _child("import os,json; print(json.dumps(dict(os.environ)))")
    assert "PATH" in seen
    assert not {"SOME_API_KEY", "LLAMA_CPP_LIB_PATH"} & seen.keys()


@pytest.mark.native
@pytest.mark.timeout(600)
class TestRealProbe:
    """The probe itself, with the installed llama.cpp."""

    def test_devices(self) -> None:
        devices = list_devices(_PATIENCE_S)
        (processor,) = [device for device in devices if device.kind is DeviceKind.CPU]
        assert processor.name == processor.backend == "CPU"
        assert processor.total_bytes > 0

    def test_an_unknown_probe(self) -> None:
        with pytest.raises(ProbeFailed, match="unknown probe 'nothing'"):
            ask("nothing", {}, _PATIENCE_S)

    def test_a_file_that_is_no_model(self, tmp_path: Path) -> None:
        path = tmp_path / "m.gguf"
        path.write_bytes(b"GGUF" + bytes(60))
        with pytest.raises(ProbeFailed) as caught:
            measure_compute(ComputeQuestion(str(path), 512, 512, 512, 1, 1, "f16", 0, None), _PATIENCE_S)
        assert caught.value.code == "model_refused"

    def test_a_context_that_llama_cpp_refuses(self, made_folder: Path) -> None:
        from tests.made_models import TINY_LATENT, make_tiny

        model = make_tiny(TINY_LATENT, made_folder / "tiny-latent.gguf")
        with pytest.raises(ProbeFailed) as caught:
            measure_compute(ComputeQuestion(str(model), 512, 512, 512, 1, 1, "q8_0", 0, None), _PATIENCE_S)
        assert caught.value.code == "context_refused"
        assert "does not divide" in caught.value.sentence

    def test_a_device_that_is_not_there(self, tiny_model: Path) -> None:
        with pytest.raises(ProbeFailed, match=r"llama\.cpp knows no device CUDA7"):
            measure_compute(ComputeQuestion(str(tiny_model), 512, 512, 512, 1, 1, "f16", 99, "CUDA7"), _PATIENCE_S)

    def test_a_hollow_file_is_enough(self, starter: Path, tmp_path: Path) -> None:
        """Header and length decide the buffers: a plan can be made before the weights are there."""
        from engine.gguf.split import read_model

        header = read_model(starter)
        hollow = tmp_path / "hollow.gguf"
        with starter.open("rb") as source, hollow.open("wb") as target:
            target.write(source.read(header.shards[0].data_offset))
            target.truncate(header.file_bytes)
        asked = ComputeQuestion(str(starter), 2048, 512, 512, 4, 4, "f16", 0, None)
        whole = measure_compute(asked, _PATIENCE_S)
        assert measure_compute(ComputeQuestion(str(hollow), 2048, 512, 512, 4, 4, "f16", 0, None), _PATIENCE_S) == whole

    def test_it_ends_with_its_parent(self) -> None:
        """The child waits for its question; when the pipe closes instead, it must not stay."""
        child = subprocess.Popen(
            [sys.executable, "-m", "engine.probe", "devices"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        child.wait(_PATIENCE_S)
        child.stdout.close()
