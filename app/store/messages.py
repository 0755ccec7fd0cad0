"""Rows of messages: a tree for each conversation, of which one branch is chosen.

Functions run in the store lane's threads; what an answer is while it streams is ``app.chat``'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from app.chat.records import AnswerStats, Message, MessageStatus
from app.gate.label import Label, strictest
from app.gate.records import Flag, Tier
from app.store import unspaced
from app.store.database import Connection
from engine.errors import StoreError

_COLUMNS = (
    "id, conversation_id, parent_id, role, text, reasoning, status, created_at, model_id, error, prompt_tokens,"
    " cached_tokens, completion_tokens, ttft_s, decode_tok_s, total_s, finish_reason, device, route, cost_usd,"
    " provider, request_id, label, flag_tier, flag_reasons, flag_kept, chosen"
)
_STATS, _LABEL, _FLAG, _CHOSEN = 10, 22, 23, 26
_STATUSES = {status.value: status for status in MessageStatus}
_UNFINISHED = (MessageStatus.PENDING, MessageStatus.STREAMING)
_PARENT = 2

# Triggers drop an outline when its messages change; it is made anew when nothing more is to be expected at once.
_OUTLINE = """
    INSERT OR REPLACE INTO outlines (conversation_id, message_count, beginning)
    SELECT ?1, (SELECT count(*) FROM messages WHERE conversation_id = ?1),
        ifnull((SELECT substr(text, 1, 600) FROM messages
            WHERE conversation_id = ?1 AND chosen = 1 AND text <> '' ORDER BY seq DESC LIMIT 1), '')
    WHERE EXISTS (SELECT 1 FROM conversations WHERE id = ?1)
"""
_INSERT = f"INSERT INTO messages ({_COLUMNS}) VALUES ({', '.join('?' * (_CHOSEN + 1))})"  # noqa: S608 - our own column names
_SELECT = f"SELECT {_COLUMNS} FROM messages"  # noqa: S608
_LINE = f"""
    WITH RECURSIVE line (message_id, above) AS (
        SELECT id, parent_id FROM messages WHERE id = ?
        UNION ALL SELECT m.id, m.parent_id FROM messages AS m JOIN line ON m.id = line.above
    )
    {_SELECT} WHERE id IN (SELECT message_id FROM line) ORDER BY seq
