"""Changing a schema, field by field: each change gives another schema. Pure.

A field is addressed by its places from the outside in: ``(2,)`` is the third field, ``(2, 0)`` the first one in it.
Whether the result can work is ``schema.check_schema``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from app.extraction.schema import Field, FieldType, Schema

Address = tuple[int, ...]
Fields = tuple[Field, ...]

_HOLDING = (FieldType.TABLE, FieldType.GROUP)


def every_field(fields: Fields, above: Address = ()) -> Iterator[tuple[Address, Field]]:
    """All fields as one reads them, what a table or group holds below it."""
    for place, field in enumerate(fields):
        yield (*above, place), field
        if field.type in _HOLDING:
            yield from every_field(field.fields, (*above, place))


def put(schema: Schema, address: Address, field: Field) -> Schema:
    """With another field in its place. One that becomes a table or group gets a first text to hold."""
    if field.type in _HOLDING and not field.fields:
        field = replace(field, fields=(Field(free_name((), "item")),))
    if field.type is not FieldType.CHOICE and field.choices:
        field = replace(field, choices=())
    return replace(schema, fields=_changed(schema.fields, address, lambda _fields, _place: (field,)))


def remove(schema: Schema, address: Address) -> Schema:
    """Without a field; the last one of a table, a group or the schema stays."""
    if len(_siblings(schema.fields, address)) == 1:
        return schema
    return replace(schema, fields=_changed(schema.fields, address, lambda _fields, _place: ()))


def insert_below(schema: Schema, address: Address | None, *, inside: bool = False) -> tuple[Schema, Address]:
    """A new text field behind one, or as the first inside it; at the end without an address. Also where it is."""
    if address is None:
        new = Field(free_name(schema.fields, "field"))
        return replace(schema, fields=(*schema.fields, new)), (len(schema.fields),)
    if inside:
        holder = find(schema, address)
        new = Field(free_name(holder.fields, "field"))
        changed = replace(holder, fields=(new, *holder.fields))
        return put(schema, address, changed), (*address, 0)
    new = Field(free_name(_siblings(schema.fields, address), "field"))
    fields = _changed(schema.fields, address, lambda fields, place: (fields[place], new))
    return replace(schema, fields=fields), (*address[:-1], address[-1] + 1)


def move(schema: Schema, address: Address, step: int) -> tuple[Schema, Address]:
    """A field some places on among those beside it. Also where it is then."""
    siblings = list(_siblings(schema.fields, address))
    target = min(max(address[-1] + step, 0), len(siblings) - 1)
    siblings.insert(target, siblings.pop(address[-1]))
    return _with_siblings(schema, address, tuple(siblings)), (*address[:-1], target)


def find(schema: Schema, address: Address) -> Field:
    """Raises ``IndexError``."""
    fields, found = schema.fields, None
    for place in address:
        found = fields[place]
        fields = found.fields
    if found is None:
        raise IndexError(address)
    return found


def free_name(beside: Fields, wanted: str) -> str:
    """``wanted``, with a number behind it when a field beside it has that name."""
    taken = {field.name for field in beside}
    number = 1
    name = wanted
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def own_copy(schema: Schema, taken: frozenset[str]) -> Schema:
    """A copy under a name that is free, for changing without losing the original."""
    number, name = 2, f"{schema.name}_2"
    while name in taken:
        number += 1
        name = f"{schema.name}_{number}"
    return replace(schema, name=name, title=f"{schema.title} {number}", version=1)


def _siblings(fields: Fields, address: Address) -> Fields:
    for place in address[:-1]:
        fields = fields[place].fields
    return fields


def _with_siblings(schema: Schema, address: Address, siblings: Fields) -> Schema:
    if len(address) == 1:
        return replace(schema, fields=siblings)
    holder = find(schema, address[:-1])
    return put(schema, address[:-1], replace(holder, fields=siblings))


def _changed(fields: Fields, address: Address, change: Callable[[Fields, int], Fields]) -> Fields:
    """``fields`` with what ``change`` makes of the addressed one in its place."""
    place = address[0]
    if len(address) == 1:
        made = change(fields, place)
    else:
        made = (replace(fields[place], fields=_changed(fields[place].fields, address[1:], change)),)
    return (*fields[:place], *made, *fields[place + 1 :])
