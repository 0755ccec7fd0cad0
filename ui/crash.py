"""What becomes of our own bugs: a report without anything that was typed, for the crash page and the log.

A report names the place and the kind of the exception. Its message is left out unless the kind speaks of code only: a
message could quote a prompt.
"""

from __future__ import annotations

import logging
import platform
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import PurePath
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler, qVersion

from app.version import version

log = logging.getLogger(__name__)

_SPEAKS_OF_CODE = (AttributeError, ImportError, NameError, TypeError)
_QT_LEVEL = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def describe(error: BaseException) -> str:
    """The report: versions, then the chain of exceptions, outermost last."""
    lines = [
        f"Gatehouse {version()} · Python {platform.python_version()} · Qt {qVersion()} · {platform.platform()}",
    ]
    for link in _chain(error):
        lines.append("")
        lines += [
            f"  {_short(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(link.__traceback__)
        ]
        lines.append(_name(link))
    return "\n".join(lines)


class ExceptionHooks:
    """Sends exceptions that nobody caught, in any thread, to ``show``; puts the former hooks back on ``restore``."""

    def __init__(self, show: Callable[[BaseException], None]) -> None:
        self._show = show
        self._before, self._before_thread = sys.excepthook, threading.excepthook
        sys.excepthook = self._hook
        threading.excepthook = self._thread_hook

    def restore(self) -> None:
        sys.excepthook, threading.excepthook = self._before, self._before_thread

    def _hook(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._before(kind, error, trace)
            return
        log.error("%s", describe(error))
        self._show(error)

    def _thread_hook(self, arguments: threading.ExceptHookArgs) -> None:
        if arguments.exc_value is not None:
            self._hook(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)


def log_qt_messages() -> Callable[[], None]:
    """Qt's own messages go to the log; returns what puts the former handler back."""
    qt_log = logging.getLogger("qt")

    def handle(kind: QtMsgType, context: QMessageLogContext, message: str) -> None:
        qt_log.log(_QT_LEVEL.get(kind, logging.WARNING), "%s: %s", context.category or "qt", message)

    before = qInstallMessageHandler(handle)

    def restore() -> None:
        qInstallMessageHandler(before)

    return restore


def _chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links and len(links) < 8:
        links.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links[::-1]


def _name(error: BaseException) -> str:
    kind = type(error).__name__
    if isinstance(error, OSError):
        return f"{kind}: {error.strerror or ''} (errno {error.errno})"
    if isinstance(error, _SPEAKS_OF_CODE):
        return f"{kind}: {error}"
    return kind


def _short(filename: str) -> str:
    """The last three parts: enough to find it, and no home folder."""
    return "/".join(PurePath(filename).parts[-3:])