"""  # noqa: S608


def branch(connection: Connection, conversation_id: str) -> tuple[Message, ...]:
    """The chosen branch of a conversation, oldest first."""
    rows = connection.execute(_SELECT + " WHERE conversation_id = ? ORDER BY seq", (conversation_id,)).fetchall()
    counts: dict[str | None, int] = {}
    chosen: dict[str | None, tuple[tuple[Any, ...], int]] = {}
    for row in rows:
        parent = row[_PARENT]
        index = counts.get(parent, 0)
        counts[parent] = index + 1
        if row[_CHOSEN]:
            chosen[parent] = (row, index)
    messages: list[Message] = []
    parent = None
    while (found := chosen.get(parent)) is not None:
        row, index = found
        messages.append(_message(row, index, counts[parent]))
        parent = row[0]
    return tuple(messages)


def get(connection: Connection, message_id: str) -> Message:
    """Raises ``StoreError`` when there is none."""
    row = connection.execute(_SELECT + " WHERE id = ?", (message_id,)).fetchone()
    if row is None:
        raise StoreError("no_such_message", "This message is not there any more.")
    index, count = connection.execute(
        "SELECT count(*) FILTER (WHERE m.seq < me.seq), count(*) FROM messages AS me JOIN messages AS m"
        " ON m.conversation_id = me.conversation_id AND m.parent_id IS me.parent_id WHERE me.id = ?",
        (message_id,),
    ).fetchone()
    return _message(row, index, count)


def path_to(connection: Connection, message_id: str) -> tuple[Message, ...]:
    """The message and its ancestors, oldest first; whichever branch is chosen."""
    rows = connection.execute(_LINE, (message_id,))
    return tuple(_message(row, 0, 1) for row in rows)


def leaf(connection: Connection, conversation_id: str) -> Message | None:
    """The last message of the chosen branch, or ``None`` in an empty conversation."""
    messages = branch(connection, conversation_id)
    return messages[-1] if messages else None


def insert(connection: Connection, messages: Iterable[Message]) -> tuple[Message, ...]:
    """Add messages, each becoming the chosen one among its siblings; returns them with their places."""
    messages = tuple(messages)
    for message in messages:
        _unchoose_siblings(connection, message.conversation_id, message.parent_id)
        connection.execute(_INSERT, (*_values(message), 1))
    _index_unspaced(connection, messages)
    return tuple(get(connection, message.id) for message in messages)


def insert_line(connection: Connection, line: Iterable[Message]) -> None:
    """Add messages to a conversation that has none yet, each the only child of the one before."""
    messages = tuple(line)
    connection.executemany(_INSERT, ((*_values(message), 1) for message in messages))
    _index_unspaced(connection, messages)
    for conversation_id in {message.conversation_id for message in messages}:
        connection.execute(_OUTLINE, (conversation_id,))


def save_answer(connection: Connection, message: Message) -> None:
    """Write what an answer has become. Does nothing when its conversation was purged meanwhile.

    A label that was made stricter while it was written stays.
    """
    stats = message.stats
    stored = labels(connection, (message.id,))
    if stored:
        message = replace(message, label=strictest((*stored, *(() if message.label is None else (message.label,)))))
    connection.execute(
        "UPDATE messages SET text = ?, reasoning = ?, status = ?, model_id = ?, error = ?, prompt_tokens = ?,"
        " cached_tokens = ?, completion_tokens = ?, ttft_s = ?, decode_tok_s = ?, total_s = ?, finish_reason = ?,"
        " device = ?, route = ?, cost_usd = ?, provider = ?, request_id = ?, label = ?, flag_tier = ?,"
        " flag_reasons = ?, flag_kept = ? WHERE id = ?",
        (
            message.text,
            message.reasoning,
            message.status.value,
            message.model_id,
            message.error,
            *_stats_values(stats),
            *_gate_values(message),
            message.id,
        ),
    )
    if message.status not in _UNFINISHED:
        _index_unspaced(connection, (message,))
        connection.execute(_OUTLINE, (message.conversation_id,))


def labels(connection: Connection, ids: Sequence[str]) -> tuple[Label, ...]:
    """The labels of those of these messages that have one."""
    statement = "SELECT DISTINCT label FROM messages WHERE label IS NOT NULL AND id IN (SELECT value FROM json_each(?))"
    return tuple(Label(row[0]) for row in connection.execute(statement, (json.dumps(list(ids)),)))


def set_flag(connection: Connection, message_id: str, flag: Flag | None) -> None:
    connection.execute(
        "UPDATE messages SET flag_tier = ?, flag_reasons = ?, flag_kept = ? WHERE id = ?",
        (*_flag_values(flag), message_id),
    )


def choose(connection: Connection, message_id: str) -> str:
    """Put a message, and so all its ancestors, on the chosen branch; returns the conversation's id."""
    line = path_to(connection, message_id)
    if not line:
        raise StoreError("no_such_message", "This message is not there any more.")
    for message in line:
        _unchoose_siblings(connection, message.conversation_id, message.parent_id)
        connection.execute("UPDATE messages SET chosen = 1 WHERE id = ?", (message.id,))
    connection.execute(_OUTLINE, (line[0].conversation_id,))
    return line[0].conversation_id


def sibling(connection: Connection, message_id: str, step: int) -> str:
    """The id of the sibling ``step`` places on, or of the first or last when there are not so many."""
    rows = connection.execute(
        "SELECT m.id FROM messages AS me JOIN messages AS m ON m.conversation_id = me.conversation_id"
        " AND m.parent_id IS me.parent_id WHERE me.id = ? ORDER BY m.seq",
        (message_id,),
    )
    ids = [str(row[0]) for row in rows]
    if message_id not in ids:
        raise StoreError("no_such_message", "This message is not there any more.")
    return ids[min(max(ids.index(message_id) + step, 0), len(ids) - 1)]


