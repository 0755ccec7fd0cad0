"""The log file: what happened, never what was said. Leaves the worker's own log to its supervisor.

Rules for everyone who logs: no prompt, no answer, no key, no title; ids, counts, codes and durations only. Exceptions
are written as their place and kind, whoever logs them: the message of one could quote a prompt.
"""

from __future__ import annotations

import logging
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path, PurePath
from types import TracebackType

_MAX_BYTES = 1 << 20
_KEPT = 3
_QUIET = ("openai", "httpx2", "httpcore2", "httpx", "httpcore", "asyncio", "markdown_it", "urllib3")
"""Libraries that would write requests, and with them text, at lower levels."""
_SPEAKS_OF_CODE = (AttributeError, ImportError, NameError, TypeError)


def open_log(path: Path) -> logging.Handler:
    """Write this process's log to ``path``; the returned handler is given to ``close_log``. Raises ``OSError``."""
    handler = RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=_KEPT, encoding="utf-8", delay=True)
    handler.setFormatter(_Discreet("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
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


def describe_exception(error: BaseException) -> str:
    """The chain of exceptions, outermost last: places and kinds; messages only of kinds that speak of code."""
    lines: list[str] = []
    for link in _chain(error):
        lines.append("")
        lines += [
            f"  {_short(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(link.__traceback__)
        ]
        lines.append(_name(link))
    return "\n".join(lines)


class _Discreet(logging.Formatter):
    """Writes exceptions without their messages."""

    def format(self, record: logging.LogRecord) -> str:
        # Another handler's formatter leaves its text of the exception there, which would be taken for ours.
        theirs, record.exc_text = record.exc_text, None
        try:
            return super().format(record)
        finally:
            record.exc_text = theirs

    def formatException(
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        return "" if ei[1] is None else describe_exception(ei[1])


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
