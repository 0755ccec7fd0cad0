"""What becomes of our own bugs: a report without anything that was typed, for the crash page and the log.

A report names the place and the kind of the exception, as the log does (``app.log``), and the versions.
"""

from __future__ import annotations

import logging
import platform
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler, qVersion

from app.log import describe_exception
from app.version import version

log = logging.getLogger(__name__)

_QT_LEVEL = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


def describe(error: BaseException) -> str:
    """The report: versions, then the chain of exceptions, outermost last."""
    system = f"Gatehouse {version()} · Python {platform.python_version()} · Qt {qVersion()} · {platform.platform()}"
    return f"{system}\n{describe_exception(error)}"


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
