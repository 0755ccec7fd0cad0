"""``gatehouse chat`` and ``gatehouse serve`` as another program would use them, with the real starter model."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import made_models
from tests.app.native import STARTER

pytestmark = [pytest.mark.native, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
Wait = Callable[[Callable[[], bool], float], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "settings.json").write_text('{"n_ctx": 1024, "max_tokens": 24, "temperature": 0}', "utf-8")
    return tmp_path


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "app", *arguments]


def _chat(folder: Path, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _command("chat", *arguments, "--data-dir", str(folder)),
        input=stdin,
        capture_output=True,
        encoding="utf-8",
        cwd=ROOT,
        timeout=150,
        check=False,
    )


def test_answer_as_text(folder: Path) -> None:
    done = _chat(folder, "What is the capital of France?")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Paris" in done.stdout
    assert done.stdout.endswith("\n")
    log = (folder / "logs" / "gatehouse.log").read_text("utf-8")
    assert "France" not in log
    assert "Paris" not in log


def test_answer_as_json_from_a_pipe(folder: Path) -> None:
    done = _chat(folder, "-", "--json", "-m", "smollm2", stdin="What is the capital of France?\n")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert "Paris" in answer["text"]
    assert answer["model"] == STARTER
    assert answer["timings"]["predicted_per_second"] > 0
    assert answer["usage"]["completion_tokens"] == answer["timings"]["predicted_n"]


def test_a_file_answers_and_is_known_from_then_on(folder: Path) -> None:
    file = folder / "mine.gguf"
    shutil.copyfile(made_models.STARTER, file)
    done = _chat(folder, "What is the capital of France?", "-m", os.path.relpath(file, ROOT), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "mine"
    again = _chat(folder, "Say yes.", "-m", "mine", "--json")
    assert json.loads(again.stdout)["model"] == "mine"


def test_too_long_is_said_with_numbers(folder: Path) -> None:
    done = _chat(folder, stdin="river " * 3000)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the context holds 1,024" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@contextmanager
def _serving(folder: Path, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        _command("serve", "--data-dir", str(folder), *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def _first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _get(address: str, path: str, key: str | None = None) -> object:
    request = urllib.request.Request(address + path, headers={"Authorization": f"Bearer {key}"} if key else {})
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def _worker_pids(process: subprocess.Popen[str]) -> list[int]:
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True) if _is_worker(child)]


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "engine.worker" in " ".join(process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def test_serve_is_open_on_loopback_and_ends_without_orphans(folder: Path, wait_for: Wait) -> None:
    with _serving(folder) as process:
        address = _first_line(process)
        assert address.startswith("http://127.0.0.1:")
        listed = _get(address, "/v1/models")
        assert isinstance(listed, dict)
        assert [model["id"] for model in listed["data"]] == [STARTER]
        workers = _worker_pids(process)
        assert len(workers) == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        wait_for(lambda: not psutil.pid_exists(workers[0]), 10.0)


def test_each_of_three_users_has_a_part_and_no_more(folder: Path) -> None:
    with _serving(folder, "--json", "--users", "3", "--context", "700") as process:
        line = json.loads(_first_line(process))
        assert (line["users"], line["n_ctx"]) == (3, 768)
        listed = _get(line["address"], "/v1/models")
        assert isinstance(listed, dict)
        assert listed["data"][0]["meta"]["n_ctx"] == 768
        questions = [f"Write the word number {number} in {number} words." for number in (1, 2, 3)]
        with ThreadPoolExecutor(3) as askers:
            answers = list(askers.map(lambda question: _ask(line["address"], question), questions))
        assert [status for status, _ in answers] == [200, 200, 200]
        # One user alone has no more, although the others are silent and the whole would hold it.
        status, refusal = _ask(line["address"], "river " * 900)
        assert status == 400
        assert refusal["error"]["code"] == "context_length_exceeded"
        assert "the context holds 768" in refusal["error"]["message"]


def _ask(address: str, question: str) -> tuple[int, dict[str, Any]]:
    body = {"messages": [{"role": "user", "content": question}], "max_tokens": 24}
    request = urllib.request.Request(
        address + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal 9")
def test_serve_restarts_a_dead_worker_on_the_same_port_and_dies_with_it(folder: Path, wait_for: Wait) -> None:
    with _serving(folder, "--json", GATEHOUSE_API_KEY="chosen-key") as process:
        line = json.loads(_first_line(process))
        assert (line["model"], line["api_key_required"], line["n_ctx"]) == (STARTER, True, 1024)
        address = line["address"]
        with pytest.raises(urllib.error.HTTPError) as caught:
            _get(address, "/v1/models")
        assert caught.value.code == 401
        caught.value.close()
        assert _get(address, "/v1/models", "chosen-key")
        (worker,) = _worker_pids(process)
        os.kill(worker, signal.SIGKILL)

        def answers() -> bool:
            try:
                return bool(_get(address, "/v1/models", "chosen-key"))
            except OSError:
                return False

        wait_for(lambda: worker not in _worker_pids(process) and answers(), 90.0)
        (second,) = _worker_pids(process)
        process.kill()
        process.wait(30)
        wait_for(lambda: not psutil.pid_exists(second), 10.0)
