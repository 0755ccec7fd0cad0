"""Rows of extracted values, their evidence, and what people decided. Functions run in the store lane's threads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.documents.records import Box
from app.documents.review_records import Review, ReviewAction, ReviewedValue
from app.extraction.records import Evidence, Extraction, ExtractionTimings, Grounding, Value
from app.extraction.schema import FieldType
from app.store.database import Connection
from engine.errors import StoreError

_VALUE = (
    "SELECT v.seq, v.name, v.type, v.value, v.raw, v.confidence, v.score, v.grounding, v.currency, v.problems,"
    " v.alternatives, v.doubtful FROM extraction_values AS v"
)
_LATEST = """
    SELECT name, action, value, raw, evidence, problems, at, type FROM reviews AS r
    WHERE file_id = ? AND seq = (SELECT max(seq) FROM reviews WHERE file_id = r.file_id AND name = r.name)
    ORDER BY seq
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """An extraction with the decisions about it, as the store has it."""

    values: tuple[ReviewedValue, ...]
    document_id: str
    model: str
    timings: ExtractionTimings
    notes: tuple[str, ...]
    manifest: str
    """The hash of what it takes to repeat it."""
    seal: str
    undoable: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about one value, before it is a row."""

    name: str
    type: FieldType
    review: Review


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision beside what the machine had said: what calibration and examples learn from."""

    name: str
    type: FieldType
    right: bool
    """Whether the machine's value stands."""
    score: float | None


def keep_manifest(connection: Connection, sha256: str, body: str, at: float) -> None:
    """Store it under its hash, once."""
    connection.execute("INSERT OR IGNORE INTO manifests (sha256, body, at) VALUES (?, ?, ?)", (sha256, body, at))


def manifests_of(connection: Connection, batch_id: str) -> Mapping[str, str]:
    """Bodies by their hashes, of all results of a batch."""
    rows = connection.execute(
        "SELECT DISTINCT m.sha256, m.body FROM manifests AS m JOIN extractions AS e ON e.manifest = m.sha256"
        " JOIN batch_files AS f ON f.id = e.file_id WHERE f.batch_id = ? ORDER BY m.at",
        (batch_id,),
    )
    return dict(rows)


def sealed_files(connection: Connection, batch_id: str) -> tuple[tuple[str, str, str, str], ...]:
    """Path, SHA-256, manifest and seal of each result of a batch, in order."""
    rows = connection.execute(
        "SELECT f.path, d.sha256, e.manifest, e.seal FROM extractions AS e JOIN batch_files AS f ON f.id = e.file_id"
        " JOIN documents AS d ON d.id = e.document_id WHERE f.batch_id = ? ORDER BY f.position, f.seq",
        (batch_id,),
    )
    return tuple((row[0], row[1], row[2], row[3]) for row in rows)


def save(
    connection: Connection,
    file_id: str,
    document_id: str,
    extraction: Extraction,
    doubtful: frozenset[str],
    manifest: str,
    seal: str,
    at: float,
) -> None:
    """Write the values of a file, in place of earlier ones. Decisions of people stay."""
    connection.execute("DELETE FROM extractions WHERE file_id = ?", (file_id,))
    sequence = connection.execute(
        "INSERT INTO extractions (file_id, document_id, manifest, model, prompt_sha256, timings, notes, seal, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            file_id,
            document_id,
            manifest,
            extraction.model,
            extraction.prompt_sha256,
            json.dumps(asdict(extraction.timings)),
            json.dumps(extraction.notes),
            seal,
            at,
        ),
    ).lastrowid
    for value in extraction.values:
        _insert_value(connection, sequence, value, value.name in doubtful)
    tally(connection, file_id)


def load(connection: Connection, file_id: str) -> Stored | None:
    """The values of a file with what people decided; ``None`` when it has none."""
    row = connection.execute(
        "SELECT seq, document_id, model, timings, notes, manifest, seal FROM extractions WHERE file_id = ?", (file_id,)
    ).fetchone()
    if row is None:
        return None
    return Stored(
        values=_reviewed(_machine_values(connection, row[0]), _latest(connection, file_id)),
        document_id=row[1],
        model=row[2],
        timings=ExtractionTimings(**json.loads(row[3])),
        notes=tuple(json.loads(row[4])),
        manifest=row[5],
        seal=row[6],
        undoable=connection.execute("SELECT 1 FROM reviews WHERE file_id = ? LIMIT 1", (file_id,)).fetchone()
        is not None,
    )


