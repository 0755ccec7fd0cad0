"""Conversations that anybody could have had, and one of them whole; the same at every run."""

from __future__ import annotations

from app.chat.records import AnswerStats, Conversation, Message, MessageStatus, Role
from ui.screenshots.sample import FOUR_B, NOW

_HOUR, _DAY = 3600.0, 86400.0


def _conversation(place: int, title: str, ago_s: float, preview: str, *, pinned: bool = False) -> Conversation:
    return Conversation(
        id=f"c{place}",
        title=title,
        created_at=NOW - ago_s - 900,
        updated_at=NOW - ago_s,
        pinned=pinned,
        model_id=FOUR_B.id,
        system_prompt="",
        message_count=4,
        preview=preview,
    )


CONVERSATIONS = (
    _conversation(1, "House style for release notes", 2 * _DAY, "Lead with what changed for the reader.", pinned=True),
    _conversation(2, "Sorting a million lines in Python", 240, "Sort chunks, then merge them lazily."),
    _conversation(3, "Heat pump or gas boiler", 3 * _HOUR, "At a COP of 3.2 the pump is cheaper above 24 ct."),
    _conversation(4, "Letter to the landlord about damp", 7 * _HOUR, "Dear Mrs Keller, since October the north wall…"),
    _conversation(5, "What the KV cache holds", _DAY + _HOUR, "For each layer and token, one key and one value."),
    _conversation(6, "Bread with 80 % hydration", _DAY + 5 * _HOUR, "Fold four times in the first two hours."),
    _conversation(7, "Explaining tides to a ten-year-old", 3 * _DAY, "Imagine the sea as a blanket…"),
    _conversation(8, "Trip to the Jura in May", 4 * _DAY, "Day 2: Saut du Doubs, then the ridge."),
    _conversation(9, "SQL window functions", 5 * _DAY, "ROW_NUMBER never repeats, RANK leaves gaps."),
    _conversation(10, "Notes from the parents' evening", 12 * _DAY, "Three decisions, two open questions."),
    _conversation(11, "Regex for German postcodes", 19 * _DAY, r"\b\d{5}\b, and a list for the gaps."),
    _conversation(12, "Choosing a bicycle helmet", 41 * _DAY, "Fit first, then ventilation."),
)

TABLE_QUESTION = "I have to sort a file with a million lines that does not fit in memory. How do I do that in Python?"
TABLE_ANSWER = """Sort it in pieces that do fit, then merge the sorted pieces. `heapq.merge` does the \
second half lazily, so only one line of each piece is in memory at a time.

```python
import heapq
import tempfile
from itertools import islice


def sort_file(source, target, lines_a_chunk=100_000):
    pieces = []
    while chunk := sorted(islice(source, lines_a_chunk)):
        piece = tempfile.TemporaryFile("w+")
        piece.writelines(chunk)
        piece.seek(0)
        pieces.append(piece)
    target.writelines(heapq.merge(*pieces))
```

How the two halves compare:

| Step | Time | Memory |
| --- | --- | --- |
| Sorting the chunks | *n* log *k* | one chunk |
| Merging *m* pieces | *n* log *m* | *m* lines |

Two things to watch:

1. **Open files.** Each piece is one; most systems allow about 1,000.
2. **The last line.** Give it a newline before merging, or two lines grow together.
"""
FOLLOW_UP = "And if the lines should be compared without regard to case?"
FOLLOW_UP_ANSWER = """Pass the same key to both halves: `sorted(..., key=str.casefold)` for the chunks and \
`heapq.merge(*pieces, key=str.casefold)` for the merge. `casefold` is stronger than `lower`: it also \
maps **ß** to **ss**."""

STATS = AnswerStats(
    prompt_tokens=412,
    cached_tokens=388,
    completion_tokens=286,
    ttft_s=0.41,
    decode_tok_s=38.4,
    total_s=7.9,
    finish_reason="stop",
    device="GPU",
    route="local",
)


def message(
    place: int,
    role: Role,
    text: str,
    status: MessageStatus = MessageStatus.COMPLETE,
    *,
    error: str = "",
    branches: tuple[int, int] = (0, 1),
    stats: AnswerStats | None = STATS,
) -> Message:
    """A message of the conversation that the pictures show."""
    answer = role == "assistant"
    return Message(
        id=f"m{place}",
        conversation_id="c2",
        parent_id=f"m{place - 1}" if place > 1 else None,
        role=role,
        text=text,
        reasoning="",
        status=status,
        created_at=NOW - 600 + 60 * place,
        model_id=FOUR_B.id if answer else None,
        stats=stats if answer and status is not MessageStatus.STREAMING else None,
        error=error,
        branch_index=branches[0],
        branch_count=branches[1],
    )


MESSAGES = (
    message(1, "user", TABLE_QUESTION),
    message(2, "assistant", TABLE_ANSWER),
    message(3, "user", FOLLOW_UP),
    message(4, "assistant", FOLLOW_UP_ANSWER, branches=(1, 2)),
)
