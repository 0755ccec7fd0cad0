"""The whole product in a real window: offline, through deaths, and one window a folder."""

from __future__ import annotations

import json
import os
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0

pytestmark = [pytest.mark.native, pytest.mark.slow]

# In a namespace of its own a process has a loopback device that is down: bring it up, then become the program.
_ISOLATED = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    fcntl.ioctl(probe, 0x8914, struct.pack('16sh', b'lo', 1))
    try:
        probe.connect(('192.0.2.1', 9))
    except OSError:
        pass
    else:
        sys.exit('there is a network')
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


class Window:
    """A running Gatehouse, with a pilot at its keys."""

    def __init__(self, data: Path, prefix: tuple[str, ...] = ()) -> None:
        if not data.exists():
            data.mkdir()
            (data / "settings.json").write_text(json.dumps({"temperature": 0.0}))  # the same answer every time
        command = [*(prefix or (sys.executable,)), "-X", "faulthandler", "-m", "tests.e2e.pilot", str(data)]
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._events: queue.Queue[Mapping[str, object]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, name="pilot reader")
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._events.put(json.loads(line))
        self._events.put({"event": "end"})

    def order(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def expect(self, event: str) -> Mapping[str, object]:
        """The next event of that name; others before it are passed over."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                seen = self._events.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no {event} within {PATIENCE_S} s; exit code {self.process.poll()}")
            if seen["event"] == event:
                return seen
            if seen["event"] == "end":
                pytest.fail(f"the window ended before {event}; exit code {self.process.wait(PATIENCE_S)}")

    def quit(self) -> int:
        self.order("quit")
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(PATIENCE_S)
        self._reader.join()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def open_window(tmp_path: Path) -> Iterator[Callable[..., Window]]:
    opened: list[Window] = []

    def open_(prefix: tuple[str, ...] = ()) -> Window:
        opened.append(Window(tmp_path / "data", prefix))
        return opened[-1]

    yield open_
    for window in opened:
        window.close()


def _begin(window: Window) -> None:
    assert window.expect("window")["page"] == "welcome"
    window.order("start")
    window.expect("ready")


def _gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _namespace_prefix() -> tuple[str, ...]:
    prefix = ("unshare", "--net", "--map-root-user") if os.geteuid() else ("unshare", "--net")
    command = (*prefix, sys.executable, "-c", _ISOLATED)
    if sys.platform != "linux":
        pytest.skip("network namespaces are Linux's")
    tried = subprocess.run([*command, "-c", ""], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"this system grants no network namespace: {tried.stderr.decode()[-200:]}")
    return command


def test_answers_without_any_network(open_window: Callable[..., Window]) -> None:
    window = open_window(_namespace_prefix())
    _begin(window)
    window.order("say What is the capital of France?")
    answer = window.expect("finished")
    assert answer["status"] == "complete", answer
    assert "Paris" in str(answer["text"])
    assert window.quit() == 0


def test_worker_killed_in_mid_answer(open_window: Callable[..., Window]) -> None:
    window = open_window()
    assert window.expect("window")["page"] == "welcome"
    window.order("start")
    worker = window.expect("ready")["pid"]
    assert isinstance(worker, int)
    window.order("say Write a very long story about a lighthouse, with many chapters.")
    window.expect("growing")
    os.kill(worker, signal.SIGKILL)
    answer = window.expect("finished")
    assert answer["status"] == "interrupted"
    assert answer["text"]
    assert answer["error"]
    window.order("say What is the capital of France?")
    second = window.expect("finished")
    assert second["status"] == "complete", second
    assert window.quit() == 0


def test_app_killed_keeps_the_text_and_leaves_no_worker(
    open_window: Callable[..., Window], tmp_path: Path, wait_for: Callable[..., None]
) -> None:
    window = open_window()
    assert window.expect("window")["page"] == "welcome"
    window.order("start")
    worker = window.expect("ready")["pid"]
    assert isinstance(worker, int)
    window.order("say Write a very long story about a lighthouse, with many chapters.")
    window.expect("growing")
    database = tmp_path / "data" / "gatehouse.db"

    def saved() -> str:
        store = sqlite3.connect(database)
        try:
            row = store.execute("SELECT text FROM messages WHERE role = 'assistant'").fetchone()
        finally:
            store.close()
        return str(row[0]) if row else ""

    wait_for(lambda: len(saved()) > 0, PATIENCE_S)  # saved while it streams, not only at the end
    text = saved()
    window.process.kill()
    window.process.wait(PATIENCE_S)
    wait_for(lambda: _gone(worker), PATIENCE_S)

    again = open_window()
    assert again.expect("window")["page"] == "chat"
    again.expect("ready")
    store = sqlite3.connect(database)
    try:
        kept, status = store.execute("SELECT text, status FROM messages WHERE role = 'assistant'").fetchone()
    finally:
        store.close()
    assert status == "interrupted"
    assert kept.startswith(text)
    assert again.quit() == 0


def test_second_window_says_so_shows_the_first_and_ends(open_window: Callable[..., Window], tmp_path: Path) -> None:
    first = open_window()
    first.expect("window")
    first.order("minimise")
    assert first.expect("minimised")["minimised"] is True
    second = subprocess.run(
        [sys.executable, "-m", "app", "--data-dir", str(tmp_path / "data")],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert second.returncode == 0, second.stderr
    assert "already open" in (second.stdout + second.stderr).lower()
    assert first.expect("asked_to_show")["minimised"] is False
    assert first.quit() == 0
