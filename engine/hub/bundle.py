"""Carries models by disk to machines without a network: a folder with the files, their hashes, and what was planned.

Both ways every byte is hashed while it is copied. A bundle is plain: ``gatehouse-bundle.json`` lists the models, the
files lie as ``OWNER/NAME/FILE``, and ``SHA256SUMS`` lets anybody check them without Gatehouse.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import GatehouseError, HubError
from engine.hub.disk import Disk, check_space, write_durably, write_failed
from engine.hub.download import folder_of
from engine.hub.install import PART_SUFFIX, delete, install
from engine.hub.lock import FolderLock
from engine.hub.patience import Halt, Halted
from engine.hub.repository import parse_source
from engine.hub.verify import Receipt, VerifiedFile, is_in_place, load_receipt, parse_receipt, receipt_path

LIST_NAME = "gatehouse-bundle.json"
SUMS_NAME = "SHA256SUMS"
LOCAL_OWNER = "local"
"""Stands for the owner of models that came from no repository."""
_FORM = 1
_LIST_LIMIT = 16 * 1_048_576
_BLOCK = 1_048_576

Report = Callable[[str, int, int], None]
"""Gets the file's name, the bytes done and the bytes in all."""


@dataclass(frozen=True, slots=True)
class Luggage:
    """A model to take along."""

    name: str
    paths: tuple[Path, ...]
    """The shards in order, wherever they lie."""
    receipt: Receipt | None
    """Its hashes are held against the bytes; ``None`` for a file whose origin is unknown."""
    plan_json: str | None = None
    """What was planned for it here, carried along unread: ``engine.fit.carried`` writes and judges it."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A model in a bundle."""

    receipt: Receipt
    plan_json: str | None


@dataclass(frozen=True, slots=True)
class Arrival:
    """What became of one model of a bundle."""

    packed: Packed
    error: GatehouseError | None
    """Set when it was not taken over; what is not whole does not stay."""

    def path(self, models: Path) -> Path:
        """Its first file in the folder that took it over."""
        return folder_of(models, self.packed.receipt.repo) / self.packed.receipt.files[0].name


def export(luggage: Sequence[Luggage], bundle: Path, halt: Halt, report: Report, disk: Disk) -> tuple[Packed, ...]:
    """Copy models into a folder, adding to a bundle that is there already. Blocking.

    Raises: ``HubError``; ``Halted``. Models that were complete by then stay in the bundle.
    """
    try:
        bundle.mkdir(parents=True, exist_ok=True)
        old = contents(bundle) if (bundle / LIST_NAME).exists() else ()
        packed = {(entry.receipt.repo, entry.receipt.name): entry for entry in old}
        total = sum(path.stat().st_size for piece in luggage for path in piece.paths)
        check_space(bundle, total, disk)
        done = 0
        for piece in luggage:
            entry = _pack(piece, bundle, halt, _offset(report, done, total))
            done += sum(file.size_bytes for file in entry.receipt.files)
            packed[entry.receipt.repo, entry.receipt.name] = entry
            _write_lists(tuple(packed.values()), bundle)
    except OSError as error:
        raise write_failed(error, bundle) from error
    return tuple(packed.values())


