"""The window as a process of its own, as a person starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USABLE = "usable at "


def environment() -> dict[str, str]:
    """A person's, without a screen. Python may keep its bytecode: a second start is not to compile everything anew."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}


def start(folder: Path) -> subprocess.Popen[str]:
    """``gatehouse --data-dir FOLDER``."""
    return subprocess.Popen(
        [sys.executable, "-m", "app", "--data-dir", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=folder,
    )


def usable_at(folder: Path, process: subprocess.Popen[str], timeout_s: float = 60) -> float:
    """Waits for the log line of the moment from which one could type; returns that moment."""
    log = folder / "logs" / "gatehouse.log"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if log.exists():
            for line in reversed(log.read_text("utf-8").splitlines()):
                if USABLE in line:
                    return float(line.rsplit(USABLE, 1)[1])
        assert process.poll() is None, f"ended with {process.returncode}: {process.communicate()}"
        time.sleep(0.02)
    raise AssertionError(f"not usable within {timeout_s} s")


@contextmanager
def window(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A window that is usable; ended when the block is left."""
    process = start(folder)
    try:
        usable_at(folder, process)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.communicate()
