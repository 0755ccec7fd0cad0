"""Brings one file of a repository onto the disk: ranges, retries, checkpoints, and a hash over what was written.

A file is asked for in segments, so that the signed address behind each of them is fresh, and so that files above the
size that content networks give out at once arrive too. At every checkpoint the bytes are flushed to the disk before
the journal may claim them; whatever lies beyond the last checkpoint after a crash is cut off and fetched again.
Which files belong together, and what becomes of them afterwards, is left to ``download.py``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Literal

from engine.errors import HubError
from engine.hub.client import HubClient, Stream
from engine.hub.disk import Disk, write_failed
from engine.hub.faults import wrong_answer
from engine.hub.interrupt import Interrupt
from engine.hub.journal import Kept
from engine.hub.patience import Failures, Halted, Hiccup
from engine.hub.verify import Hash, hash_file

SEGMENT_BYTES = 1_073_741_824
CHECKPOINT_BYTES = 67_108_864

Phase = Literal["checking", "downloading"]
"""Checking: hashing what an earlier run had kept."""


class Changed(Exception):
    """The hub now holds another file under the same name."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Sizes of the steps in which a file is fetched."""

    segment_bytes: int = SEGMENT_BYTES
    checkpoint_bytes: int = CHECKPOINT_BYTES


class Transfer:
    """One file on its way. Use once; blocking."""

    def __init__(
        self,
        client: HubClient,
        place: tuple[str, str],
        kept: Kept,
        part: Path,
        interrupt: Interrupt,
        *,
        checkpoint: Callable[[int], None],
        report: Callable[[Phase, int], None],
        disk: Disk,
        steps: Steps,
    ) -> None:
        """``place`` is repository and commit; ``checkpoint`` gets the bytes that are safe on the disk."""
        self._client = client
        self._repo, self._revision = place
        self._kept = kept
        self._part = part
        self._interrupt = interrupt
        self._checkpoint = checkpoint
        self._report = report
        self._disk = disk
        self._steps = steps
        self._size = kept.file.size_bytes
        self._done = kept.kept_bytes
        self._safe = kept.kept_bytes
        self._furthest = self._done
        self._started_over = False
        self._hash: Hash = hashlib.sha256()

    def run(self) -> str:
        """Fetch what is missing; returns the SHA-256 of the whole file.

        Raises: ``HubError``; ``Halted``; ``Changed``. What has arrived stays in the part file unless it was wrong.
        """
        try:
            file = self._disk.open_part(self._part)
        except OSError as error:
            raise write_failed(error, self._part.parent) from error
        with file:
            try:
                self._take_up(file)
                self._fetch_all(file)
            except (HubError, Halted):
                self._keep_quietly(file)
                raise
            except OSError as error:
                # Nothing beyond the last checkpoint can be trusted to be on the disk.
                with suppress(OSError):
                    file.truncate(self._safe)
                raise write_failed(error, self._part.parent) from error
        return self._hash.hexdigest()

    def _take_up(self, file: FileIO) -> None:
        """Go back to the last checkpoint and hash what lies before it."""
        if self._done > file.seek(0, os.SEEK_END):
            self._done = self._safe = 0
        file.truncate(self._done)
        self._hash = hash_file(self._part, self._done, self._interrupt, lambda done: self._report("checking", done))
        file.seek(self._done)
        self._report("downloading", self._done)

    def _fetch_all(self, file: FileIO) -> None:
        failures = Failures(self._client.patience, self._interrupt)
        while self._done < self._size:
            if self._interrupt.is_set():
                raise Halted
            try:
                self._fetch_segment(file)
            except Hiccup as hiccup:
                if self._interrupt.is_set():
                    raise Halted from None
                if self._done >= self._furthest + self._client.patience.progress_bytes:
                    failures.forget()
                    self._furthest = self._done
                failures.wait_after(hiccup)
        self._keep(file)

    def _fetch_segment(self, file: FileIO) -> None:
        end = min(self._size, self._done + self._steps.segment_bytes)
        before = self._done
        try:
            with (
                self._client.open(self._repo, self._revision, self._kept.file.path, self._done, end) as stream,
                self._interrupt.reading(stream),
            ):
                self._check(stream)
                if stream.start != self._done:
                    self._start_over(file)
                    before = 0
                for chunk in stream.chunks():
                    self._take(file, chunk)
        except HubError as error:
            if error.code != "range_refused" or self._started_over:
                raise
            self._started_over = True
            self._start_over(file)
            return
        if self._done == before:
            raise Hiccup(HubError("cut_off", f"{self._client.host} sent nothing of {self._kept.file.name}."))

    def _check(self, stream: Stream) -> None:
        wanted = self._kept.file.sha256
        if stream.linked_hash is not None and stream.linked_hash != wanted:
            raise Changed
        if stream.total_bytes is not None and stream.total_bytes != self._size:
            raise HubError(
                "wrong_length",
                f"{self._kept.file.name} should have {self._size:,} bytes, and {self._client.host} now speaks of "
                f"{stream.total_bytes:,}.",
                "Check the mirror or the proxy; a login page may have been sent in its place.",
            )

    def _take(self, file: FileIO, chunk: bytes) -> None:
        if self._interrupt.is_set():
            raise Halted
        if self._done == 0 and not chunk.startswith(b"GGUF"[: len(chunk)]):
            raise wrong_answer(self._client.host, f"what it sends as {self._kept.file.name} is not a GGUF file")
        if self._done + len(chunk) > self._size:
            raise HubError(
                "wrong_length",
                f"{self._client.host} sends more than the {self._size:,} bytes of {self._kept.file.name}.",
                "Check the mirror or the proxy.",
            )
        view = memoryview(chunk)
        while view:
            view = view[file.write(view) or 0 :]
        self._hash.update(chunk)
        self._done += len(chunk)
        self._report("downloading", self._done)
        if self._done - self._safe >= self._steps.checkpoint_bytes:
            self._keep(file)

    def _keep(self, file: FileIO) -> None:
        os.fsync(file.fileno())
        self._safe = self._done
        self._checkpoint(self._safe)

    def _keep_quietly(self, file: FileIO) -> None:
        """On the way out of a failure, which must not be hidden by another one."""
        with suppress(OSError):
            self._keep(file)

    def _start_over(self, file: FileIO) -> None:
        self._done = self._safe = 0
        self._hash = hashlib.sha256()
        file.seek(0)
        file.truncate(0)
        self._checkpoint(0)
        self._report("downloading", 0)
