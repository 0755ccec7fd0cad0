"""Downloads a model as one thing: space first, every shard fetched and verified, and only then given its name.

While it is under way a model is ``NAME.gguf.part`` and a journal; it appears under its name, the first shard last, when
every shard is whole and its SHA-256 is the catalogue's or the hub's. A receipt beside it says so. Fetching the bytes of
a file is left to ``transfer.py``, several downloads at once to ``queue.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from engine.errors import HubError, ModelFileError
from engine.hub import journal as journals
from engine.hub.catalogue import Variant, pinned, source_of
from engine.hub.client import HubClient
from engine.hub.disk import Disk, check_space, write_failed
from engine.hub.install import delete, install, uninstall
from engine.hub.interrupt import Interrupt
from engine.hub.journal import Journal
from engine.hub.lock import FolderLock
from engine.hub.patience import Failures, Halt, Hiccup
from engine.hub.repository import ModelSource, RemoteFile, RemoteModel, choose
from engine.hub.transfer import Changed, Phase, Steps, Transfer
from engine.hub.verify import (
    Receipt,
    VerifiedFile,
    check_hash,
    hash_file,
    is_in_place,
    load_receipt,
    receipt_path,
)

Doing = Literal["preparing", "checking", "downloading", "finishing"]
"""Checking: hashing what was there already."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a model is."""

    doing: Doing
    file: str
    """Name of the shard, or empty."""
    done_bytes: int
    total_bytes: int
    note: str = ""
    """One sentence about something unexpected that was dealt with."""


Report = Callable[[Progress], None]


def resolve(client: HubClient, source: ModelSource, halt: Halt) -> RemoteModel:
    """Ask the hub what ``source`` means now: commit, shards, lengths and hashes.

    Raises: ``HubError``; ``Halted``.
    """
    model = choose(client.repository(source.repo, source.revision, halt), source.wanted)
    files = tuple(_with_hash(client, model, file, halt) for file in model.files)
    return replace(model, files=files)


def resolve_variant(client: HubClient, variant: Variant, halt: Halt) -> RemoteModel:
    """The same for an entry of the catalogue, whose hashes bind. Raises: ``HubError``; ``Halted``."""
    source = source_of(variant)
    model = pinned(variant, client.repository(source.repo, source.revision, halt))
    return replace(model, files=tuple(_with_hash(client, model, file, halt) for file in model.files))


