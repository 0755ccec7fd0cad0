"""The reader pool: a few sandboxed children that read documents for the app, which itself never parses one.

A document that kills, hangs or bloats its reader costs only itself: it gets a named cause, and the next document a new
reader. A reader that something else killed is replaced, and the document is read again. Used in one asyncio loop.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from app.documents.faults import DocumentError
from app.documents.recognisers import Recogniser
from app.documents.records import Box, Reading
from app.documents.wire import Gathering, Question
from engine.errors import GatehouseError
from engine.records import RecordFault, to_plain
from engine.sandbox.child import ChildEnded, Ending, SandboxedChild, as_body
from engine.sandbox.limits import Confinement, Limits
from engine.sandbox.serve import CHILD_FAILED

_MODULE: Final = "app.documents.child"
_DOCUMENTS_PER_CHILD: Final = 200
"""Then a fresh one: parsers of native code leak."""
_IDLE_S: Final = 60.0
_TRIES: Final = 3
_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_MAX_MARKS: Final = 4000

MarkUp = tuple[int, Box, str, str]
"""Page, box, label, colour (``#rrggbb``)."""


class _Seat:
    """A place for one child."""

    def __init__(self) -> None:
        self.child: SandboxedChild | None = None
        self.served = 0
        self.idle: asyncio.TimerHandle | None = None


class ReaderPool:
    """Reads, draws and marks documents. ``size``: children at once."""

    def __init__(
        self,
        size: int = 2,
        limits: Limits | None = None,
        idle_s: float = _IDLE_S,
        recogniser: Callable[[], Recogniser] = lambda: "built_in",
    ) -> None:
        """``recogniser``: what reads scans from now on."""
        self._recogniser = recogniser
        self._limits = limits or Limits()
        self._idle_s = idle_s
        self._seats: asyncio.LifoQueue[_Seat] = asyncio.LifoQueue()  # the warm one first
        self._all = [_Seat() for _ in range(size)]
        for seat in self._all:
            self._seats.put_nowait(seat)
        self._stopping: set[asyncio.Task[None]] = set()
        self._closed = False
        self.confinement: Confinement | None = None
        """What the operating system enforces on readers; known once one has started."""

    async def read(
        self, path: Path, password: str | None = None, as_words: bool = False, *, sha256: str = ""
    ) -> Reading:
        """Read a document. ``sha256``: refuse another content. Raises ``DocumentError``. Cancelling ends its reader."""
        question = Question("read", str(path), password, as_words, sha256=sha256, recogniser=self._recogniser())
        gathering = Gathering()

        def restart() -> Callable[[bytes], None]:
            nonlocal gathering
            gathering = Gathering()
            return gathering.add

        last = await self._ask(question, restart)
        try:
            return await asyncio.to_thread(gathering.finish, last)
        except RecordFault as error:
            raise _nonsense(error) from error

    async def render(
        self,
        path: Path,
        page: int,
        width_px: int,
        password: str | None = None,
        as_words: bool = False,
        *,
        sha256: str = "",
    ) -> bytes:
        """Page ``page`` (from 1) as a PNG ``width_px`` wide, in whose frame the boxes are. Raises ``DocumentError``."""
        question = Question("render", str(path), password, as_words, page, width_px, sha256)
        return await self._bytes(question)

    async def mark_up(
        self,
        path: Path,
        marks: Sequence[MarkUp],
        out: Path,
        password: str | None = None,
        as_words: bool = False,
        *,
        sha256: str = "",
    ) -> None:
        """Write a copy with framed boxes to ``out``: PDF for a PDF and all without pages, PNG for a picture.

        Raises: ``DocumentError``; ``OSError`` when ``out`` cannot be written. There is never half a file at ``out``.
        """
        if len(marks) > _MAX_MARKS:
            raise DocumentError("too_large", f"{len(marks):,} boxes are too many; at most {_MAX_MARKS:,} are drawn.")
        plain = tuple(
            (page, box.x0, box.y0, box.x1, box.y1, label[:500], colour if _COLOUR.fullmatch(colour) else "#d03030")
            for page, box, label, colour in marks
        )
        question = Question("mark", str(path), password, as_words, sha256=sha256, marks=plain)
        data = await self._bytes(question)
        await asyncio.to_thread(_write_whole, out, data)

    async def close(self) -> None:
        """End every child. What is being read is broken off by its own cancelling, not by this."""
        self._closed = True
        for seat in self._all:
            await self._end(seat)
        await asyncio.gather(*self._stopping, return_exceptions=True)

    async def _bytes(self, question: Question) -> bytes:
        pieces: list[bytes] = []

        def restart() -> Callable[[bytes], None]:
            pieces.clear()
            return pieces.append

        await self._ask(question, restart)
        return b"".join(pieces)

    async def _ask(self, question: Question, restart: Callable[[], Callable[[bytes], None]]) -> bytes:
        body = as_body(to_plain(question))
        seat = await self._seats.get()
        try:
            return await self._tried(seat, body, restart)
        finally:
            self._rest(seat)
            self._seats.put_nowait(seat)

    async def _tried(self, seat: _Seat, body: bytes, restart: Callable[[], Callable[[bytes], None]]) -> bytes:
        """Ask; once more when the reader was killed by something else than the document."""
        for left in reversed(range(_TRIES)):
            try:
                child = await self._seated(seat)
                return await child.ask(body, restart())
            except ChildEnded as error:
                if left and error.ending is Ending.KILLED:
                    continue
                raise _explain(error) from error
            except RecordFault as error:
                raise _nonsense(error) from error
            except GatehouseError as error:
                raise _as_document_error(error) from error
        raise AssertionError("The last try returns or raises.")

    async def _seated(self, seat: _Seat) -> SandboxedChild:
        if self._closed:
            raise DocumentError("reader_not_started", "Documents are not read any more: the program is closing.")
        if seat.idle is not None:
            seat.idle.cancel()
            seat.idle = None
        if seat.child is not None and (not seat.child.alive or seat.served >= _DOCUMENTS_PER_CHILD):
            await self._end(seat)
        if seat.child is None:
            seat.child = await SandboxedChild.start(_MODULE, self._limits)
            seat.served = 0
            self.confinement = seat.child.confinement
        seat.served += 1
        return seat.child

    def _rest(self, seat: _Seat) -> None:
        """Let an idle child go after a while: with a recogniser loaded it holds a quarter of a gigabyte."""

        def end() -> None:
            task = asyncio.get_running_loop().create_task(self._end_idle(seat))
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)

        if seat.child is not None and not self._closed:
            seat.idle = asyncio.get_running_loop().call_later(self._idle_s, end)

    async def _end_idle(self, seat: _Seat) -> None:
        if seat.idle is not None:
            await self._end(seat)

    async def _end(self, seat: _Seat) -> None:
        if seat.idle is not None:
            seat.idle.cancel()
            seat.idle = None
        child, seat.child = seat.child, None
        if child is not None:
            await child.stop()