def interrupt_unfinished(connection: Connection, sentence: str) -> int:
    """Mark answers that a dead process left behind; their text stays. Returns how many."""
    unfinished = tuple(status.value for status in _UNFINISHED)
    rows = connection.execute("SELECT seq, text FROM messages WHERE status IN (?, ?)", unfinished).fetchall()
    unspaced.add(connection, "messages_characters", rows)
    return connection.execute(
        "UPDATE messages SET status = ?, error = ? WHERE status IN (?, ?)",
        (MessageStatus.INTERRUPTED.value, sentence, *unfinished),
    ).rowcount


def with_places(messages: Sequence[Message], live: dict[str, Message]) -> tuple[Message, ...]:
    """``messages`` with newer versions from ``live``, each keeping its place among its siblings."""
    return tuple(
        replace(live[m.id], branch_index=m.branch_index, branch_count=m.branch_count) if m.id in live else m
        for m in messages
    )


def _unchoose_siblings(connection: Connection, conversation_id: str, parent_id: str | None) -> None:
    connection.execute(
        "UPDATE messages SET chosen = 0 WHERE conversation_id = ? AND parent_id IS ? AND chosen = 1",
        (conversation_id, parent_id),
    )


def _index_unspaced(connection: Connection, messages: Iterable[Message]) -> None:
    """For search; triggers index the words of all, and take both away. An answer is indexed when it has ended."""
    for message in messages:
        if message.status not in _UNFINISHED and unspaced.holds(message.text):
            rows = connection.execute("SELECT seq, text FROM messages WHERE id = ?", (message.id,)).fetchall()
            unspaced.add(connection, "messages_characters", rows)


def _values(message: Message) -> tuple[object, ...]:
    return (
        message.id,
        message.conversation_id,
        message.parent_id,
        message.role,
        message.text,
        message.reasoning,
        message.status.value,
        message.created_at,
        message.model_id,
        message.error,
        *_stats_values(message.stats),
        *_gate_values(message),
    )


def _gate_values(message: Message) -> tuple[object, ...]:
    return None if message.label is None else message.label.value, *_flag_values(message.flag)


def _flag_values(flag: Flag | None) -> tuple[object, ...]:
    return (
        None if flag is None else flag.tier,
        "[]" if flag is None else json.dumps(flag.reasons, ensure_ascii=False),
        int(flag is not None and flag.kept),
    )


def _stats_values(stats: AnswerStats | None) -> tuple[object, ...]:
    if stats is None:
        return (*((None,) * 10), "", "")
    return (
        stats.prompt_tokens,
        stats.cached_tokens,
        stats.completion_tokens,
        stats.ttft_s,
        stats.decode_tok_s,
        stats.total_s,
        stats.finish_reason,
        stats.device,
        stats.route,
        stats.cost_usd,
        stats.provider,
        stats.request_id,
    )


def _message(row: tuple[Any, ...], branch_index: int, branch_count: int) -> Message:
    stats = AnswerStats(*row[_STATS:_LABEL]) if row[_STATS + 8] is not None else None
    return Message(
        id=row[0],
        conversation_id=row[1],
        parent_id=row[2],
        role=row[3],
        text=row[4],
        reasoning=row[5],
        status=_STATUSES[row[6]],
        created_at=row[7],
        model_id=row[8],
        stats=stats,
        error=row[9],
        branch_index=branch_index,
        branch_count=branch_count,
        label=None if row[_LABEL] is None else Label(row[_LABEL]),
        flag=_flag(*row[_FLAG:_CHOSEN]),
    )


def _flag(tier: Tier | None, reasons: str, kept: int) -> Flag | None:
    return None if tier is None else Flag(tier, tuple(json.loads(reasons)), bool(kept))
