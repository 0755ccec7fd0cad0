"""How soon the window is usable, and what the app's own process then holds. The worker is a process apart.

*Usable* is the moment that the window itself logs: its page is painted and Qt waits for input.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tests.bench.table import Row
from tests.ui.running import ROOT, environment, start, usable_at

_RUNS = 5
_SETTLE_S = 8.0
"""An idle app has loaded its model and measured its machine by then."""
_MIB = 1 << 20
_USABLE_GOAL_S, _RSS_GOAL_MIB = 1.0, 150.0
_ANSWER_LIMIT_S = 180
_ANSWER_TOKENS = 256
"""The starter model does not always know when to stop."""


def measure() -> list[Row]:
    """Three rows: usable, resident after the start, resident after the first answer."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as name:
        folder = Path(name) / "used"
        folder.mkdir()
        (folder / "settings.json").write_text('{"welcome_done": true}', encoding="utf-8")  # it opens on the chat page
        times, resident = [], 0.0
        for place in range(_RUNS + 1):  # the first one fills the caches
            seconds, resident = _start_once(folder, _SETTLE_S if place == _RUNS else 0.0)
            if place:
                times.append(seconds)
        answered = _after_an_answer(Path(name) / "new")
    usable = statistics.median(times)
    spread = f"median of {_RUNS} warm starts, {min(times):.2f} to {max(times):.2f} s; process start to painted page"
    return [
        Row("Window usable", usable, "s", None, "≤ 1.0 s", usable <= _USABLE_GOAL_S, spread),
        Row(
            "Resident, idle after the start",
            resident,
            "MiB",
            None,
            "≤ 150 MiB",
            resident <= _RSS_GOAL_MIB,
            f"the app's process {_SETTLE_S:.0f} s after it was usable",
        ),
        Row(
            "Resident, idle after an answer",
            answered,
            "MiB",
            None,
            "≤ 150 MiB",
            answered <= _RSS_GOAL_MIB,
            f"5 s after an answer of at most {_ANSWER_TOKENS} tokens, the first in a new data folder",
        ),
    ]


def _start_once(folder: Path, settle_s: float) -> tuple[float, float]:
    """Seconds to usable, and MiB resident ``settle_s`` later."""
    log = folder / "logs" / "gatehouse.log"
    log.unlink(missing_ok=True)
    began = time.time()
    process = start(folder)
    try:
        moment = usable_at(folder, process)
        time.sleep(settle_s)
        resident = psutil.Process(process.pid).memory_info().rss / _MIB
    finally:
        process.terminate()
        process.communicate(timeout=60)
    return moment - began, resident


def _after_an_answer(folder: Path) -> float:
    """MiB resident of a window that loaded the starter model and answered once."""
    folder.mkdir()
    (folder / "settings.json").write_text(f'{{"max_tokens": {_ANSWER_TOKENS}}}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.startup", str(folder)],
        stdout=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
        text=True,
        timeout=_ANSWER_LIMIT_S,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _pilot(folder: Path) -> int:
    """In the child: the real window, the starter model, one question; prints MiB resident when idle again."""
    from ui import plain_imports

    plain_imports.restore()
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from app.paths import resolve
    from ui.application import run
    from ui.pages.chat import ChatPage
    from ui.pages.welcome import WelcomePage
    from ui.window import Window

    app = QApplication(sys.argv[:1])
    asked: list[float] = []

    def look() -> None:
        window = next((found for found in app.topLevelWidgets() if isinstance(found, Window)), None)
        if window is None or window.desk is None:
            return
        welcome, page = window.page("welcome"), window.page("chat")
        if isinstance(welcome, WelcomePage) and window.current == "welcome":
            welcome.start.click()
        elif isinstance(page, ChatPage) and not asked:
            page.composer.set_draft("Say hello.")
            if page.composer.sendable:
                asked.append(time.monotonic())
                window.desk.bridge.answer_finished.connect(lambda _event: QTimer.singleShot(5000, finish))
                page.composer.send()

    def finish() -> None:
        sys.stdout.write(f"{psutil.Process().memory_info().rss / _MIB}\n")
        for found in app.topLevelWidgets():
            found.close()

    timer = QTimer(interval=200)
    timer.timeout.connect(look)
    timer.start()
    return run(resolve(folder))


if __name__ == "__main__":
    sys.exit(_pilot(Path(sys.argv[1])))
