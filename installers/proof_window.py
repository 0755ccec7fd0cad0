"""Run by the finished environment: Qt paints a label, and the platform plugins of this system can be opened."""

import ctypes
import os
import sys
from pathlib import Path

os.environ["QT_QPA_PLATFORM"] = "offscreen"

import PySide6
from PySide6.QtWidgets import QApplication, QLabel

PLUGINS = ("libqxcb.so", "libqwayland.so")


def paint() -> None:
    """Grab a label; without fonts or libraries Qt fails here rather than at the person's first start."""
    application = QApplication([])
    label = QLabel("Gatehouse")
    picture = label.grab().toImage()
    application.processEvents()
    if picture.isNull():
        raise RuntimeError("Qt painted nothing")


def open_plugins() -> None:
    """A missing library makes the loader name it."""
    folder = Path(PySide6.__file__).parent / "Qt" / "plugins" / "platforms"
    for name in PLUGINS:
        if (folder / name).exists():
            ctypes.CDLL(str(folder / name))


if __name__ == "__main__":
    paint()
    open_plugins()
    sys.stdout.write("proof: painted\n")
