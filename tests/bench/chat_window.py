"""The Chat page in the real window: opening a long conversation, and how long Qt's thread is blocked by a stream.

Everything is real but the model: window, bridge, core thread, chat service, store, client; the tokens come at an
even pace from a child (``token_stream``). Runs in a process of its own, offscreen, so that nothing else is warm.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.table import Row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from app.chat.records import Conversation, Message
    from app.providers.provider import Endpoint
    from ui.pages.chat import ChatPage

TOK_S = 212
"""Asked of the child that supplies them; about 200 arrive."""
SECONDS = 12
BURST_CHARS = 30_000
MESSAGES = 2_000
_OPENINGS = 9


@dataclass(frozen=True, slots=True)
class Figures:
    """What the child measured, in milliseconds."""

    opened_ms: list[float]
    blocked_p99_ms: float
    blocked_worst_ms: float
    beats: int
    chars: int
    tok_s: float


def measure_chat() -> list[Row]:
    """About half a minute."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.chat_window"], env=environment, capture_output=True, text=True, timeout=300
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-4000:])
    found = Figures(**json.loads(done.stdout.splitlines()[-1]))
    opened = statistics.median(found.opened_ms)
    spread = f"click to painted, warm; median of {len(found.opened_ms)}, worst {max(found.opened_ms):.0f} ms"
    stream = f"{found.tok_s:.0f} tok/s into an answer of {found.chars:,} characters; {found.beats:,} heartbeats"
    p99, worst = found.blocked_p99_ms, found.blocked_worst_ms
    opening = f"Open a conversation of {MESSAGES:,} messages (window)"
    return [
        Row(opening, opened, "ms", None, "≤ 200 ms", opened <= 200, spread),
        Row("Qt's thread blocked while streaming, p99", p99, "ms", None, "≤ 16 ms", p99 <= 16, stream),
        Row("Qt's thread blocked while streaming, worst", worst, "ms", None, "≤ 50 ms", worst <= 50, stream),
    ]


def main() -> None:
    """In the child: measure and print one line of JSON."""
    from PySide6.QtWidgets import QApplication

    from app.lanes import CoreThread, StoreLane

    app = QApplication(sys.argv[:1])
    model = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.token_stream", str(TOK_S), str(SECONDS), str(BURST_CHARS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    core = CoreThread()
    core.start()
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder:
        lane = StoreLane(Path(folder) / "gatehouse.db")
        try:
            assert model.stdout is not None
            figures = _measure(app, core, lane, Path(folder), int(model.stdout.readline()))
        finally:
            core.stop()
            lane.close()
            model.communicate(timeout=10)
    sys.stdout.write(json.dumps(asdict(figures)) + "\n")


def _measure(app: object, core: object, lane: object, folder: Path, port: int) -> Figures:
    from PySide6.QtWidgets import QApplication

    from app.bus import Bus
    from app.chat.service import ChatService
    from app.lanes import CoreThread, StoreLane
    from app.providers.local import LocalProvider
    from app.services import Services
    from app.settings import Settings
    from ui.bridge import Bridge
    from ui.desk import Desk
    from ui.garbage import set_aside
    from ui.icons import Icons
    from ui.pages.chat import ChatPage
    from ui.screenshots import sample
    from ui.screenshots.double import SampleModels
    from ui.screenshots.double_documents import SampleDocuments
    from ui.screenshots.double_gate import SampleGate
    from ui.screenshots.double_hub import SampleBundles, SampleDownloads, SampleHub
    from ui.screenshots.double_store import DoubleStore
    from ui.shell import page_specs
    from ui.theme import ThemeStore
    from ui.window import Window

    assert isinstance(app, QApplication)
    assert isinstance(core, CoreThread)
    assert isinstance(lane, StoreLane)
    bus, provider = Bus(), LocalProvider()
    settings = Settings(folder / "settings.json")
    chat = ChatService(lane, bus, _Host(port), provider, settings)
    models, downloads = SampleModels(bus, sample.MODELS, sample.READY), SampleDownloads(bus)
    gate = SampleGate(bus, {}, list)
    services = Services(
        bus,
        chat,
        models,
        SampleHub(downloads),
        downloads,
        SampleBundles(),
        settings,
        gate,
        SampleDocuments(bus),
        DoubleStore(),
    )
    long_id, short_id = core.submit(_fill(lane)).result()
    themes = ThemeStore(app, "light", shipped_fonts=True)
    icons = Icons(themes)
    window = Window(page_specs(lambda: None), themes, icons)
    bridge = Bridge(core, bus, window)
    window.resize(1280, 800)
    window.show()
    window.mount(Desk(services, bridge, themes, icons, window.notices, folder, window.go))
    page = window.page("chat")
    assert isinstance(page, ChatPage)
    opened = _open_often(page, long_id, short_id)
    core.submit(provider.warm_up()).result()
    set_aside()  # as ui.garbage does when a model becomes ready
    beats, chars, tok_s = _stream(page)
    beats.sort()
    bridge.close()
    core.submit(chat.close()).result()
    core.submit(provider.close()).result()
    window.close()
    return Figures(opened, beats[int(len(beats) * 0.99)], beats[-1], len(beats), chars, tok_s)


