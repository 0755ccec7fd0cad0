"""The pool: what breaks a reader costs only its document, and what breaks it from outside costs nothing."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from PIL import Image

from app.documents import pool as pool_module
from app.documents.faults import DocumentError
from app.documents.pool import ReaderPool
from app.documents.records import Box
from engine.sandbox.limits import Limits
from tests.app.documents.made_files import INVOICE, PdfPage, pdf, picture, png

Until = Callable[[Callable[[], bool], float], None]


@asynccontextmanager
async def readers(size: int = 1, limits: Limits | None = None, idle_s: float = 60.0) -> AsyncIterator[ReaderPool]:
    made = ReaderPool(size, limits, idle_s)
    try:
        yield made
    finally:
        await made.close()


def pids(pool: ReaderPool) -> list[int]:
    return [seat.child.pid for seat in pool._all if seat.child is not None and seat.child.alive]


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture
def misbehaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers that crash, hang or bloat on documents that say so: the parser's bug that nobody has found yet."""
    module = tmp_path / "misreading.py"
    module.write_text(
        "import ctypes, sys, threading\n"
        "from pathlib import Path\n"
        "from app.documents import child\n"
        "from engine.sandbox.serve import serve\n"
        "held = []\n"
        "deeds = {'crash': lambda: ctypes.string_at(0), 'hang': threading.Event().wait,\n"
        "         'bloat': lambda: held.append(bytearray(1 << 34))}\n"
        "def answer(body, part):\n"
        "    question = __import__('json').loads(body)\n"
        "    deeds.get(Path(question['path']).stem, int)()\n"
        "    return child.answer(body, part)\n"
        "serve(answer, sys.argv[1])\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(pool_module, "_MODULE", "misreading")


async def test_each_broken_reader_is_named_and_replaced(tmp_path: Path, misbehaving: None) -> None:
    async with readers(limits=Limits(wall_s=1.5)) as pool:
        for name, code in (("crash", "reader_crashed"), ("hang", "reader_time"), ("bloat", "reader_memory")):
            with pytest.raises(DocumentError) as caught:
                await pool.read(write(tmp_path / f"{name}.txt", b"words"))
            assert caught.value.code == code
            assert (await pool.read(write(tmp_path / "good.txt", b"words"))).text == "words"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.slow
async def test_a_reader_killed_from_outside_costs_nothing(tmp_path: Path, wait_for: Until) -> None:
    path = write(tmp_path / "long.pdf", pdf(*[INVOICE] * 600))
    async with readers() as pool:
        await pool.read(write(tmp_path / "first.txt", b"words"))
        reading = asyncio.create_task(pool.read(path))
        (before,) = pids(pool)
        seen = psutil.Process(before)
        used = sum(seen.cpu_times()[:2])
        await asyncio.to_thread(wait_for, lambda: sum(seen.cpu_times()[:2]) > used + 0.05, 10.0)  # it is at it
        os.kill(before, signal.SIGKILL)
        assert len((await reading).pages) == 600
        assert pids(pool) != [before]


async def test_cancelling_ends_the_reading_and_the_pool_goes_on(tmp_path: Path, misbehaving: None) -> None:
    async with readers() as pool:
        await pool.read(write(tmp_path / "good.txt", b"words"))
        (before,) = pids(pool)
        reading = asyncio.create_task(pool.read(write(tmp_path / "hang.txt", b"words")))
        await asyncio.wait({reading}, timeout=0.1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not psutil.pid_exists(before)
        assert (await pool.read(tmp_path / "good.txt")).text == "words"


async def test_as_many_at_once_as_there_are_seats_and_none_stays_idle(tmp_path: Path, wait_for: Until) -> None:
    path = write(tmp_path / "a.pdf", pdf(INVOICE))
    async with readers(size=2, idle_s=0.05) as pool:
        readings = await asyncio.gather(*(pool.read(path) for _ in range(12)))
        assert len({reading.text for reading in readings}) == 1
        assert 1 <= len(pids(pool)) <= 2
        await asyncio.to_thread(wait_for, lambda: not pids(pool), 10.0)
        assert (await pool.read(path)).text == readings[0].text
    with pytest.raises(DocumentError):
        await pool.read(path)


async def test_pictures_of_pages_and_marks_on_a_copy(tmp_path: Path) -> None:
    red = "#d01010"
    async with readers() as pool:
        path = write(tmp_path / "a.pdf", pdf(PdfPage(), PdfPage(text=INVOICE.text, rotate=90)))
        box = Box(100, 100, 200, 150)
        await pool.mark_up(path, [(2, box, "total", red)], tmp_path / "marked.pdf")
        marked = Image.open(io.BytesIO(await pool.render(tmp_path / "marked.pdf", 2, 842)))
        assert marked.size == (842, 595)
        assert reddish(marked, 100, 125)
        assert not reddish(marked, 150, 125)
        assert not reddish(Image.open(io.BytesIO(await pool.render(path, 2, 842))), 100, 125)

        scan = write(tmp_path / "scan.png", png(picture([])))
        await pool.mark_up(scan, [(1, box, "", red)], tmp_path / "marked.png")
        assert reddish(Image.open(tmp_path / "marked.png"), 99, 125)

        letter = write(tmp_path / "letter.txt", b"Dear Sir,\nno.\n")
        await pool.mark_up(letter, [(1, box, "", red)], tmp_path / "letter.pdf")
        assert (await pool.render(tmp_path / "letter.pdf", 1, 300)).startswith(b"\x89PNG")
        with pytest.raises(DocumentError, match="2 pages"):
            await pool.render(path, 3, 100)
        assert not names_in(tmp_path, ".*")


def names_in(folder: Path, pattern: str) -> list[str]:
    return [path.name for path in folder.glob(pattern)]


def reddish(image: Image.Image, x: int, y: int) -> bool:
    """Whether a frame runs near the point."""
    found = [image.convert("RGB").getpixel((x + dx, y)) for dx in range(-2, 3)]
    return any(isinstance(pixel, tuple) and pixel[0] > 150 and pixel[1] < 90 for pixel in found)


def kernel_filters(pid: int) -> bool:
    """Whether every thread, also those of the recogniser, is under the seccomp filter."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return all("Seccomp:\t2" in (thread / "status").read_text() for thread in threads)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_recognition_opens_no_socket_and_writes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime from 1.29 on reports to its maker, unless told not to: here it neither may nor does."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(home))
    async with readers() as pool:
        reading = await pool.read(write(tmp_path / "scan.png", png(picture(["Amount due 35.66"]))))
        assert "35.66" in reading.text
        confinement = pool.confinement
        assert confinement is not None
        assert confinement.network
        assert confinement.gaps() == () or confinement.gaps() == ("writing",)
        (pid,) = pids(pool)
        assert kernel_filters(pid)
    assert not names_in(home, "**/*")