def decide(connection: Connection, file_id: str, decisions: Sequence[Decision]) -> tuple[ReviewedValue, ...]:
    """Add decisions as one step; returns the values as they now stand. Raises ``StoreError``."""
    before = {item.name: item for item in _required(connection, file_id).values}
    (step,) = connection.execute(
        "SELECT ifnull(max(step) + 1, 1) FROM reviews WHERE file_id = ?", (file_id,)
    ).fetchone()
    for decision in decisions:
        machine = before.get(decision.name)
        review = decision.review
        connection.execute(
            "INSERT INTO reviews (file_id, step, name, action, value, raw, evidence, problems, type, machine_value,"
            " machine_score, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                file_id,
                step,
                decision.name,
                review.action.value,
                review.value,
                review.raw,
                json.dumps([_plain(place) for place in review.evidence]),
                json.dumps(review.problems),
                decision.type.value,
                machine.value.value if machine else None,
                machine.value.score if machine else None,
                review.at,
            ),
        )
    tally(connection, file_id)
    return _named(connection, file_id, [decision.name for decision in decisions])


def undo(connection: Connection, file_id: str) -> tuple[ReviewedValue, ...]:
    """Take the last step back; returns its values as they now stand (those that only a person had added: undecided)."""
    names = [
        row[0]
        for row in connection.execute(
            "SELECT name FROM reviews WHERE file_id = ?1"
            " AND step = (SELECT max(step) FROM reviews WHERE file_id = ?1) ORDER BY seq",
            (file_id,),
        )
    ]
    added = {name: _value_of_nobody(name, kind) for name, kind in _types(connection, file_id, names)}
    connection.execute(
        "DELETE FROM reviews WHERE file_id = ?1 AND step = (SELECT max(step) FROM reviews WHERE file_id = ?1)",
        (file_id,),
    )
    tally(connection, file_id)
    now = {item.name: item for item in _named(connection, file_id, names)}
    return tuple(now.get(name) or ReviewedValue(added[name], None, doubtful=False) for name in names)


def verdicts(connection: Connection, schema_name: str, limit: int) -> tuple[Verdict, ...]:
    """What people decided about values of a schema, the latest first."""
    rows = connection.execute(
        "SELECT r.name, r.type, r.value, r.machine_value, r.machine_score FROM reviews AS r"
        " JOIN batch_files AS f ON f.id = r.file_id JOIN batches AS b ON b.id = f.batch_id"
        " WHERE b.schema_name = ?"
        " AND r.seq = (SELECT max(seq) FROM reviews WHERE file_id = r.file_id AND name = r.name)"
        " ORDER BY r.seq DESC LIMIT ?",
        (schema_name, limit),
    )
    return tuple(Verdict(name, FieldType(kind), value == machine, score) for name, kind, value, machine, score in rows)


def seen_files(connection: Connection, schema_name: str, most_characters: int, limit: int) -> tuple[str, ...]:
    """Files of a schema that a person decided about and left without a doubt, the most corrected first."""
    rows = connection.execute(
        "SELECT f.id FROM batch_files AS f JOIN batches AS b ON b.id = f.batch_id"
        " JOIN extractions AS e ON e.file_id = f.id JOIN documents AS d ON d.id = e.document_id"
        " WHERE b.schema_name = ? AND f.state = 'done' AND f.doubtful_values = 0 AND f.decided_values > 0"
        " AND b.deleted_at IS NULL AND d.characters <= ?"
        " ORDER BY (SELECT count(*) FROM reviews AS r WHERE r.file_id = f.id AND r.action <> 'accepted') DESC, f.seq"
        " LIMIT ?",
        (schema_name, most_characters, limit),
    )
    return tuple(row[0] for row in rows)


def tally(connection: Connection, file_id: str) -> None:
    """Count again what is left to look at in a file."""
    connection.execute(
        "UPDATE batch_files SET doubtful_values = (SELECT count(*) FROM extraction_values AS v"
        " JOIN extractions AS e ON e.seq = v.extraction WHERE e.file_id = ?1 AND v.doubtful = 1"
        " AND NOT EXISTS (SELECT 1 FROM reviews AS r WHERE r.file_id = ?1 AND r.name = v.name)),"
        " decided_values = (SELECT count(DISTINCT name) FROM reviews WHERE file_id = ?1),"
        " mean_confidence = (SELECT avg(v.confidence) FROM extraction_values AS v"
        " JOIN extractions AS e ON e.seq = v.extraction WHERE e.file_id = ?1) WHERE id = ?1",
        (file_id,),
    )


