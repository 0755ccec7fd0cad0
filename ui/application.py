"""The entry of the windowed application: a display, one window a data folder, then ``ui.shell``.

It imports as little as it can: what follows PySide's first import is imported without PySide's hook.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from app.paths import Paths
from ui import plain_imports

if TYPE_CHECKING:
    from ui.instance import Claim

OK, NO_DISPLAY, BUSY = 0, 2, 3
"""Exit codes."""


def run(paths: Paths) -> int:
    """Open the window and stay until it is closed. Returns the exit code."""
    if not _has_display():
        sys.stderr.write("There is no display to open a window on. Try `gatehouse chat` or `gatehouse serve`.\n")
        return NO_DISPLAY
    plain_imports.restore()
    from PySide6.QtCore import QLocale
    from PySide6.QtWidgets import QApplication

    from ui.instance import Instance, claim
    from ui.shell import Application

    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(sys.argv[:1])
    app.setApplicationName("gatehouse")
    app.setApplicationDisplayName("Gatehouse")
    app.setDesktopFileName("gatehouse")
    if QLocale.system().language() is QLocale.Language.C:  # it would write 131072 where a person reads 131,072
        QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    instance = Instance(paths.data, app)
    try:
        claimed = claim(paths, instance)
    except OSError as error:
        return Application(app, paths, instance).run(error)
    answer = _answer_to(claimed, paths.data)
    return Application(app, paths, instance).run() if answer is None else answer


def _answer_to(claim: Claim, folder: Path) -> int | None:
    """The exit code when this process is not to go on, with a sentence for whoever started it."""
    from ui.instance import Claim

    if claim is Claim.SHOWN:
        sys.stdout.write(f"Gatehouse is already open on {folder}; its window was brought to the front.\n")
        return OK
    if claim is Claim.SILENT:
        sys.stderr.write(f"Another Gatehouse holds {folder} but does not answer. End it, then start again.\n")
        return BUSY
    return None


def _has_display() -> bool:
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
