"""What the labels no longer keep: conversations, documents, batches, each with when it was last used. Only looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal

from app.gate.label import Label, strictest
from app.store.database import Connection
from app.vault.records import Due

_DAY_S: Final = 86_400.0

Rules = Mapping[Label, int | None]
"""Days by label; ``None`` is for ever."""

_CONVERSATIONS: Final = """
    SELECT c.id, c.title, c.updated_at, c.held, c.label, p.label, q.label, m.labels FROM conversations AS c
    LEFT JOIN places AS p ON p.id = c.place_id LEFT JOIN places AS q ON q.id = p.parent_id
    LEFT JOIN (SELECT conversation_id, group_concat(DISTINCT label) AS labels FROM messages WHERE label IS NOT NULL
        GROUP BY conversation_id) AS m ON m.conversation_id = c.id
"""
# Every conversation that has a document attached or cites it.
_TALKS: Final = """
    SELECT x.document_id, max(c.updated_at) AS used_at, max(c.held) AS held FROM (
        SELECT document_id, conversation_id FROM attachments WHERE document_id IS NOT NULL
        UNION SELECT document_id, conversation_id FROM citations
    ) AS x JOIN conversations AS c ON c.id = x.conversation_id GROUP BY x.document_id
"""
# Every result taken from a document, and every decision of a person about one.
_RESULTS: Final = """
    SELECT f.document_id, max(e.at) AS done_at, max(r.at) AS decided_at FROM batch_files AS f
    LEFT JOIN extractions AS e ON e.file_id = f.id LEFT JOIN reviews AS r ON r.file_id = f.id
    WHERE f.document_id IS NOT NULL GROUP BY f.document_id
"""
_DOCUMENTS: Final = f"""
    SELECT d.id, d.path, max(d.read_at, ifnull(t.used_at, 0), ifnull(w.done_at, 0), ifnull(w.decided_at, 0)),
        max(d.held, ifnull(t.held, 0)), d.label
    FROM documents AS d LEFT JOIN ({_TALKS}) AS t ON t.document_id = d.id
    LEFT JOIN ({_RESULTS}) AS w ON w.document_id = d.id
"""  # noqa: S608 - constants only
_BATCHES: Final = """
    SELECT b.id, b.title, max(b.created_at, ifnull(max(e.at), 0), ifnull(max(r.at), 0)),
        ifnull(max(d.held), 0), b.label, group_concat(DISTINCT d.label)
    FROM batches AS b LEFT JOIN batch_files AS f ON f.batch_id = b.id
    LEFT JOIN documents AS d ON d.id = f.document_id
    LEFT JOIN extractions AS e ON e.file_id = f.id LEFT JOIN reviews AS r ON r.file_id = f.id
    WHERE b.state <> 'running' GROUP BY b.id
"""


def every(connection: Connection, rules: Rules, now: float) -> tuple[Due, ...]:
    """Oldest first. A conversation goes by the strictest label of what it is made of; running batches stay."""
    found = (*_conversations(connection), *_documents(connection), *_batches(connection))
    due = [
        Due(item_id, kind, title, labels[0], used_at, int((now - used_at) / _DAY_S), held)
        for item_id, kind, title, labels, used_at, held in found
        if all(_is_due(rules[label], used_at, now) for label in labels)
    ]
    return tuple(sorted(due, key=lambda item: item.used_at))


_Found = tuple[str, Literal["conversation", "document", "batch"], str, tuple[Label, ...], float, bool]
"""Id, kind, title, labels, last use, hold. The first label is its own; it is due when no label keeps it."""


def _conversations(connection: Connection) -> Iterator[_Found]:
    for item_id, title, used_at, held, *labels in connection.execute(_CONVERSATIONS):
        yield item_id, "conversation", title, (strictest(_labels(*labels)),), used_at, bool(held)


def _documents(connection: Connection) -> Iterator[_Found]:
    """Used when read, taken from, decided about, or talked about; a conversation under hold holds its documents."""
    for item_id, path, used_at, held, label in connection.execute(_DOCUMENTS):
        yield item_id, "document", path, (Label(label),), used_at, bool(held)


def _batches(connection: Connection) -> Iterator[_Found]:
    """Not before its documents: those that only it has would go with it."""
    for item_id, title, used_at, held, *labels in connection.execute(_BATCHES):
        yield item_id, "batch", title, _labels(*labels), used_at, bool(held)


def _labels(*joined: str | None) -> tuple[Label, ...]:
    return tuple(Label(name) for names in joined if names for name in names.split(","))


def _is_due(keep_days: int | None, used_at: float, now: float) -> bool:
    return keep_days is not None and now - used_at > keep_days * _DAY_S
