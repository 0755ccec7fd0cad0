"""Reading documents: a short born-digital PDF, a scanned receipt, and what 500 pages hold in memory.

Through the pool, as batches use it, with a reader that has started. Receipts are pictures from the folder ``img`` of
``GATEHOUSE_RECEIPTS``, or else made ones.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

from app.documents.pool import ReaderPool
from tests.app.documents.made_files import PdfPage, pdf, picture, png
from tests.bench.table import Row

_RECEIPTS = 10
_REPEATS = 9
_LINE = "The parties agree that line {n} of page {page} is as binding as any other, and cost {n},{page:02}0.50 EUR."


def measure() -> list[Row]:
    """About a minute."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> list[Row]:
    pool = ReaderPool(1)
    try:
        short = _contract(folder / "four.pdf", 4)
        began = time.perf_counter()
        await pool.read(short)
        first_s = time.perf_counter() - began
        short_s = statistics.median([await _time(pool, short) for _ in range(_REPEATS)])
        whole_mb, long_s = await _long(pool, _contract(folder / "long.pdf", 500))
        receipts = _receipts(folder)
        await pool.read(receipts[0])  # loads the recogniser
        times = [await _time(pool, receipt) for receipt in receipts]
    finally:
        await pool.close()
    seconds = statistics.median(times)
    made = "" if os.environ.get("GATEHOUSE_RECEIPTS") else "made "
    note = f"median of {len(times)} {made}receipts, slowest {max(times):.1f} s, models loaded"
    return [
        Row("4-page born-digital PDF", short_s, "s", None, "≤ 0.2 s", short_s <= 0.2, f"first one {first_s:.2f} s"),
        Row("scanned receipt", seconds, "s", None, "≤ 4 s", seconds <= 4, note),
        Row("500-page PDF, memory", whole_mb, "MB", None, "≤ 500 MB", whole_mb <= 500, f"in {long_s:.1f} s"),
    ]


async def _time(pool: ReaderPool, path: Path) -> float:
    began = time.perf_counter()
    await pool.read(path)
    return time.perf_counter() - began


async def _long(pool: ReaderPool, path: Path) -> tuple[float, float]:
    """Megabytes: the reader's peak and what the reading added to this process; and seconds."""
    us = psutil.Process()
    before = us.memory_info().rss
    began = time.perf_counter()
    reading = await pool.read(path)
    seconds = time.perf_counter() - began
    child = pool._all[0].child
    assert child is not None
    assert len(reading.pages) == 500
    return (_peak_bytes(child.pid) + us.memory_info().rss - before) / 1e6, seconds


def _peak_bytes(pid: int) -> int:
    """The most that a process has held; where the system does not say, what it holds now."""
    if sys.platform == "linux":
        for line in Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    memory = psutil.Process(pid).memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


def _contract(path: Path, pages: int) -> Path:
    """Pages of 55 lines with 80 or so characters each."""
    lines = range(55)
    made = [
        PdfPage(text=[(50.0, 50.0 + 14 * n, 10.0, _LINE.format(n=n, page=page)) for n in lines])
        for page in range(1, pages + 1)
    ]
    path.write_bytes(pdf(*made))
    return path


def _receipts(folder: Path) -> list[Path]:
    given = os.environ.get("GATEHOUSE_RECEIPTS")
    if given:
        return sorted((Path(given) / "img").iterdir())[:_RECEIPTS]
    lines = ["ACME STORES", "12 High Street", *(f"Item {n}   {n}.99" for n in range(1, 20)), "TOTAL  228.81"]
    made = folder / "receipt.png"
    made.write_bytes(png(picture(lines, (600, 1300), 28)))
    return [made]
