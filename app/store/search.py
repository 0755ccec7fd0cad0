"""Full-text search over titles and messages. Runs in the reading thread of the store lane.

The person's words are never parsed as a query language: each is quoted, all must occur, the last may be unfinished.
Words are found from their beginning; what is written without spaces (``app.store.unspaced``) from anywhere.
"""

from __future__ import annotations

from typing import Any

from app.chat.records import SearchHit
from app.store import marking, unspaced
from app.store.database import Connection
from app.store.marking import CLOSE, OPEN

_SNIPPET_TOKENS = 24
_MAX_WORDS = 16
_MAX_CHARACTERS = 100
"""Of one word: each character of a text without spaces is looked up."""
_TITLE_HITS = 20

# Newest first, and not by relevance: bm25 would visit every one of 100,000 messages that contain a common word.
_MESSAGES = f"""
    SELECT m.seq, c.id, c.title, m.id, m.role, snippet(messages_text, 0, '{OPEN}', '{CLOSE}', '…', {_SNIPPET_TOKENS}),
        m.created_at
    FROM messages_text CROSS JOIN messages AS m ON m.seq = messages_text.rowid
        CROSS JOIN conversations AS c ON c.id = m.conversation_id
    WHERE messages_text MATCH ? AND c.deleted_at IS NULL ORDER BY messages_text.rowid DESC LIMIT ?
"""  # noqa: S608 - constants of this module

_TITLES = f"""
    SELECT c.seq, c.id, c.title, NULL, NULL, highlight(conversations_text, 0, '{OPEN}', '{CLOSE}'), c.updated_at
    FROM conversations_text CROSS JOIN conversations AS c ON c.seq = conversations_text.rowid
    WHERE conversations_text MATCH ? AND c.deleted_at IS NULL ORDER BY conversations_text.rowid DESC LIMIT ?
"""  # noqa: S608

# These have no content to mark matches in: the text comes whole.
_UNSPACED_MESSAGES = """
    SELECT m.seq, c.id, c.title, m.id, m.role, m.text, m.created_at
    FROM messages_characters CROSS JOIN messages AS m ON m.seq = messages_characters.rowid
        CROSS JOIN conversations AS c ON c.id = m.conversation_id
    WHERE messages_characters MATCH ? AND c.deleted_at IS NULL ORDER BY messages_characters.rowid DESC LIMIT ?
"""

_UNSPACED_TITLES = """
    SELECT c.seq, c.id, c.title, NULL, NULL, c.title, c.updated_at
    FROM conversations_characters CROSS JOIN conversations AS c ON c.seq = conversations_characters.rowid
    WHERE conversations_characters MATCH ? AND c.deleted_at IS NULL ORDER BY conversations_characters.rowid DESC LIMIT ?
"""


def search(connection: Connection, words: str, limit: int) -> tuple[SearchHit, ...]:
    """Titles first, then messages, each the newest first; nothing for words without a letter or a figure."""
    by_words, by_characters = match_expression(words), match_expression(words, split=True)
    if by_words is None or by_characters is None or limit <= 0:
        return ()
    # A text that can match characters is in their index, with all its words.
    asked = (by_characters, None if any(map(unspaced.holds, unspaced.tokens(words))) else by_words)
    marker = marking.Marker(_kept(words), unfinished=not words[-1].isspace())
    found = _look(connection, (_UNSPACED_TITLES, _TITLES), asked, min(limit, _TITLE_HITS))
    titles = [_hit(row, marker(row[5], whole=True) if is_bare else row[5]) for row, is_bare in found]
    found = _look(connection, (_UNSPACED_MESSAGES, _MESSAGES), asked, limit - len(titles))
    return (*titles, *(_hit(row, marker(row[5], whole=False) if is_bare else row[5]) for row, is_bare in found))


def match_expression(words: str, *, split: bool = False) -> str | None:
    """The FTS5 expression for what a person typed: every word quoted, the last one a prefix while it is being typed.

    ``split``: for the index of writing without spaces, where each of its characters stands apart.
    """
    kept = _kept(words)
    if not kept:
        return None
    quoted = ['"' + (unspaced.spaced(word) if split else word).replace('"', '""') + '"' for word in kept]
    if not words[-1].isspace():
        quoted[-1] += "*"
    return " ".join(quoted)


def _kept(words: str) -> list[str]:
    # NUL would end the expression early; the index folds case and accents itself.
    parts = words.replace("\0", " ").split()
    kept = [part for part in parts if any(character.isalnum() for character in part)][:_MAX_WORDS]
    return [part[:_MAX_CHARACTERS] if unspaced.holds(part) else part for part in kept]


def _look(
    connection: Connection, statements: tuple[str, str], asked: tuple[str, str | None], limit: int
) -> list[tuple[tuple[Any, ...], bool]]:
    """Rows of both indexes, the newest first, and whether each comes without marks. One may be in both."""
    found = {row[0]: (row, True) for row in connection.execute(statements[0], (asked[0], limit))}
    if asked[1] is not None:
        found |= {row[0]: (row, False) for row in connection.execute(statements[1], (asked[1], limit))}
    return [found[seq] for seq in sorted(found, reverse=True)[:limit]]


def _hit(row: tuple[Any, ...], marked: str) -> SearchHit:
    _seq, conversation_id, title, message_id, role, _text, created_at = row
    snippet, matches = marking.unmark(marked)
    return SearchHit(conversation_id, title, message_id, role, snippet, matches, created_at)
