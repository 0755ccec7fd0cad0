"""What happens to a conversation while its transcript is on its way: kept, and seen to once it is here. No widget."""

from __future__ import annotations

from collections.abc import Callable

Happened = Callable[[], None]


class Ticket:
    """One wish to open a conversation; a later wish makes it void."""

    def __init__(self) -> None:
        self.missed: list[Happened] = []


class Opening:
    """What is announced meanwhile may be newer than the transcript, so it comes after it."""

    def __init__(self) -> None:
        self._ticket: Ticket | None = None

    def begin(self) -> Ticket:
        self._ticket = Ticket()
        return self._ticket

    def give_up(self) -> None:
        """Nothing is on its way any more."""
        self._ticket = None

    def end(self, ticket: Ticket, show: Happened) -> None:
        """The transcript is here: show it and what was missed, unless another was asked for since."""
        if self.fail(ticket):
            show()
            for happened in ticket.missed:
                happened()

    def fail(self, ticket: Ticket) -> bool:
        """It will not come; ``False`` when another was asked for since."""
        current = self._ticket is ticket
        if current:
            self._ticket = None
        return current

    def when_here(self, happened: Happened) -> None:
        """Now, or once the transcript is here."""
        if self._ticket is not None:
            self._ticket.missed.append(happened)
        else:
            happened()
