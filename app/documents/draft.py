"""What a reader of one format hands over: pages of tokens where they stand, not yet laid out as text.

Also the bounds that hold for every format, and the protocol by which the child treats all formats alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from app.documents.records import Attachment, Box, DocumentKind, PageSource, Table

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PAGES: Final = 5000
MAX_TOKENS_PER_PAGE: Final = 100_000
MAX_TEXT: Final = 30_000_000
"""Characters of one document."""
MAX_PIXELS: Final = 100_000_000
"""Of one picture."""
MAX_SIDE: Final = 200_000
"""Points of a page, pixels of a picture."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word and where it stands, in points of the page as shown."""

    text: str
    box: Box
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class DraftPage:
    """A page before its text is laid out."""

    width: float
    height: float
    source: PageSource
    tokens: list[Token]
    rotation: int = 0
    skew: float = 0.0
    """Degrees by which lines fall to the right, on the upright page."""
    title: str = ""
    tables: tuple[Table, ...] = ()
    columns: float = 0.0
    """Points of a column of the text grid, where the page was made on one; else it is measured."""


@dataclass(slots=True)
class Findings:
    """What a reader notices besides pages; filled while the pages are taken."""

    notes: list[str] = field(default_factory=list)
    attachments: list[Attachment] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Add a sentence once; more than a screen of them helps nobody."""
        if sentence not in self.notes and len(self.notes) < 50:
            self.notes.append(sentence)


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to be drawn on a page."""

    page: int
    box: Box
    label: str
    colour: str
    """``#rrggbb``."""


class Document(Protocol):
    """An open document of any format."""

    kind: DocumentKind
    encrypted: bool
    """Whether it took a password to open it."""

    def pages(self, findings: Findings) -> Iterator[DraftPage]:
        """Every page in order. Raises ``DocumentError``."""

    def picture(self, number: int, width_px: int) -> Image:
        """Page ``number``, from 1, as any viewer shows it. Raises ``DocumentError``."""

    def marked(self, marks: list[Mark]) -> Iterator[bytes]:
        """The document with boxes drawn on it: a PDF, or a PNG of a single picture. Raises ``DocumentError``."""

    def close(self) -> None: ...
