"""Full-text search over titles and messages. Runs in the reading thread of the store lane.

The person's words are never parsed as a query language: each is quoted, all must occur, the last may be unfinished.
"""

from __future__ import annotations

from typing import Any

from app.chat.records import SearchHit
from app.store.database import Connection

_OPEN, _CLOSE = "\x02", "\x03"
"""Mark a match inside what SQLite returns; control characters, which no person types."""

_SNIPPET_TOKENS = 24
_MAX_WORDS = 16
_TITLE_HITS = 20

# Newest first, and not by relevance: bm25 would visit every one of 100,000 messages that contain a common word.
_MESSAGES = f"""
    SELECT c.id, c.title, m.id, m.role, snippet(messages_text, 0, '{_OPEN}', '{_CLOSE}', '…', {_SNIPPET_TOKENS}),
        m.created_at
    FROM messages_text CROSS JOIN messages AS m ON m.seq = messages_text.rowid
        CROSS JOIN conversations AS c ON c.id = m.conversation_id
    WHERE messages_text MATCH ? AND c.deleted_at IS NULL ORDER BY messages_text.rowid DESC LIMIT ?
"""  # noqa: S608 - constants of this module

_TITLES = f"""
    SELECT c.id, c.title, NULL, NULL, highlight(conversations_text, 0, '{_OPEN}', '{_CLOSE}'), c.updated_at
    FROM conversations_text CROSS JOIN conversations AS c ON c.seq = conversations_text.rowid
    WHERE conversations_text MATCH ? AND c.deleted_at IS NULL ORDER BY conversations_text.rowid DESC LIMIT ?
"""  # noqa: S608


def search(connection: Connection, words: str, limit: int) -> tuple[SearchHit, ...]:
    """Titles first, then messages, each the newest first; nothing for words without a letter or a figure."""
    query = match_expression(words)
    if query is None or limit <= 0:
        return ()
    titles = connection.execute(_TITLES, (query, min(limit, _TITLE_HITS))).fetchall()
    found = connection.execute(_MESSAGES, (query, limit - len(titles))).fetchall()
    return tuple(_hit(row) for row in (*titles, *found))


def match_expression(words: str) -> str | None:
    """The FTS5 expression for what a person typed: every word quoted, the last one a prefix while it is being typed."""
    # NUL would end the expression early; the index folds case and accents itself.
    parts = words.replace("\0", " ").split()
    kept = [part for part in parts if any(character.isalnum() for character in part)][:_MAX_WORDS]
    if not kept:
        return None
    quoted = ['"' + part.replace('"', '""') + '"' for part in kept]
    if not words[-1].isspace():
        quoted[-1] += "*"
    return " ".join(quoted)


def _hit(row: tuple[Any, ...]) -> SearchHit:
    conversation_id, title, message_id, role, marked, created_at = row
    snippet, matches = unmark(marked)
    return SearchHit(conversation_id, title, message_id, role, snippet, matches, created_at)


def unmark(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A marked text as one plain line, and the spans of its matches."""
    characters: list[str] = []
    spans: list[tuple[int, int]] = []
    start: int | None = None
    for character in marked:
        if character == _OPEN:
            start = len(characters)
        elif character == _CLOSE:
            if start is not None and start < len(characters):
                spans.append((start, len(characters)))
            start = None
        elif not character.isspace():
            characters.append(character)
        elif not characters or characters[-1] != " ":
            characters.append(" ")
    return "".join(characters), tuple(spans)
