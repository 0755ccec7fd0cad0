"""Which values deserve a person's look. Pure; how sure a value is, is ``app.extraction``'s."""

from __future__ import annotations

from typing import Final

from app.extraction.records import Extraction, Grounding, Value
from app.extraction.schema import Schema, find_field

SURE_ENOUGH: Final = 0.9
"""Values of at least this confidence are left alone when nothing else speaks against them."""


def doubtful(extraction: Extraction, schema: Schema) -> frozenset[str]:
    """The names of values that need a look."""
    return frozenset(value.name for value in extraction.values if needs_look(value, schema))


def needs_look(value: Value, schema: Schema) -> bool:
    """Uncertain, without proof, against a rule, or required and absent."""
    if value.problems or value.confidence < SURE_ENOUGH or value.grounding is Grounding.UNPROVEN:
        return True
    if value.grounding is not Grounding.ABSENT:
        return False
    field = find_field(schema, value.name)
    return field is not None and field.required