def contents(bundle: Path) -> tuple[Packed, ...]:
    """What a bundle claims to hold. Raises: ``HubError`` when it is none."""
    try:
        with (bundle / LIST_NAME).open("rb") as file:
            content = json.loads(file.read(_LIST_LIMIT))
        if content["form"] != _FORM:
            raise HubError("newer_bundle", f"{bundle} was packed by a newer Gatehouse (form {content['form']!r}).")
        return tuple(_unpacked(entry) for entry in content["models"])
    except FileNotFoundError as error:
        raise HubError("no_bundle", f"{bundle} is no bundle: it holds no {LIST_NAME}.") from error
    except OSError as error:
        raise HubError("unreadable", f"{bundle} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HubError("damaged_bundle", f"The list of the bundle {bundle} is damaged.", "Pack it again.") from error


def import_bundle(
    bundle: Path, models: Path, halt: Halt, report: Report, disk: Disk, *, only: Collection[str] | None = None
) -> tuple[Arrival, ...]:
    """Take models over into a folder of models, verifying every byte. Blocking.

    A model that is damaged or missing is told in its ``Arrival`` and does not keep the others from arriving.

    Raises: ``HubError`` when it is no bundle or the disk is too small; ``Halted``.
    """
    wanted = [entry for entry in contents(bundle) if only is None or entry.receipt.name in only]
    try:
        models.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_failed(error, models) from error
    new = [entry for entry in wanted if not _is_there(entry.receipt, models)]
    total = sum(file.size_bytes for entry in new for file in entry.receipt.files)
    check_space(models, total, disk)
    arrivals, done = [], 0
    for entry in wanted:
        if entry not in new:
            arrivals.append(Arrival(entry, None))
            continue
        arrivals.append(Arrival(entry, _take_over(entry, bundle, models, halt, _offset(report, done, total))))
        done += sum(file.size_bytes for file in entry.receipt.files)
    return tuple(arrivals)


def _pack(piece: Luggage, bundle: Path, halt: Halt, report: Callable[[str, int], None]) -> Packed:
    repo = piece.receipt.repo if piece.receipt is not None else f"{LOCAL_OWNER}/{_as_name(piece.name)}"
    folder = folder_of(bundle, repo)
    folder.mkdir(parents=True, exist_ok=True)
    names = [path.name if path.suffix.lower() == ".gguf" else f"{_as_name(piece.name)}.gguf" for path in piece.paths]
    try:
        files = _pack_files(piece, names, folder, halt, report)
        for name in names:
            (folder / f"{name}{PART_SUFFIX}").replace(folder / name)
    finally:
        for name in names:
            delete(folder / f"{name}{PART_SUFFIX}")
    if piece.receipt is not None:
        return Packed(piece.receipt, piece.plan_json)
    return Packed(Receipt(_as_name(piece.name), repo, "", None, files), piece.plan_json)


def _pack_files(
    piece: Luggage, names: Sequence[str], folder: Path, halt: Halt, report: Callable[[str, int], None]
) -> tuple[VerifiedFile, ...]:
    known = {file.name: file.sha256 for file in piece.receipt.files} if piece.receipt is not None else {}
    files: list[VerifiedFile] = []
    base = 0
    for path, name in zip(piece.paths, names, strict=True):
        size, digest = _copy(path, folder / f"{name}{PART_SUFFIX}", halt, _at(report, name, base))
        if known.get(path.name, digest) != digest:
            raise HubError(
                "checksum_mismatch",
                f"{path.name} is not what was downloaded any more: its SHA-256 changed.",
                "Delete the model and download it again.",
            )
        files.append(VerifiedFile(name, size, digest))
        base += size
    return tuple(files)


def _take_over(
    entry: Packed, bundle: Path, models: Path, halt: Halt, report: Callable[[str, int], None]
) -> GatehouseError | None:
    receipt = entry.receipt
    folder = folder_of(models, receipt.repo)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FolderLock(folder / f".{receipt.name}.lock", receipt.name):
            try:
                _copy_verified(receipt, folder_of(bundle, receipt.repo), folder, halt, report)
                install(receipt, folder)
            finally:
                for file in receipt.files:
                    delete(folder / f"{file.name}{PART_SUFFIX}")
    except GatehouseError as error:
        return error
    except FileNotFoundError as error:
        return HubError("missing_file", f"The bundle lacks {Path(error.filename or '').name}.", "Pack it again.")
    except OSError as error:
        return write_failed(error, folder)
    return None


def _copy_verified(
    receipt: Receipt, source: Path, folder: Path, halt: Halt, report: Callable[[str, int], None]
) -> None:
    base = 0
    old = load_receipt(receipt_path(folder, receipt.name))
    ours = {file.name for file in old.files} if old is not None else set()
    for file in receipt.files:
        if (folder / file.name).exists() and file.name not in ours:
            raise HubError(
                "name_taken",
                f"{folder} holds another file called {file.name} already.",
                "Move it away; Gatehouse does not write over files that it did not fetch.",
            )
        part = folder / f"{file.name}{PART_SUFFIX}"
        size, digest = _copy(source / file.name, part, halt, _at(report, file.name, base))
        if (size, digest) != (file.size_bytes, file.sha256):
            raise HubError(
                "checksum_mismatch",
                f"{file.name} in the bundle is damaged: {size:,} bytes with the SHA-256 {digest[:12]}… instead of "
                f"{file.size_bytes:,} bytes with {file.sha256[:12]}….",
                "Copy the bundle again, or pack it again.",
            )
        base += size


def _copy(source: Path, target: Path, halt: Halt, report: Callable[[int], None]) -> tuple[int, str]:
    running = hashlib.sha256()
    done = 0
    with source.open("rb", buffering=0) as reader, Disk().open_part(target) as writer:
        writer.truncate(0)
        while block := reader.read(_BLOCK):
            if halt.is_set():
                raise Halted
            view = memoryview(block)
            while view:
                view = view[writer.write(view) or 0 :]
            running.update(block)
            done += len(block)
            report(done)
        os.fsync(writer.fileno())
    return done, running.hexdigest()


def _write_lists(packed: Sequence[Packed], bundle: Path) -> None:
    models = [{"receipt": {"form": 1, **asdict(entry.receipt)}, "plan": entry.plan_json} for entry in packed]
    sums = [f"{file.sha256}  {entry.receipt.repo}/{file.name}" for entry in packed for file in entry.receipt.files]
    write_durably(bundle / SUMS_NAME, ("\n".join(sorted(sums)) + "\n").encode())
    write_durably(bundle / LIST_NAME, json.dumps({"form": _FORM, "models": models}, indent=1).encode())


def _unpacked(entry: object) -> Packed:
    """Raises: ``ValueError`` for whatever could not be ours."""
    if not isinstance(entry, dict) or not isinstance(entry.get("plan"), str | None):
        raise ValueError("not a model of a bundle")
    receipt = parse_receipt(entry.get("receipt"))
    try:
        proper = parse_source(receipt.repo).repo == receipt.repo
    except HubError as error:
        raise ValueError("not a repository") from error
    if not proper:
        raise ValueError("more than a repository")
    return Packed(receipt, entry["plan"])


def _is_there(receipt: Receipt, models: Path) -> bool:
    folder = folder_of(models, receipt.repo)
    own = load_receipt(receipt_path(folder, receipt.name))
    return own is not None and own.files == receipt.files and is_in_place(own, folder)


def _as_name(name: str) -> str:
    """A name that is safe as that of a file and a folder everywhere."""
    return re.sub(r"[^\w.-]+|^[.-]+", "_", name, flags=re.ASCII)[:90] or "model"


def _offset(report: Report, base: int, total: int) -> Callable[[str, int], None]:
    return lambda name, done: report(name, base + done, total)


def _at(report: Callable[[str, int], None], name: str, base: int) -> Callable[[int], None]:
    return lambda done: report(name, base + done)
