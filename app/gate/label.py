"""How sensitive something is, and what a conversation may do with models elsewhere. Pure.

A label is inherited by everything derived: from a workspace or folder to its documents and conversations, from those
to messages, excerpts, titles and exports. Whatever is made of several things has the strictest of their labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class Label(StrEnum):
    """How sensitive a text is; the later the stricter."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"
    """Never leaves this machine, whatever else is set."""

    @property
    def rank(self) -> int:
        """0 for public to 3 for restricted."""
        return _RANKS[self]


class GateMode(StrEnum):
    """What a conversation may do with models elsewhere."""

    LOCAL = "local"
    """Local only: nothing can be asked of the cloud."""
    ASK = "ask"
    """Ask each time: what would leave is shown first."""
    OPEN = "open"
    """Open: the person asks the cloud without the sheet; policy, scan and redaction always run."""


_RANKS = {label: rank for rank, label in enumerate(Label)}
DEFAULT_LABEL = Label.INTERNAL
DEFAULT_MODE = GateMode.LOCAL


def strictest(labels: Iterable[Label]) -> Label:
    """The strictest of ``labels``; public when there are none."""
    return max(labels, key=_RANKS.__getitem__, default=Label.PUBLIC)
