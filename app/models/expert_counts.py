"""What a worker has counted of its model's experts: asked, and switched, over loopback.

The services and the command share it; what is made of the counts is theirs.
"""

from __future__ import annotations

from typing import Any

from app.providers.provider import Endpoint
from engine.errors import WorkerError
from engine.fit.routed import RoutedExperts
from engine.records import RecordFault, from_plain

_ANSWER_S = 3600.0


async def switch_experts(endpoint: Endpoint, *, watching: bool) -> RoutedExperts:
    """Begin or end counting; forgets prefixes. Raises ``GatehouseError`` while somebody is answered."""
    return _routed(await ask_worker(endpoint, "/experts/watch", {"watching": watching}))


async def read_experts(endpoint: Endpoint) -> RoutedExperts:
    """What was counted so far. Raises ``GatehouseError``."""
    return _routed(await ask_worker(endpoint, "/experts", None))


async def ask_worker(endpoint: Endpoint, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """The JSON object at a path of the worker; a ``body`` is posted. Raises ``WorkerError``."""
    import httpx2

    from app.providers.loopback import client

    headers = {"Authorization": f"Bearer {endpoint.api_key}"}
    try:
        async with client() as http:
            url = endpoint.address + path
            wait = httpx2.Timeout(_ANSWER_S, connect=2.0)
            told = await (
                http.get(url, headers=headers, timeout=wait)
                if body is None
                else http.post(url, headers=headers, json=body, timeout=wait)
            )
            fields = told.json()
    except (httpx2.HTTPError, ValueError) as error:
        raise WorkerError("worker_lost", "The model's process does not answer.") from error
    if told.status_code != 200:
        fault = fields.get("error", {}) if isinstance(fields, dict) else {}
        raise WorkerError(str(fault.get("code") or "refused")[:64], str(fault.get("message", "It was refused."))[:500])
    if not isinstance(fields, dict):
        raise WorkerError("bad_answer", "The model's process answered in an unknown form.")
    return fields


def _routed(fields: dict[str, Any]) -> RoutedExperts:
    kept = {name: fields.get(name) for name in ("watching", "n_experts", "n_used", "tokens")}
    layers = fields.get("layers")
    rows = [{"layer": row.get("layer"), "counts": row.get("counts")} for row in layers or [] if isinstance(row, dict)]
    try:
        return from_plain(RoutedExperts, {**kept, "layers": rows}, "experts")
    except RecordFault as error:
        raise WorkerError("bad_answer", f"The model's process counted experts in an unknown form: {error}") from error
