"""The entry: ``gatehouse`` opens the window, ``gatehouse COMMAND`` runs one of ``app.cli.commands``.

Turns every ending into an exit code and at most one sentence on standard error. The window and ``--version`` start
without the command line's library, which would cost a tenth of a second.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from app.cli import printer
from app.paths import Paths, resolve
from engine.errors import GatehouseError

EXIT_OK = 0
EXIT_REFUSED = 1
"""An environment failure, told in a sentence."""
EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_INTERRUPTED = 130

_DATA_DIR = "--data-dir"


class UsageFault(Exception):
    """The command line cannot be understood."""


def main() -> int:
    """Run with the process's arguments; returns the exit code."""
    printer.speak_utf8()
    try:
        return _run(sys.argv[1:])
    except UsageFault as fault:
        printer.complain(str(fault))
        return EXIT_USAGE
    except GatehouseError as error:
        printer.complain(str(error))
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Who reads us has gone. What is still buffered must not raise again while Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_REFUSED
    except OSError as error:
        printer.complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}.")
        return EXIT_REFUSED


def _run(arguments: Sequence[str]) -> int:
    rest, data_dir = take_data_dir(arguments)
    if rest == ["--version"]:
        from app.version import version

        printer.line(f"gatehouse {version()}")
        return EXIT_OK
    paths = resolve(data_dir)
    if not rest:
        return _open_window(paths)  # has its own log and its own crash page
    from app.cli.commands import run

    return _logged(paths, lambda: run(rest, paths))


def _open_window(paths: Paths) -> int:
    from ui.application import run

    return run(paths)


def _logged(paths: Paths, work: printer.Work) -> int:
    """Run ``work``; a bug of ours leaves its trace in the log and a sentence here."""
    from app.log import close_log, open_log

    paths.make_folders()
    handler = open_log(paths.log_file)
    try:
        return work()
    except (GatehouseError, OSError, KeyboardInterrupt, UsageFault):
        raise
    except Exception:
        logging.getLogger(__name__).exception("A command ended by a bug.")
        printer.complain(f"Something in Gatehouse went wrong; that is a bug. The details are in {paths.log_file}.")
        return EXIT_BUG
    finally:
        close_log(handler)


def take_data_dir(arguments: Sequence[str]) -> tuple[list[str], Path | None]:
    """``--data-dir DIR`` may stand before or after the command. Returns the other arguments, and it."""
    rest: list[str] = []
    found: Path | None = None
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*rest, argument, *waiting], found
        if argument == _DATA_DIR:
            value = next(waiting, "")
        elif argument.startswith(_DATA_DIR + "="):
            value = argument.partition("=")[2]
        else:
            rest.append(argument)
            continue
        if not value:
            raise UsageFault(f"{_DATA_DIR} needs a folder.")
        found = Path(value)
    return rest, found


if __name__ == "__main__":
    sys.exit(main())
