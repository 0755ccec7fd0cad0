"""Passages of documents: rows, words and characters looked up by FTS5, vectors where an embedding model made some.

Functions run in the store lane's threads. sqlite-vec measures distances where it can be loaded; where it cannot, plain
Python does. How a text is cut into passages is ``app.documents.passages``'s.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.store import unspaced
from app.store.database import Connection, Error

_log = logging.getLogger(__name__)

_MAX_WORDS = 24
_MAX_PARTS = 48


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document's text."""

    seq: int
    document_id: str
    page: int
    """On which it begins."""
    start: int
    end: int
    text: str


def replace(connection: Connection, document_id: str, passages: Iterable[tuple[int, int, int, str]]) -> None:
    """Write a document's passages (page, start, end, text) in place of others; the same keep their vectors."""
    passages = tuple(passages)
    kept = tuple((one.page, one.start, one.end, one.text) for one in of_document(connection, document_id))
    if kept == passages:
        return
    connection.execute("DELETE FROM passages WHERE document_id = ?", (document_id,))
    connection.executemany(
        "INSERT INTO passages (document_id, page, start, stop, text) VALUES (?, ?, ?, ?, ?)",
        [(document_id, *passage) for passage in passages],
    )
    if any(unspaced.holds(passage[-1]) for passage in passages):
        written = of_document(connection, document_id)
        unspaced.add(connection, "passages_characters", [(one.seq, one.text) for one in written])


def of_document(connection: Connection, document_id: str) -> tuple[Passage, ...]:
    """In the order of the text."""
    rows = connection.execute(
        "SELECT seq, document_id, page, start, stop, text FROM passages WHERE document_id = ? ORDER BY start",
        (document_id,),
    )
    return tuple(Passage(*row) for row in rows)


def by_words(connection: Connection, document_ids: Sequence[str], words: str, limit: int) -> tuple[Passage, ...]:
    """The passages that hold most of the rarest words, best first (BM25). Any of the words may be missing."""
    if not document_ids:
        return ()
    marks = ", ".join("?" * len(document_ids))
    best: dict[int, tuple[float, Passage]] = {}
    for table, query in (("passages_text", any_of(words)), ("passages_characters", any_part_of(words))):
        if query is None:
            continue
        rows = connection.execute(
            f"SELECT bm25({table}), p.seq, p.document_id, p.page, p.start, p.stop, p.text FROM {table}"  # noqa: S608
            f" JOIN passages AS p ON p.seq = {table}.rowid"
            f" WHERE {table} MATCH ? AND p.document_id IN ({marks}) ORDER BY bm25({table}), p.seq LIMIT ?",
            (query, *document_ids, limit),
        )
        for score, seq, *rest in rows:  # the lower, the better
            if seq not in best or score < best[seq][0]:
                best[seq] = score, Passage(seq, *rest)
    ranked = sorted(best, key=lambda seq: (best[seq][0], seq))
    return tuple(best[seq][1] for seq in ranked[:limit])


def any_of(words: str) -> str | None:
    """The FTS5 expression for any of some words, each quoted, so that nobody's words become a query language.

    Writing without spaces is not among them: ``any_part_of``.
    """
    return _any(word for word in _telling(words) if not unspaced.holds(word))


def any_part_of(words: str) -> str | None:
    """The same for the index of writing without spaces: pairs of its characters, and words that stand among them."""
    parts = unspaced.parts(words)[:_MAX_PARTS]
    return _any((*parts, *(word for word in _telling(unspaced.spaced(words)) if not unspaced.holds(word))))


def _telling(words: str) -> list[str]:
    cleaned = "".join(character if character.isalnum() else " " for character in words)
    return list(dict.fromkeys(word for word in cleaned.casefold().split() if word not in _STOP_WORDS))[:_MAX_WORDS]


def _any(words: Iterable[str]) -> str | None:
    return " OR ".join(f'"{word}"' for word in words) or None


def add_vectors(connection: Connection, model: str, vectors: Iterable[tuple[int, bytes]]) -> None:
    """``vectors``: a passage's number and its unit vector as little-endian 32-bit floats. What is gone is left out."""
    connection.executemany(
        "INSERT OR REPLACE INTO passage_vectors (passage, model, vector)"
        " SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM passages WHERE seq = ?1)",
        [(passage, model, vector) for passage, vector in vectors],
    )


def without_vectors(
    connection: Connection, document_ids: Sequence[str], model: str, limit: int = -1
) -> tuple[Passage, ...]:
    """Passages that this model has not seen, at most ``limit`` of them."""
    marks = ", ".join("?" * len(document_ids))
    rows = connection.execute(
        "SELECT seq, document_id, page, start, stop, text FROM passages AS p"  # noqa: S608 - marks only
        f" WHERE document_id IN ({marks})"
        " AND NOT EXISTS (SELECT 1 FROM passage_vectors AS v WHERE v.passage = p.seq AND v.model = ?) ORDER BY seq"
        " LIMIT ?",
        (*document_ids, model, limit),
    )
    return tuple(Passage(*row) for row in rows)


def by_vector(
    connection: Connection, document_ids: Sequence[str], model: str, vector: bytes, limit: int
) -> tuple[Passage, ...]:
    """The passages nearest in meaning, best first."""
    if not document_ids:
        return ()
    marks = ", ".join("?" * len(document_ids))
    columns = "p.seq, p.document_id, p.page, p.start, p.stop, p.text"
    source = (
        "FROM passage_vectors AS v JOIN passages AS p ON p.seq = v.passage"
        f" WHERE v.model = ? AND length(v.vector) = ? AND p.document_id IN ({marks})"
    )
    scope = (model, len(vector), *document_ids)
    if load_vec(connection):
        rows = connection.execute(
            f"SELECT {columns} {source} ORDER BY vec_distance_cosine(v.vector, ?), p.seq LIMIT ?",
            (*scope, vector, limit),
        )
        return tuple(Passage(*row) for row in rows)
    asked = array("f", vector)
    scored = [
        (-_likeness(asked, array("f", row[6])), row[:6])
        for row in connection.execute(f"SELECT {columns}, v.vector {source}", scope)
    ]
    return tuple(Passage(*row) for _, row in sorted(scored)[:limit])


def load_vec(connection: Connection) -> bool:
    """Load sqlite-vec into this connection, if it is not there yet; False where that cannot be done."""
    try:
        connection.execute("SELECT vec_version()")
    except Error:
        return _load_vec(connection)
    return True


def _load_vec(connection: Connection) -> bool:
    try:
        import sqlite_vec

        connection.enable_load_extension(True)
        try:
            connection.load_extension(sqlite_vec.loadable_path())
        finally:
            connection.enable_load_extension(False)
    except (ImportError, AttributeError, OSError, Error) as error:
        _log.info("Vectors are compared without sqlite-vec: %s", error)
        return False
    return True


def _likeness(one: array[float], other: array[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


_GLUE = """
    a an and are as at be by did do does for from has have how i in is it its of on or que that the their there this to
    was were what when where which who whom whose why will with
    der die das den dem des ein eine einer und oder ist sind war im am auf aus bei mit nach von zu zum zur für wie wann
    wer wo welche welcher welches
    le la les un une du de et ou est sont dans sur pour par avec quel quelle quels quelles qui
"""
_STOP_WORDS = frozenset(_GLUE.split())
