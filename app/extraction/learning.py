"""What people's decisions teach: examples for the next documents of a schema, and how sure the model may be of itself.

Runs in the store lane's reading thread. Which examples are shown is ``examples``'s, the curve is ``calibration``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from app.extraction.calibration import Calibration, Judged, fit, shipped
from app.extraction.examples import MAX_EXAMPLE_CHARS
from app.extraction.records import Example, ExampleValue
from app.extraction.schema import Schema, find_field
from app.extraction.view import view_text
from app.store import documents, extractions
from app.store.database import Connection

_MOST_EXAMPLES: Final = 12
_MOST_VERDICTS: Final = 5000


@dataclass(frozen=True, slots=True)
class Lesson:
    """What stands before the next document, and how scores are read."""

    examples: tuple[Example, ...]
    calibration: Calibration


def learn(connection: Connection, schema: Schema) -> Lesson:
    """From all files of this schema that a person has been through."""
    verdicts = extractions.verdicts(connection, schema.name, _MOST_VERDICTS)
    judged = [Judged(verdict.score, verdict.right) for verdict in verdicts if verdict.score is not None]
    calibration = fit(judged, shipped()) if judged else shipped()
    return Lesson(_examples(connection, schema), calibration)


def _examples(connection: Connection, schema: Schema) -> tuple[Example, ...]:
    found = []
    for file_id in extractions.seen_files(connection, schema.name, MAX_EXAMPLE_CHARS, _MOST_EXAMPLES):
        stored = extractions.load(connection, file_id)
        if stored is None:
            continue
        values = tuple(
            ExampleValue(item.name, item.shown) for item in stored.values if find_field(schema, item.name) is not None
        )
        corrected = sum(item.shown != item.value.value for item in stored.values)
        found.append(Example(view_text(documents.reading(connection, stored.document_id)), values, corrected))
    return tuple(found)
