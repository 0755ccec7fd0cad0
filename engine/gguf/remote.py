"""Reads the headers of a model that lies on a hub, and lays files of the true length with nothing else in them.

A few megabytes of traffic for a model of any size: the exact plan is known before one weight is downloaded, because a
hole is as good as weights to the no_alloc probe. The files keep their names, so that everything that reads a model from
the disk reads them too; they must never be loaded.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from engine.errors import HubError, ModelFileError
from engine.gguf.header import Header
from engine.gguf.reader import read_raw_header_from
from engine.gguf.split import read_model
from engine.hub.client import HubClient
from engine.hub.disk import write_failed
from engine.hub.faults import wrong_answer
from engine.hub.patience import Failures, Halt, Halted, Hiccup
from engine.hub.repository import RemoteFile, RemoteModel

TRAFFIC_LIMIT_BYTES = 64 * 1_048_576
"""For all headers of one model together. Real ones reach some 20 MiB."""
FIRST_RANGE_BYTES = 4 * 1_048_576
"""Asked for first of a model's first file, which holds the vocabulary; doubled until the header ends."""
NEXT_RANGE_BYTES = 262_144
"""Of its other files, which hold little but their own tensors' names."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A model as far as its headers tell, on the disk as files full of nothing."""

    header: Header
    path: Path
    """The first file; give this one to the probe, and to nothing that reads weights."""
    traffic_bytes: int
    """0 when it was there already."""


def sketch(client: HubClient, model: RemoteModel, folder: Path, halt: Halt) -> Sketch:
    """Fetch what is needed to plan for ``model`` into a folder of its own below ``folder``. Blocking.

    Raises: ``HubError``; ``ModelFileError`` when it is no usable model; ``Halted``.
    """
    own = folder / _key(model)
    first = own / model.files[0].name
    try:
        if all((own / file.name).is_file() for file in model.files):
            return Sketch(read_model(first), first, 0)
        own.mkdir(parents=True, exist_ok=True)
        budget = _Budget(TRAFFIC_LIMIT_BYTES)
        for number, file in enumerate(model.files):
            _lay(client, model, file, own, budget, halt, FIRST_RANGE_BYTES if number == 0 else NEXT_RANGE_BYTES)
        return Sketch(read_model(first), first, budget.spent)
    except ModelFileError:
        _clear(own)
        raise
    except OSError as error:
        raise write_failed(error, folder) from error


def _key(model: RemoteModel) -> str:
    """Changes with anything that could change a header."""
    facts = [model.repo, model.revision] + [f"{file.path} {file.size_bytes} {file.sha256}" for file in model.files]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:24]


def _clear(folder: Path) -> None:
    for path in folder.glob("*"):
        path.unlink()
    folder.rmdir()


@dataclass(slots=True)
class _Budget:
    """What may still come over the line."""

    limit: int
    spent: int = 0

    def spend(self, size: int, what: str) -> None:
        self.spent += size
        if self.spent > self.limit:
            raise HubError("header_too_long", f"The header of {what} does not end within {self.limit:,} bytes.")


def _lay(
    client: HubClient, model: RemoteModel, file: RemoteFile, folder: Path, budget: _Budget, halt: Halt, first_range: int
) -> None:
    """Under its name only when complete: what is there is trusted from then on."""
    unfinished = folder / f"{file.name}.new"
    with (
        unfinished.open("wb", buffering=0) as copy,
        _Reading(client, model, file, copy, budget, halt, first_range) as bytes_,
    ):
        header = read_raw_header_from(bytes_, Path(file.name), file.size_bytes)
        _mark_sparse(copy)
        copy.truncate(min(header.data_offset, file.size_bytes))
        copy.truncate(file.size_bytes)
    unfinished.replace(folder / file.name)


class _Reading:
    """Bytes of a remote file in order, fetched in growing ranges and copied to the disk as they pass."""

    def __init__(
        self,
        client: HubClient,
        model: RemoteModel,
        file: RemoteFile,
        copy: FileIO,
        budget: _Budget,
        halt: Halt,
        first_range: int,
    ) -> None:
        self._client = client
        self._model = model
        self._file = file
        self._copy = copy
        self._budget = budget
        self._halt = halt
        self._failures = Failures(client.patience, halt)
        self._range = first_range
        self._position = 0
        self._buffer = bytearray()
        self._open = ExitStack()
        self._chunks: Iterator[bytes] = iter(())

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def read(self, size: int, /) -> bytes:
        wanted = min(size, self._file.size_bytes - self._position + len(self._buffer))
        while len(self._buffer) < wanted:
            if self._halt.is_set():
                raise Halted
            try:
                self._fetch()
            except Hiccup as hiccup:
                self._open.close()
                self._chunks = iter(())
                self._failures.wait_after(hiccup)
        taken = bytes(self._buffer[:wanted])
        del self._buffer[:wanted]
        return taken

    def _fetch(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            self._ask()
            chunk = next(self._chunks, None)
            if chunk is None:
                raise Hiccup(HubError("cut_off", f"{self._client.host} sent nothing of {self._file.name}."))
        self._budget.spend(len(chunk), self._file.name)
        chunk = chunk[: self._file.size_bytes - self._position]
        self._copy.write(chunk)
        self._buffer += chunk
        self._position += len(chunk)

    def _ask(self) -> None:
        self._open.close()
        end = min(self._position + self._range, self._file.size_bytes)
        place = (self._model.repo, self._model.revision, self._file.path)
        stream = self._open.enter_context(self._client.open(*place, self._position, end))
        if stream.start != self._position:
            raise wrong_answer(self._client.host, "it gives out whole files only, so a header cannot be read alone")
        changed = stream.linked_hash is not None and stream.linked_hash != self._file.sha256
        if changed or stream.total_bytes not in (None, self._file.size_bytes):
            raise HubError("changed", f"{self._file.name} changed on the hub just now.", "Look at the model again.")
        self._chunks = stream.chunks()
        self._range *= 2


def _mark_sparse(file: FileIO) -> None:
    """Elsewhere a file is sparse by itself; NTFS wants to be told before it grows."""
    if sys.platform == "win32":
        import ctypes
        import msvcrt

        fsctl_set_sparse = 0x900C4
        handle = msvcrt.get_osfhandle(file.fileno())
        ignored = ctypes.c_ulong()
        ctypes.windll.kernel32.DeviceIoControl(
            ctypes.c_void_p(handle), fsctl_set_sparse, None, 0, None, 0, ctypes.byref(ignored), None
        )
