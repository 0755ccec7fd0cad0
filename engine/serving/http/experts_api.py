"""``/experts``: which experts the routers picked, and the switch that counts them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import RequestError
from engine.fit.routed import routed_object
from engine.serving.expert_watch import ExpertWatch
from engine.serving.http.frontend import Frontend
from engine.serving.http.respond import json_response
from engine.serving.openai.wire_fields import parse_object, refuse


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
        watch = self._watch
        async with self._frontend.read(request, _parse_switch) as watching:
            answer = await self._frontend.ask(lambda engine: watch.switch(engine, watching))
        if isinstance(answer, RequestError):
            raise answer
        return json_response(routed_object(answer))


def _parse_switch(body: bytes) -> bool:
    fields = parse_object(body)
    watching = fields.take("watching")
    if not isinstance(watching, bool):
        refuse("watching", "must be true or false")
    fields.finish()
    return watching