def _insert_value(connection: Connection, extraction: int | None, value: Value, doubtful: bool) -> None:
    sequence = connection.execute(
        "INSERT INTO extraction_values (extraction, name, type, value, raw, confidence, score, grounding, currency,"
        " problems, alternatives, doubtful) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            extraction,
            value.name,
            value.type.value,
            value.value,
            value.raw,
            value.confidence,
            value.score,
            value.grounding.value,
            value.currency,
            json.dumps(value.problems),
            json.dumps(value.alternatives),
            int(doubtful),
        ),
    ).lastrowid
    connection.executemany(
        "INSERT INTO value_evidence (value_seq, page, x0, y0, x1, y1, start, stop, text)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (sequence, place.page, *(_edges(place.box) or (None,) * 4), place.start, place.end, place.text)
            for place in value.evidence
        ],
    )


def _machine_values(connection: Connection, extraction: int) -> tuple[tuple[Value, bool], ...]:
    places: dict[int, list[Evidence]] = {}
    for sequence, page, x0, y0, x1, y1, start, stop, text in connection.execute(
        "SELECT p.value_seq, p.page, p.x0, p.y0, p.x1, p.y1, p.start, p.stop, p.text FROM value_evidence AS p"
        " JOIN extraction_values AS v ON v.seq = p.value_seq WHERE v.extraction = ? ORDER BY p.seq",
        (extraction,),
    ):
        box = None if x0 is None else Box(x0, y0, x1, y1)
        places.setdefault(sequence, []).append(Evidence(page, box, start, stop, text))
    rows = connection.execute(_VALUE + " WHERE v.extraction = ? ORDER BY v.seq", (extraction,))
    return tuple((_value(row, tuple(places.get(row[0], ()))), bool(row[11])) for row in rows)


def _value(row: tuple[Any, ...], evidence: tuple[Evidence, ...]) -> Value:
    return Value(
        name=row[1],
        type=FieldType(row[2]),
        value=row[3],
        raw=row[4],
        confidence=row[5],
        grounding=Grounding(row[7]),
        evidence=evidence,
        currency=row[8],
        problems=tuple(json.loads(row[9])),
        alternatives=tuple(json.loads(row[10])),
        score=row[6],
    )


def _value_of_nobody(name: str, kind: FieldType) -> Value:
    """In the place of the machine's, where it said nothing: rows that a person added."""
    return Value(name, kind, None, "", 0.0, Grounding.ABSENT)


def _reviewed(
    machine: Iterable[tuple[Value, bool]], latest: Mapping[str, tuple[Review, FieldType]]
) -> tuple[ReviewedValue, ...]:
    found, rest = [], dict(latest)
    for value, doubtful in machine:
        review = rest.pop(value.name, None)
        found.append(ReviewedValue(value, review[0] if review else None, doubtful and review is None))
    for name, (review_of_row, kind) in rest.items():
        found.append(ReviewedValue(_value_of_nobody(name, kind), review_of_row, doubtful=False))
    return tuple(found)


def _latest(connection: Connection, file_id: str) -> dict[str, tuple[Review, FieldType]]:
    return {
        row[0]: (
            Review(
                action=ReviewAction(row[1]),
                value=row[2],
                raw=row[3],
                evidence=tuple(_evidence(item) for item in json.loads(row[4])),
                problems=tuple(json.loads(row[5])),
                at=row[6],
            ),
            FieldType(row[7]),
        )
        for row in connection.execute(_LATEST, (file_id,))
    }


def _required(connection: Connection, file_id: str) -> Stored:
    stored = load(connection, file_id)
    if stored is None:
        raise StoreError("not_extracted", "This file has no values yet.")
    return stored


def _named(connection: Connection, file_id: str, names: Sequence[str]) -> tuple[ReviewedValue, ...]:
    found = {item.name: item for item in _required(connection, file_id).values}
    return tuple(found[name] for name in names if name in found)


def _types(connection: Connection, file_id: str, names: Sequence[str]) -> list[tuple[str, FieldType]]:
    rows = connection.execute("SELECT name, type FROM reviews WHERE file_id = ?", (file_id,))
    return [(name, FieldType(kind)) for name, kind in rows if name in names]


def _edges(box: Box | None) -> tuple[float, float, float, float] | None:
    return None if box is None else (box.x0, box.y0, box.x1, box.y1)


def _plain(place: Evidence) -> list[object]:
    return [place.page, _edges(place.box), place.start, place.end, place.text]


def _evidence(plain: list[Any]) -> Evidence:
    page, edges, start, end, text = plain
    return Evidence(page, Box(*edges) if edges else None, start, end, text)
