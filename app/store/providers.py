"""Rows of providers. Functions run in the store lane's threads; keys are never in here (``app.providers.keys``)."""

from __future__ import annotations

from app.gate.records import Provider
from app.store.database import Connection, Row

_SELECT = (
    "SELECT id, name, base_url, model, trust, n_ctx, input_usd_per_mtok, output_usd_per_mtok, has_key FROM providers"
)


def every(connection: Connection) -> tuple[Provider, ...]:
    """All of them: the one that was used last first, then the latest added."""
    rows = connection.execute(_SELECT + " ORDER BY used_at IS NULL, used_at DESC, seq DESC")
    return tuple(_provider(row) for row in rows)


def get(connection: Connection, provider_id: str) -> Provider | None:
    row = connection.execute(_SELECT + " WHERE id = ?", (provider_id,)).fetchone()
    return None if row is None else _provider(row)


def save(connection: Connection, provider: Provider, now: float) -> None:
    """Add it, or change what is known of it. ``has_key`` is ``set_has_key``'s."""
    connection.execute(
        "INSERT INTO providers (id, name, base_url, model, trust, n_ctx, input_usd_per_mtok, output_usd_per_mtok,"
        " has_key, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)"
        " ON CONFLICT (id) DO UPDATE SET name = excluded.name, base_url = excluded.base_url, model = excluded.model,"
        " trust = excluded.trust, n_ctx = excluded.n_ctx, input_usd_per_mtok = excluded.input_usd_per_mtok,"
        " output_usd_per_mtok = excluded.output_usd_per_mtok",
        (
            provider.id,
            provider.name,
            provider.base_url,
            provider.model,
            provider.trust,
            provider.n_ctx,
            provider.input_usd_per_mtok,
            provider.output_usd_per_mtok,
            now,
        ),
    )


def set_has_key(connection: Connection, provider_id: str, has_key: bool) -> None:
    connection.execute("UPDATE providers SET has_key = ? WHERE id = ?", (int(has_key), provider_id))


def note_used(connection: Connection, provider_id: str, now: float) -> None:
    connection.execute("UPDATE providers SET used_at = ? WHERE id = ?", (now, provider_id))


def remove(connection: Connection, provider_id: str) -> bool:
    """False when it was not known."""
    return connection.execute("DELETE FROM providers WHERE id = ?", (provider_id,)).rowcount > 0


def _provider(row: Row) -> Provider:
    return Provider(
        id=row[0],
        name=row[1],
        base_url=row[2],
        model=row[3],
        trust=row[4],
        n_ctx=row[5],
        input_usd_per_mtok=row[6],
        output_usd_per_mtok=row[7],
        has_key=bool(row[8]),
    )
