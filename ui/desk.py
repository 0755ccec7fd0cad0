"""What every page is handed, and what the window expects of a page.

A page is a widget that takes a ``Desk`` and offers its commands to the palette; it never looks for the window.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from app.documents.records import Box
from app.services import Services
from ui.bridge import Bridge
from ui.icons import Icons
from ui.theme import ThemeStore

NoticeLevel = Literal["info", "success", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Action:
    """A button on a notice, e.g. *Undo*."""

    label: str
    run: Callable[[], object]


class Notifier(Protocol):
    """Shows a quiet line that goes by itself (``ui.notices.Notices``)."""

    def show(self, level: NoticeLevel, sentence: str, hint: str = "", action: Action | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class DocumentPlace:
    """Where something stands in a document, e.g. what an answer cites."""

    document_id: str
    page: int = 1
    boxes: tuple[Box, ...] = ()


def _stay(_place: DocumentPlace) -> None:
    """Where there is no window there is no other page."""


@dataclass(frozen=True, slots=True)
class Desk:
    """The tools of a page."""

    services: Services
    bridge: Bridge
    themes: ThemeStore
    icons: Icons
    notices: Notifier
    data_folder: Path
    go: Callable[[str], None]
    """Bring a page to the front by its key: ``chat``, ``models``, ``gate``, ``settings``; or ``gate/providers``."""
    open_place: Callable[[DocumentPlace], None] = _stay
    """Bring the Documents page to the front, at a place of a document."""


@dataclass(frozen=True, slots=True)
class Command:
    """Something that can be done, as the command palette lists it. ``shortcut`` is a portable key sequence or empty."""

    key: str
    title: str
    section: str
    run: Callable[[], object]
    shortcut: str = ""
    icon: str = ""


class Page(Protocol):
    """What the window asks of a page besides being a ``QWidget``; each is optional.

    The chat page also has ``new_conversation()`` and ``find_everywhere()``, for the window's keys, and a ``composer``
    that notices keep clear of, and a signal ``gate_shown`` with the open conversation's ``GateSetting`` for the status
    bar. A page with sections has ``show_section(key)``.
    """

    def commands(self) -> Sequence[Command]:
        """What can be done now, in the order to list it."""

    def enter(self) -> None:
        """The page came to the front: put the focus where one would type."""

    def open_find(self) -> None:
        """Ctrl+F: find on this page."""
