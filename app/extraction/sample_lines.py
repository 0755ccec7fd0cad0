"""Corrected documents from a file of lines, ``{"file", "fields": {name: value}}``: which files, and what is right.

Values may be nested as JSON nests them, and written as a person writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from app.extraction.normalise import canonical
from app.extraction.records import ExampleValue
from app.extraction.schema import FieldType, Schema, find_field
from engine.errors import GatehouseError

_MOST_LINES = 200
_MOST_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A document, not read yet, and its values."""

    path: Path
    values: tuple[ExampleValue, ...]


def read_samples(path: Path, schema: Schema) -> tuple[Sample, ...]:
    """The samples of a file; relative names are looked for beside it first, then here. Blocks on the disk.

    Raises: ``GatehouseError`` naming the line, ``OSError``.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise GatehouseError("bad_examples", f"{path.name} is too large for a file of examples.")
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise GatehouseError("bad_examples", f"{path.name} is not text in UTF-8.") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            found.append(_sample(line, f"line {number} of {path.name}", path.parent, schema))
        if len(found) > _MOST_LINES:
            raise GatehouseError("bad_examples", f"{path.name} has more than {_MOST_LINES} examples.")
    return tuple(found)


def _sample(line: str, where: str, folder: Path, schema: Schema) -> Sample:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        _refuse(where, "it is not JSON")
    if not isinstance(fields, dict) or not isinstance(fields.get("file"), str):
        _refuse(where, 'it has no "file"')
    if not isinstance(fields.get("fields"), dict):
        _refuse(where, 'it has no "fields"')
    beside = folder / fields["file"]
    path = beside if beside.exists() else Path(fields["file"])
    return Sample(path, tuple(_values(fields["fields"], "", where, schema)))


def _values(value: Any, name: str, where: str, schema: Schema) -> Iterator[ExampleValue]:
    """``value`` taken apart into single values with their paths."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _values(inner, f"{name}.{key}" if name else str(key), where, schema)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _values(inner, f"{name}[{index}]", where, schema)
    else:
        yield ExampleValue(name, _canonical(value, name, where, schema))


def _canonical(value: Any, name: str, where: str, schema: Schema) -> str | None:
    field = find_field(schema, name)
    if field is None:
        _refuse(where, f"the schema has no field {name[:60]!r}")
    if value is None or value == "":
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    kind = field.item_type if field.type is FieldType.LIST else field.type
    found = canonical(kind, text, field.choices)
    if found is None:
        _refuse(where, f"{text[:60]!r} is no {kind.value} for {name[:60]!r}")
    return found.value


def _refuse(where: str, what: str) -> NoReturn:
    raise GatehouseError("bad_examples", f"The example in {where} cannot be used: {what}.")
