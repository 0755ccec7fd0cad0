"""A client straight to the hub, or through the environment's proxies: the engine has no way out of its own."""

from __future__ import annotations

import httpx2

from engine.hub.patience import Patience


def direct_client(patience: Patience) -> httpx2.Client:
    """As the app's, without gate and ledger."""
    timeout = httpx2.Timeout(patience.stall_s, connect=patience.connect_s)
    return httpx2.Client(timeout=timeout, follow_redirects=True, max_redirects=10)