def _write_whole(out: Path, data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=out.parent, prefix=f".{out.name}.", delete=False) as file:
        temporary = Path(file.name)
        try:
            file.write(data)
            file.close()
            temporary.replace(out)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


def _explain(error: ChildEnded) -> DocumentError:
    match error.ending:
        case Ending.MEMORY:
            hint = "The document may be made to fill the memory, or is simply too large: split it."
        case Ending.TIME | Ending.CPU_TIME:
            hint = "The document may be made to keep programs busy, or is simply too large: split it."
        case Ending.NOT_STARTED:
            hint = "Free some memory, and try again."
        case _:
            hint = "Only this document is concerned. Save it anew with another program, and try again."
    sentence = re.sub("^It ", "Reading it ", error.sentence).replace("Its process", "The process that read it")
    return DocumentError(f"reader_{error.ending}", sentence, hint)


def _as_document_error(error: GatehouseError) -> DocumentError:
    if error.code == CHILD_FAILED:
        said = f"The document could not be read ({error.sentence})."
        return DocumentError("reader_failed", said, "It may be damaged. Save it anew, and try again.")
    return DocumentError(error.code, error.sentence, error.hint)


def _nonsense(error: RecordFault) -> DocumentError:
    return DocumentError("reader_nonsense", f"The reader answered with something else than pages: {error}")
