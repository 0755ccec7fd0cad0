"""How fast models really answered here, from the figures stored with their answers. Functions run in the store lane."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from app.models.records import Measured
from app.store.database import Connection

_ANSWERS = 20
"""The latest ones: drivers, plans and habits change."""
_LEAST_TOKENS = 16
"""A shorter answer or prompt says more about the start than about the speed."""


def of(connection: Connection, model_id: str) -> Measured | None:
    """Medians of a model's latest answers; ``None`` without any that is long enough."""
    rows = connection.execute(
        "SELECT completion_tokens, decode_tok_s, prompt_tokens, cached_tokens, ttft_s FROM messages"
        " WHERE model_id = ? AND route = 'local' AND decode_tok_s IS NOT NULL AND completion_tokens >= ?"
        " ORDER BY seq DESC LIMIT ?",
        (model_id, _LEAST_TOKENS, _ANSWERS),
    ).fetchall()
    if not rows:
        return None
    prefills = [
        (prompt - (cached or 0)) / ttft_s
        for _, _, prompt, cached, ttft_s in rows
        if prompt is not None and ttft_s and prompt - (cached or 0) >= 4 * _LEAST_TOKENS
    ]
    return Measured(_median([row[1] for row in rows]), _median(prefills), len(rows))


def _median(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None
