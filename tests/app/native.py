"""The whole product with the real starter model, heard from outside as the window hears it."""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from app.bootstrap import Product, build
from app.chat.records import Message
from app.events import AnswerFinished, AnswerGrew, Event, NoticeRaised
from app.paths import resolve
from engine.worker.spec import Ready

STARTER = "SmolLM2-135M-Instruct-Q4_1"
PATIENCE_S = 90.0
"""For a machine that does much else."""


@dataclass
class House:
    """A running product and everything it announced."""

    product: Product
    events: queue.SimpleQueue[Event] = field(default_factory=queue.SimpleQueue)
    heard: list[Event] = field(default_factory=list)

    def next(self, deadline: float) -> Event:
        try:
            event = self.events.get(timeout=max(0.01, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"heard nothing more after {self.heard[-5:]}") from None
        self.heard.append(event)
        return event

    def first_words(self, message_id: str) -> str:
        """Wait until an answer has begun."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            event = self.next(deadline)
            if isinstance(event, AnswerGrew) and event.message_id == message_id:
                return event.text
            assert not (isinstance(event, AnswerFinished) and event.message.id == message_id), event

    def answer(self, message_id: str) -> Message:
        """Wait for an answer's end."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            event = self.next(deadline)
            if isinstance(event, AnswerFinished) and event.message.id == message_id:
                return event.message

    def ready(self) -> Ready:
        """Wait until a model is there."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            state = self.product.services.models.loaded().state
            if isinstance(state, Ready):
                return state
            event = self.next(deadline)
            assert not isinstance(event, NoticeRaised) or event.level == "info", event


@contextmanager
def open_house(folder: Path, **settings: object) -> Iterator[House]:
    """Build, and close whatever happens."""
    product = build(resolve(folder), exclusive=True)
    try:
        product.services.settings.update(**settings)
        house = House(product)
        product.services.bus.subscribe(house.events.put)
        yield house
    finally:
        product.close()
