"""What all messages of a transcript share: how they are drawn, and what is known about them from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.documents.review_records import Citation
from app.gate.records import Offers
from ui.icons import Icons
from ui.widgets.highlight import LexerShelf
from ui.widgets.ink import Ink
from ui.widgets.waiting import Waiting


@dataclass(slots=True)
class Surroundings:
    """One for a transcript; it changes in place, and the messages are told."""

    ink: Ink
    icons: Icons
    shelf: LexerShelf
    model_name: Callable[[str | None], str]
    waiting: Waiting
    can_ask: bool = False
    """Whether the gate of this conversation lets one ask the cloud."""
    offers: dict[str, Offers] = field(default_factory=dict)
    """What can be chosen under flagged answers, by the message's id, as far as it is known."""
    citations: dict[str, tuple[Citation, ...]] = field(default_factory=dict)
    """The places that answers point to, by the message's id, as far as they are known."""
