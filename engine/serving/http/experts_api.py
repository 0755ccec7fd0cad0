"""``/experts``: which experts the routers picked, and the switch that counts them."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import RequestError
from engine.fit.routed import RoutedExperts
from engine.serving.expert_watch import ExpertWatch
from engine.serving.http.frontend import Frontend
from engine.serving.http.respond import json_response

_MAX_BODY_BYTES = 1024


class ExpertsApi:
    """Two endpoints; both answer with what was counted."""

    def __init__(self, frontend: Frontend, watch: ExpertWatch | None) -> None:
        self._frontend = frontend
        self._watch = watch

    def routes(self) -> list[Route]:
        """Where they are."""
        if self._watch is None:
            return []
        return [Route("/experts", self.counted), Route("/experts/watch", self.switch, methods=["POST"])]

    async def counted(self, request: Request) -> Response:
        """``GET /experts``."""
        assert self._watch is not None
        watch = self._watch
        return json_response(routed_object(await self._frontend.ask(lambda _engine: watch.counted())))

    async def switch(self, request: Request) -> Response:
        """``POST /experts/watch`` with ``{"watching": true}``: counts from nothing; ``false`` stops."""
        assert self._watch is not None
        watch, watching = self._watch, await _read_switch(request)
        answer = await self._frontend.ask(lambda engine: watch.switch(engine, watching))
        if isinstance(answer, RequestError):
            raise answer
        return json_response(routed_object(answer))


async def _read_switch(request: Request) -> bool:
    refusal = RequestError("invalid_request", 'The body must be {"watching": true} or {"watching": false}.')
    if int(request.headers.get("content-length") or 0) > _MAX_BODY_BYTES:
        raise refusal
    try:
        body: Any = await request.json()
    except ValueError:
        raise refusal from None
    watching = body.get("watching") if isinstance(body, dict) else None
    if not isinstance(watching, bool):
        raise refusal
    return watching


def routed_object(routed: RoutedExperts) -> dict[str, Any]:
    """The counts with what follows from them, as JSON's types."""
    return {
        "watching": routed.watching,
        "n_experts": routed.n_experts,
        "n_used": routed.n_used,
        "tokens": routed.tokens,
        "hottest_share": round(routed.hottest_share, 4),
        "never_used": routed.never_used,
        "layers": [
            {
                "layer": layer.layer,
                "counts": list(layer.counts),
                "hottest_share": round(layer.hottest_share, 4),
                "never_used": list(layer.never_used),
            }
            for layer in routed.layers
        ],
    }