def folder_of(models: Path, repo: str) -> Path:
    """Where a repository's models lie in a folder of models. Two repositories often use the same names of files."""
    owner, _, name = repo.partition("/")
    return models / owner / name


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a download stands on."""

    client: HubClient
    models: Path
    """The folder of models."""
    disk: Disk = field(default_factory=Disk)
    steps: Steps = field(default_factory=Steps)
    reserved_bytes: Callable[[], int] = lambda: 0
    """Still to be written by other downloads to the same disk."""


def download(around: Surroundings, model: RemoteModel, interrupt: Interrupt, report: Report) -> Receipt:
    """Bring a model to the disk, going on with whatever an earlier try left. Blocking.

    Raises: ``HubError`` or ``ModelFileError`` with the cause; ``Halted`` when interrupted. In both cases what has
    arrived stays to be gone on with, unless it was wrong.
    """
    folder = folder_of(around.models, model.repo)
    report(Progress("preparing", "", 0, model.size_bytes))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder / f".{model.name}.lock", model.name):
            return _Download(around, folder, interrupt, report).run(model)
    except OSError as error:
        raise write_failed(error, folder) from error


def discard(models: Path, model: RemoteModel) -> int:
    """Throw an unfinished download away; returns the bytes that this freed. Raises: ``HubError``."""
    folder = folder_of(models, model.repo)
    if not folder.is_dir():
        return 0
    try:
        with FolderLock(folder / f".{model.name}.lock", model.name):
            freed = sum(delete(journals.part_of(folder, file)) for file in model.files)
            journals.path_of(folder, model.name).unlink(missing_ok=True)
    except OSError as error:
        raise write_failed(error, folder) from error
    _remove_empty(folder, models)
    return freed


def remove(models: Path, receipt: Receipt) -> int:
    """Delete a downloaded model; returns the bytes that this freed. Raises: ``HubError``."""
    folder = folder_of(models, receipt.repo)
    try:
        freed = uninstall(receipt, folder)
    except OSError as error:
        raise write_failed(error, folder) from error
    _remove_empty(folder, models)
    return freed


class _Download:
    """One try. The folder is there and locked."""

    def __init__(self, around: Surroundings, folder: Path, interrupt: Interrupt, report: Report) -> None:
        self._around = around
        self._folder = folder
        self._interrupt = interrupt
        self._report = report
        self._note = ""

    def run(self, model: RemoteModel) -> Receipt:
        try:
            return self._bring(model)
        except Changed:
            if model.pinned:
                raise self._disagrees(model) from None
        source = ModelSource(model.repo, model.wanted_revision, model.files[0].path)
        self._note = f"{model.name} changed on the hub; the download starts over."
        try:
            return self._bring(resolve(self._around.client, source, self._interrupt))
        except Changed:
            raise HubError(
                "changed", f"{model.name} keeps changing on the hub.", "Wait until its maker is done, and try again."
            ) from None

    def _bring(self, model: RemoteModel) -> Receipt:
        receipt = load_receipt(receipt_path(self._folder, model.name))
        if receipt is not None and _is_receipt_for(receipt, model) and is_in_place(receipt, self._folder):
            self._tell("finishing", model, "", model.size_bytes)
            return receipt
        journal = self._take_up(model)
        for index in range(len(model.files)):
            if not journal.files[index].verified:
                journal = self._bring_file(journal, index)
        return self._finish(model, receipt)

    def _take_up(self, model: RemoteModel) -> Journal:
        """The journal of an earlier try as far as it holds, after a look at the space that the rest needs."""
        old = journals.load(journals.path_of(self._folder, model.name))
        journal = journals.carried_over(old, model)
        for index, kept in enumerate(journal.files):
            journal = self._adopt(journal, index) if not kept.verified else journal
            part = journals.part_of(self._folder, kept.file)
            if journal.files[index].verified and not self._is_there(kept.file):
                journal = journal.with_file(index, kept_bytes=0)
            elif journal.files[index].kept_bytes == 0:
                part.unlink(missing_ok=True)
        check_space(self._folder, journal.missing_bytes + self._around.reserved_bytes(), self._around.disk)
        journals.save(journal, self._folder)
        return journal

    def _is_there(self, file: RemoteFile) -> bool:
        paths = (journals.part_of(self._folder, file), self._folder / file.name)
        return any(path.is_file() and path.stat().st_size == file.size_bytes for path in paths)

    def _adopt(self, journal: Journal, index: int) -> Journal:
        """Count a file that lies there under its final name already, if it is the right one."""
        file = journal.files[index].file
        path = self._folder / file.name
        receipt = load_receipt(receipt_path(self._folder, journal.model.name))
        if not path.exists() or (receipt is not None and file.name in (known.name for known in receipt.files)):
            return journal
        if path.stat().st_size == file.size_bytes and file.sha256 is not None:
            found = hash_file(
                path,
                file.size_bytes,
                self._interrupt,
                lambda done: self._tell("checking", journal.model, file.name, done),
            )
            if found.hexdigest() == file.sha256:
                return journal.with_file(index, kept_bytes=file.size_bytes, verified=True)
        raise HubError(
            "name_taken",
            f"{self._folder} holds another file called {file.name} already.",
            "Move it away; Gatehouse does not write over files that it did not fetch.",
        )

    def _bring_file(self, journal: Journal, index: int) -> Journal:
        kept = journal.files[index]
        part = journals.part_of(self._folder, kept.file)
        before = sum(other.kept_bytes for number, other in enumerate(journal.files) if number != index)
        current = journal

        def checkpoint(safe_bytes: int) -> None:
            nonlocal current
            current = current.with_file(index, kept_bytes=safe_bytes)
            journals.save(current, self._folder)

        def report(phase: Phase, done_bytes: int) -> None:
            self._tell(phase, journal.model, kept.file.name, before + done_bytes)

        transfer = Transfer(
            self._around.client,
            (journal.model.repo, journal.model.revision),
            kept,
            part,
            self._interrupt,
            checkpoint=checkpoint,
            report=report,
            disk=self._around.disk,
            steps=self._around.steps,
        )
        found = transfer.run()
        try:
            check_hash(kept.file.name, found, kept.file.sha256 or "")
        except HubError:
            part.unlink(missing_ok=True)
            checkpoint(0)
            raise
        current = current.with_file(index, kept_bytes=kept.file.size_bytes, verified=True)
        journals.save(current, self._folder)
        return current

    def _finish(self, model: RemoteModel, old: Receipt | None) -> Receipt:
        self._tell("finishing", model, "", model.size_bytes)
        files = tuple(VerifiedFile(file.name, file.size_bytes, file.sha256 or "") for file in model.files)
        receipt = Receipt(model.name, model.repo, model.revision, model.licence, files)
        journal = journals.path_of(self._folder, model.name)
        try:
            install(receipt, self._folder)
        except ModelFileError:
            journal.unlink(missing_ok=True)
            raise
        journal.unlink(missing_ok=True)
        if old is not None:
            for gone in {file.name for file in old.files} - {file.name for file in files}:
                delete(self._folder / gone)
        return receipt

    def _tell(self, doing: Doing, model: RemoteModel, file: str, done_bytes: int) -> None:
        self._report(Progress(doing, file, done_bytes, model.size_bytes, self._note))

    def _disagrees(self, model: RemoteModel) -> HubError:
        return HubError(
            "hash_disagrees",
            f"{self._around.client.host} holds another {model.name} than the one in the catalogue.",
            "Nothing was taken over. Fetch it by the repository's name if you trust the new file.",
        )


def _with_hash(client: HubClient, model: RemoteModel, file: RemoteFile, halt: Halt) -> RemoteFile:
    """A mirror may keep the hash out of its description and still send it along with the bytes."""
    if file.sha256 is not None or not file.size_bytes:
        return file
    found = _linked_hash(client, model, file, halt)
    if found is None:
        raise HubError(
            "hash_unknown",
            f"{client.host} does not say which SHA-256 {file.name} should have, so it could not be verified.",
            "Use the original hub or another mirror.",
        )
    return replace(file, sha256=found)


def _linked_hash(client: HubClient, model: RemoteModel, file: RemoteFile, halt: Halt) -> str | None:
    failures = Failures(client.patience, halt)
    while True:
        try:
            with client.open(model.repo, model.revision, file.path, 0, 1) as stream:
                return stream.linked_hash
        except Hiccup as hiccup:
            failures.wait_after(hiccup)


def _is_receipt_for(receipt: Receipt, model: RemoteModel) -> bool:
    return [(file.name, file.sha256) for file in receipt.files] == [(file.name, file.sha256) for file in model.files]


def _remove_empty(folder: Path, models: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
        if folder.parent != models:
            folder.parent.rmdir()
