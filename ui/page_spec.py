"""What the window knows of a page before it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtWidgets import QWidget

from ui.desk import Desk


@dataclass(frozen=True, slots=True)
class PageSpec:
    """A page that the window can build when it is first wanted."""

    key: str
    title: str
    icon: str
    make: Callable[[Desk], QWidget]
    in_rail: bool = True
    ahead: tuple[tuple[str, str, str], ...] = ()
    """Commands (key, title, icon) to list while the page is not built; choosing one builds it and runs its own."""
