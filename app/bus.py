"""Events from services to whoever listens. Publish and subscribe in the core thread; listeners must not block."""

from __future__ import annotations

from collections.abc import Callable

from app.events import Event

Listener = Callable[[Event], None]


class Bus:
    """A list of listeners. Delivery is synchronous and in order of subscription."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; returns the function that removes it."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def publish(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            listener(event)
