"""What to take out of a document: fields with types, the rules between them, and the schema that holds them.

Records only. JSON Schema and Pydantic are ``schema_json``'s, what a type accepts is ``normalise``'s, whether the rules
hold is ``validate``'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from engine.errors import GatehouseError

MAX_FIELDS: Final = 400
"""Leaves of one schema, those of tables and groups included."""
MAX_DEPTH: Final = 4
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class FieldType(StrEnum):
    """How a field's value is read and compared. Canonical texts are ``normalise``'s."""

    TEXT = "text"
    NUMBER = "number"
    AMOUNT = "amount"
    """Money: a decimal number, with the currency where the document names one."""
    DATE = "date"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    """One of ``Field.choices``."""
    EMAIL = "email"
    IBAN = "iban"
    VAT_ID = "vat_id"
    ADDRESS = "address"
    """A text of one or more lines, one below the other."""
    LIST = "list"
    """Values of one type, ``Field.item_type``."""
    TABLE = "table"
    """Rows of the columns in ``Field.fields``."""
    GROUP = "group"
    """A part with fields of its own, ``Field.fields``."""


NESTING: Final = frozenset({FieldType.LIST, FieldType.TABLE, FieldType.GROUP})


class RuleKind(StrEnum):
    """What must hold between fields."""

    SUM = "sum"
    """The ``parts`` add up to ``total``; a part may be a column, as in ``lines.amount``."""
    ORDER = "order"
    """The ``parts`` do not go down: dates, or numbers. ``total`` is unused."""
    PRODUCT = "product"
    """In each row, or once, the ``parts`` multiply to ``total``."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule between fields, named by their paths without indices."""

    kind: RuleKind
    parts: tuple[str, ...]
    total: str = ""
    tolerance: str = "0.05"
    """How far apart both sides may be, in the fields' own unit."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing to find."""

    name: str
    """A letter, then letters, digits and underscores; at most 64."""
    type: FieldType = FieldType.TEXT
    description: str = ""
    """What it is, for the model and for people; the single most useful thing to write."""
    label: str = ""
    """As a table's head shows it; empty: made from the name."""
    required: bool = False
    """A document without it needs a look. The model may answer *absent* all the same."""
    example: str = ""
    choices: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()
    """Columns of a table, members of a group."""
    item_type: FieldType = FieldType.TEXT
    synonyms: tuple[str, ...] = ()
    """Words that documents print beside it, besides its name: ``amount due`` for a total."""
    validators: tuple[str, ...] = ()
    """Names that ``validate`` knows, as ``iban`` or ``stdnum:isbn``."""

    @property
    def shown(self) -> str:
        """The label, or the name made readable."""
        return self.label or self.name.replace("_", " ").capitalize()


@dataclass(frozen=True, slots=True)
class Schema:
    """What a kind of document holds."""

    name: str
    """Unique among schemas: letters, digits, underscores."""
    title: str
    description: str
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    version: int = 1
    """Grows by one with each saved change, so that results say what they answer."""


def leaves(fields: tuple[Field, ...], prefix: str = "") -> Iterator[tuple[str, Field]]:
    """Paths without indices and the fields that hold single values or lists: ``seller.name``, ``lines.amount``."""
    for field in fields:
        path = f"{prefix}{field.name}"
        if field.type in (FieldType.TABLE, FieldType.GROUP):
            yield from leaves(field.fields, f"{path}.")
        else:
            yield path, field


def find_field(schema: Schema, path: str) -> Field | None:
    """The field that a value's path (``lines[2].amount``) belongs to."""
    fields, found = schema.fields, None
    for name in re.sub(r"\[\d+\]", "", path).split("."):
        found = next((field for field in fields if field.name == name), None)
        if found is None:
            return None
        fields = found.fields
    return found


def check_schema(schema: Schema) -> None:
    """Raises: ``GatehouseError`` naming the first thing that cannot work."""
    if not _NAME.fullmatch(schema.name):
        _refuse(f"A schema cannot be called {schema.name[:80]!r}.", "Use a letter, then letters, digits, underscores.")
    _check_fields(schema.fields, "", 1)
    count = sum(1 for _ in leaves(schema.fields))
    if count > MAX_FIELDS:
        _refuse(f"The schema has {count} fields; {MAX_FIELDS} are the most.", "Split it into two schemas.")
    known = {path for path, _ in leaves(schema.fields)}
    for rule in schema.rules:
        for path in (*rule.parts, *((rule.total,) if rule.total else ())):
            if path not in known:
                _refuse(f"A rule names the field {path[:80]!r}, which the schema does not have.", "")


def _check_fields(fields: tuple[Field, ...], prefix: str, depth: int) -> None:
    if not fields:
        _refuse(f"{prefix.rstrip('.') or 'The schema'} has no fields.", "Add at least one.")
    if depth > MAX_DEPTH:
        _refuse(f"{prefix.rstrip('.')} is nested deeper than {MAX_DEPTH} levels.", "Make the schema flatter.")
    seen: set[str] = set()
    for field in fields:
        path = f"{prefix}{field.name}"
        if not _NAME.fullmatch(field.name):
            _refuse(f"A field cannot be called {path[:80]!r}.", "Use a letter, then letters, digits, underscores.")
        if field.name in seen:
            _refuse(f"The field {path!r} is there twice.", "Give each field its own name.")
        seen.add(field.name)
        if field.type is FieldType.CHOICE and not field.choices:
            _refuse(f"The field {path!r} is a choice without choices.", "List what may be chosen.")
        if field.type is FieldType.LIST and field.item_type in NESTING:
            _refuse(f"The list {path!r} holds {field.item_type} items.", "Use a table for rows of several values.")
        if field.type in (FieldType.TABLE, FieldType.GROUP):
            _check_fields(field.fields, f"{path}.", depth + 1)


def _refuse(sentence: str, hint: str) -> None:
    raise GatehouseError("invalid_schema", sentence, hint)
