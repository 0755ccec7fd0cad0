"""Modes, labels and places: what the person set, and what that makes of everything in it. In the core thread."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence

from app.bus import Bus
from app.chat.records import Conversation
from app.events import ConversationChanged, GateChanged
from app.gate.label import GateMode, Label
from app.gate.records import Place
from app.lanes import StoreLane
from app.store import conversations
from app.store import gate as rows
from app.store.database import Connection
from engine.errors import RequestError

_LONGEST_NAME = 80


class Labelling:
    """The part of ``GateApi`` about modes, labels and places."""

    def __init__(self, lane: StoreLane, bus: Bus) -> None:
        self._lane = lane
        self._bus = bus

    async def set_mode(self, conversation_id: str, mode: GateMode) -> None:
        await self._change(
            conversation_id, lambda connection: conversations.set_gate(connection, conversation_id, mode)
        )

    async def set_label(self, conversation_id: str, label: Label) -> None:
        await self._change(
            conversation_id, lambda connection: conversations.set_label(connection, conversation_id, label)
        )

    async def move(self, conversation_id: str, place_id: str | None) -> None:
        def work(connection: Connection) -> Conversation:
            if place_id is not None:
                rows.place(connection, place_id)
            return conversations.move(connection, conversation_id, place_id)

        await self._change(conversation_id, work)

    async def places(self) -> Sequence[Place]:
        return await self._lane.read(rows.places)

    async def add_place(self, name: str, label: Label, parent_id: str | None = None) -> Place:
        made = Place(uuid.uuid4().hex, parent_id, _named(name), label, label)
        added = await self._lane.write(lambda connection: rows.insert_place(connection, made, time.time()))
        self._bus.publish(GateChanged(None))
        return added

    async def change_place(self, place_id: str, name: str | None = None, label: Label | None = None) -> None:
        wanted = None if name is None else _named(name)
        await self._lane.write(lambda connection: rows.change_place(connection, place_id, wanted, label))
        await self._announce_all()

    async def remove_place(self, place_id: str) -> None:
        await self._lane.write(lambda connection: rows.remove_place(connection, place_id))
        await self._announce_all()

    async def _change(self, conversation_id: str, work: Callable[[Connection], Conversation]) -> None:
        changed = await self._lane.write(work)
        self._bus.publish(GateChanged(conversation_id))
        self._bus.publish(ConversationChanged(changed))

    async def _announce_all(self) -> None:
        """A place's label changes what its conversations may do."""
        self._bus.publish(GateChanged(None))
        for conversation in await self._lane.read(conversations.every):
            if conversation.place_id is not None:
                self._bus.publish(ConversationChanged(conversation))


def _named(name: str) -> str:
    wanted = " ".join(name.split())[:_LONGEST_NAME]
    if not wanted:
        raise RequestError("empty_name", "A workspace or folder needs a name.")
    return wanted
