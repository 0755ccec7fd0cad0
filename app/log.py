"""The log file: what happened, never what was said. Leaves the worker's own log to its supervisor.

Rules for everyone who logs: no prompt, no answer, no key, no title; ids, counts, codes and durations only.
"""

from __future__ import annotations

import logging
import sys
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

_MAX_BYTES = 1 << 20
_KEPT = 3
_QUIET = ("openai", "httpx2", "httpcore2", "httpx", "httpcore", "asyncio", "markdown_it", "urllib3")
"""Libraries that would write requests, and with them text, at lower levels."""


def open_log(path: Path) -> logging.Handler:
    """Write this process's log to ``path``; the returned handler is given to ``close_log``. Raises ``OSError``."""
    handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a full disk must not fill the terminal as well
    return handler


def close_log(handler: logging.Handler) -> None:
    logging.getLogger().removeHandler(handler)
    handler.close()


def log_uncaught() -> None:
    """Write exceptions that nobody caught, in any thread, to the log as well."""
    log = logging.getLogger("uncaught")
    before, thread_before = sys.excepthook, threading.excepthook

    def on_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical("uncaught", exc_info=(kind, error, trace))
        before(kind, error, trace)

    def on_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and args.exc_type is not SystemExit:
            log.critical("uncaught in a thread", exc_info=args.exc_value)
        thread_before(args)

    sys.excepthook, threading.excepthook = on_uncaught, on_uncaught_in_thread
