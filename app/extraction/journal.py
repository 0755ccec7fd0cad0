"""The journal of a run on the command line: one line of JSON a finished file, kept on the disk from line to line.

Beside the result lies what it takes to repeat the run, and which files a finished table holds, in
``RESULT.manifest.json``. Blocks on the disk.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from app.documents.records import Box
from app.extraction.exported import ExportedDocument, ExportedValue, json_line
from app.extraction.manifest import Manifest
from app.extraction.records import Evidence, ExtractionTimings, Grounding
from app.extraction.schema import FieldType, Schema, find_field
from engine.errors import GatehouseError
from engine.records import to_plain


class Journal:
    """Opened once a run; ``close`` it."""

    def __init__(self, path: Path, schema: Schema, *, resume: bool, result: Path | None = None) -> None:
        """``result``: what the run is for, where that is not the journal itself.

        Raises ``GatehouseError`` ``out_exists``, ``other_schema``; ``OSError``."""
        self.path = path
        self._schema = schema
        self._result = result or path
        self._beside = self._result.with_name(f"{self._result.name}.manifest.json")
        self._settings: dict[str, Any] = {}
        self._files: dict[str, str] = {}
        self.done: dict[str, str] = {}
        """SHA-256 of each file that an earlier run finished."""
        self.finished: dict[str, str] = {}
        """The same of a result that is whole, whose journal is gone."""
        if path.exists() and path.stat().st_size > 0:
            if not resume:
                hint = "Use --resume to go on with it, or another name."
                raise GatehouseError("out_exists", f"{path} is there already.", hint)
            self._take_up()
        elif resume and self._result is not path and self._result.exists():
            self._check_schema()
            self.finished = self._files
        self._file: IO[bytes] = open(path, "ab", opener=_private)  # noqa: SIM115 - only open() takes an opener

    def add(self, document: ExportedDocument, manifest: Manifest | None) -> None:
        """Write a line; when this returns, it outlives a power cut."""
        if manifest is not None and manifest.sha256 not in self._settings:
            self._settings[manifest.sha256] = json.loads(manifest.body)
            self._write_beside()
        self._file.write(json_line(document).encode("utf-8", "replace") + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def documents(self) -> Iterator[ExportedDocument]:
        """Everything in the journal, in order."""
        with self.path.open("rb") as file:
            for line in file:
                document = _document(line, self._schema)
                if document is not None:
                    yield document

    def close(self) -> None:
        self._file.close()

    def drop(self) -> None:
        """The result is whole, or nothing was written: remove the journal, and keep beside the result what is in it."""
        self.close()
        written = {document.file: document.sha256 for document in self.documents() if document.status == "done"}
        if written:
            self._files = written
            self._write_beside()
        self.path.unlink()

    def _take_up(self) -> None:
        """Keep the lines of finished files; failed ones are tried again, and a torn line never was one."""
        self._check_schema()
        kept = self.path.with_name(f".{self.path.name}.part")
        with self.path.open("rb") as before, open(kept, "wb", opener=_private) as after:
            for line in before:
                document = _document(line, self._schema)
                if document is not None and document.status == "done" and document.file not in self.done:
                    self.done[document.file] = document.sha256
                    after.write(line)
            after.flush()
            os.fsync(after.fileno())
        kept.replace(self.path)

    def _check_schema(self) -> None:
        try:
            fields = json.loads(self._beside.read_text("utf-8"))
        except (FileNotFoundError, ValueError):
            return
        settings = fields.get("settings") if isinstance(fields, dict) else None
        self._settings = settings if isinstance(settings, dict) else {}
        files = fields.get("files") if isinstance(fields, dict) else None
        self._files = {str(name): str(one) for name, one in files.items()} if isinstance(files, dict) else {}
        ours = json.loads(json.dumps(to_plain(self._schema)))
        for setting in self._settings.values():
            if isinstance(setting, dict) and setting.get("schema") != ours:
                sentence = f"{self._result.name} was begun with another schema."
                raise GatehouseError("other_schema", sentence, "Use that schema, or another name for --out.")

    def _write_beside(self) -> None:
        partial = self._beside.with_name(f".{self._beside.name}.part")
        fields = {"settings": self._settings, **({"files": self._files} if self._files else {})}
        with open(partial, "w", encoding="utf-8", opener=_private) as file:
            json.dump(fields, file, ensure_ascii=False, indent=2)
        partial.replace(self._beside)


def _private(path: str, flags: int) -> int:
    """For the person alone, as the tables are: what is read out of documents is as private as they are."""
    return os.open(path, flags | getattr(os, "O_BINARY", 0), 0o600)


def _document(line: bytes, schema: Schema) -> ExportedDocument | None:
    """A line read back; ``None`` for one that is torn or no line of ours."""
    if not line.endswith(b"\n"):
        return None
    try:
        fields = json.loads(line)
        error = fields.get("error")
        return ExportedDocument(
            str(fields["file"]),
            str(fields["sha256"]),
            str(fields["status"]),
            tuple(_value(name, one, schema) for name, one in fields["fields"].items()),
            str(fields["model"]),
            ExtractionTimings(**fields["timings"]),
            (error["code"], error["sentence"]) if error else None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _value(name: str, fields: dict[str, Any], schema: Schema) -> ExportedValue:
    field = find_field(schema, name)
    kind = FieldType.TEXT if field is None else field.type
    if field is not None and kind is FieldType.LIST:
        kind = field.item_type
    evidence = tuple(
        Evidence(one["page"], Box(*one["box"]) if one["box"] else None, one["start"], one["end"], one["text"])
        for one in fields["evidence"]
    )
    return ExportedValue(
        name,
        kind,
        fields["value"],
        fields["raw"],
        fields["confidence"],
        Grounding(fields["grounding"]),
        evidence,
        fields.get("currency", ""),
        fields.get("review", ""),
    )