class _Host:
    """The model host of a worker that is always ready."""

    def __init__(self, port: int) -> None:
        from app.providers.provider import Endpoint as Place

        self._endpoint = Place(f"http://127.0.0.1:{port}", "key", "bench", 32_768, "CPU")

    def endpoint(self) -> Endpoint:
        return self._endpoint

    async def ensure_ready(self, model_id: str | None) -> Endpoint:
        return self._endpoint

    def expected_n_ctx(self) -> int:
        return self._endpoint.n_ctx

    async def explain_loss(self, endpoint: Endpoint) -> None:
        return None


async def _fill(lane: object) -> tuple[str, str]:
    from app.lanes import StoreLane
    from tests import sample_data as samples

    assert isinstance(lane, StoreLane)
    await lane.open()
    made = [samples.conversation(samples.TOPICS[0], count, 0, seed=count) for count in (MESSAGES, 40)]
    for head, line in made:
        await lane.write(partial(_insert, head, line))
    return made[0][0].id, made[1][0].id


def _insert(head: Conversation, line: Sequence[Message], connection: sqlite3.Connection) -> None:
    from app.store import conversations, messages

    conversations.insert(connection, head)
    messages.insert_line(connection, line)


def _open_often(page: ChatPage, long_id: str, short_id: str) -> list[float]:
    """Open the long one again and again from a short one; the first opening warms up."""
    times = []
    for _ in range(_OPENINGS + 1):
        page.open_conversation(short_id)
        _until(lambda: len(page.transcript.messages) == 40 and page.transcript.idle)
        started = time.perf_counter()
        page.open_conversation(long_id)
        _until(lambda: len(page.transcript.messages) == MESSAGES)
        page.repaint()
        times.append((time.perf_counter() - started) * 1e3)
        _until(lambda: page.transcript.idle)
    return times[1:]


def _stream(page: ChatPage) -> tuple[list[float], int, float]:
    """Gaps between heartbeats that are due each millisecond, while the tokens come in."""
    from PySide6.QtCore import Qt, QTimer

    page.new_conversation()
    page.send("How do I sort a file that does not fit in memory?")
    _until(lambda: len(page.transcript.messages) == 2 and page.transcript.text_of_last())
    _until(lambda: page.transcript.idle)
    gaps: list[float] = []
    last = time.perf_counter()

    def beat() -> None:
        nonlocal last
        now = time.perf_counter()
        gaps.append((now - last) * 1e3)
        last = now

    heart = QTimer(interval=1, timerType=Qt.TimerType.PreciseTimer)
    heart.timeout.connect(beat)
    began, before = time.perf_counter(), len(page.transcript.text_of_last())
    last = began
    heart.start()
    _until(lambda: not page.answers.writing, timeout_s=SECONDS * 4)
    took = time.perf_counter() - began
    heart.stop()
    chars = len(page.transcript.text_of_last())
    return gaps, chars, (chars - before) / 4 / took


def _until(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Run Qt's loop as the window does, looking every few milliseconds."""
    from PySide6.QtCore import QEventLoop, QTimer

    loop = QEventLoop()
    look, limit = QTimer(interval=5), QTimer(singleShot=True, interval=int(timeout_s * 1000))
    look.timeout.connect(lambda: loop.quit() if condition() else None)
    limit.timeout.connect(lambda: loop.exit(1))
    look.start()
    limit.start()
    if loop.exec():
        raise TimeoutError("the window did not get there")


if __name__ == "__main__":
    main()
