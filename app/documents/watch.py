"""Watches folders for new documents: looks every few seconds, and lets a file join once it has stopped growing.

Looking works on every system and on shares, where notices of changes often do not come.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

from app.documents.gather import Found, gather
from engine.errors import GatehouseError

_log = logging.getLogger(__name__)

EVERY_S = 2.0

Sizes = Mapping[Path, tuple[int, int]]
"""Size and time of change of each file."""


class Watch:
    """One task for all watched folders; none while nothing is watched."""

    def __init__(
        self,
        join: Callable[[str, Sequence[Found]], Awaitable[None]],
        every_s: float = EVERY_S,
        tell: Callable[[str, str], None] = lambda _batch_id, _sentence: None,
    ) -> None:
        """``join`` is told a batch and the files that lie in its folders and have stopped growing; ``tell`` a batch
        and why a folder of it cannot be looked into, which is nothing once it can."""
        self._join = join
        self._tell = tell
        self._every_s = every_s
        self._watched: tuple[tuple[str, Path, bool], ...] = ()
        self._seen: dict[tuple[str, Path], Sizes] = {}
        self._handed: dict[tuple[str, Path], set[Path]] = {}
        """Files that were handed over already."""
        self._task: asyncio.Task[None] | None = None

    def set(self, watched: Iterable[tuple[str, Path, bool]]) -> None:
        """Batches, their folders, and whether lists of words are looked for; all that are to be watched from now on."""
        self._watched = tuple(watched)
        wanted = {(batch_id, folder) for batch_id, folder, _ in self._watched}
        self._seen = {key: sizes for key, sizes in self._seen.items() if key in wanted}
        self._handed = {key: paths for key, paths in self._handed.items() if key in wanted}
        if self._watched and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="watch-folders")

    async def close(self) -> None:
        self._watched = ()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        try:
            while self._watched:
                for batch_id, folder, as_words in self._watched:
                    await self._look(batch_id, folder, as_words)
                await asyncio.sleep(self._every_s)
        finally:
            self._task = None

    async def _look(self, batch_id: str, folder: Path, as_words: bool) -> None:
        try:
            found = await asyncio.to_thread(gather, (folder,), as_words=as_words)
            handed = self._handed.setdefault((batch_id, folder), set())
            new = [one for one in settled(found, self._seen.get((batch_id, folder), {})) if one.path not in handed]
            if new:
                await self._join(batch_id, new)
                handed.update(one.path for one in new)
        except GatehouseError as error:
            _log.info("A watched folder was not looked into: %s", error.code)
            gone = f"{folder} is not there at the moment. It is looked for every few seconds."
            self._tell(batch_id, gone if error.code == "file_missing" else error.sentence)
            return
        self._tell(batch_id, "")
        self._seen[batch_id, folder] = {file.path: (file.size_bytes, file.modified_ns) for file in found}


def settled(found: Sequence[Found], before: Sizes) -> tuple[Found, ...]:
    """The files that have not changed since the last look, and are not empty. Pure."""
    return tuple(
        file for file in found if file.size_bytes > 0 and before.get(file.path) == (file.size_bytes, file.modified_ns)
    )
